package wait

import (
	"sync"

	"gosv/kernel/cpu"
	"gosv/kernel/goport"
)

// A Timer calls a function at a time on cpu.Nanotime's clock, to the precision
// of the hardware timer. Its zero value is ready for Start.
type Timer struct {
	f     firer
	at    int64
	index int // in timers.heap, plus one; 0 when not pending
}

type firer interface{ fire() }

// Func is the callback of Start.
type Func func()

func (f Func) fire() { f() }

// timers is one heap for all CPUs; the hardware is set for its first entry.
var timers struct {
	mu    sync.Mutex
	heap  []*Timer
	armed int64

	once sync.Once
}

// Start makes the timer call f at the time at; a pending timer is moved. f runs
// on the timer goroutine and must not block.
func (t *Timer) Start(at int64, f Func) { t.start(at, f) }

func (t *Timer) start(at int64, f firer) {
	timers.once.Do(func() { go serveTimers(goport.TimerInterrupt()) })
	timers.mu.Lock()
	t.f, t.at = f, max(at, 1)
	if t.index == 0 {
		timers.heap = append(timers.heap, t)
		t.index = len(timers.heap)
	}
	siftUp(t.index - 1)
	siftDown(t.index - 1)
	arm()
	timers.mu.Unlock()
}

// Stop reports whether it kept the timer from firing. A callback may be running
// when it returns false.
func (t *Timer) Stop() bool {
	timers.mu.Lock()
	defer timers.mu.Unlock()
	if t.index == 0 {
		return false
	}
	remove(t.index - 1)
	return true
}

// When returns the time for which the timer is set, 0 if it is not pending.
func (t *Timer) When() int64 {
	timers.mu.Lock()
	defer timers.mu.Unlock()
	if t.index == 0 {
		return 0
	}
	return t.at
}

// serveTimers runs the callbacks; each hardware interrupt wakes it once. An
// early or spurious interrupt does no harm.
func serveTimers(irq *goport.Interrupt) {
	for {
		timers.mu.Lock()
		timers.armed = 0
		for len(timers.heap) > 0 && timers.heap[0].at <= cpu.Nanotime() {
			t := timers.heap[0]
			f := t.f
			remove(0)
			timers.mu.Unlock()
			f.fire()
			timers.mu.Lock()
		}
		arm()
		timers.mu.Unlock()
		irq.Wait()
	}
}

// arm sets the hardware for the first timer. It leaves an earlier setting
// alone: one interrupt too many costs less than a reprogramming per Stop.
func arm() {
	if len(timers.heap) == 0 {
		return
	}
	if at := timers.heap[0].at; timers.armed == 0 || at < timers.armed {
		timers.armed = at
		goport.SetTimer(at)
	}
}

func remove(i int) {
	h := timers.heap
	last := len(h) - 1
	h[i].index = 0
	if i != last {
		h[i] = h[last]
		h[i].index = i + 1
	}
	h[last] = nil
	timers.heap = h[:last]
	if i != last {
		siftUp(i)
		siftDown(i)
	}
}

func siftUp(i int) {
	h := timers.heap
	for i > 0 {
		p := (i - 1) / 2
		if h[p].at <= h[i].at {
			return
		}
		swap(i, p)
		i = p
	}
}

func siftDown(i int) {
	h := timers.heap
	for {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if c+1 < len(h) && h[c+1].at < h[c].at {
			c++
		}
		if h[i].at <= h[c].at {
			return
		}
		swap(i, c)
		i = c
	}
}

func swap(i, j int) {
	h := timers.heap
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}
