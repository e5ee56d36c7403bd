package wait

import (
	"sync"

	"gosv/kernel/cpu"
	"gosv/kernel/goport"
)

// A Timer calls a function at a time on the monotonic clock (cpu.Nanotime) or on
// CLOCK_REALTIME (cpu.Walltime), to the precision of the hardware timer. Its zero
// value is ready for Start.
type Timer struct {
	f     firer
	at    int64 // on the clock of base
	base  uint8
	index int // in the heap of base, plus one; 0 when not pending
}

// The clocks that a Timer can be on. The wall clock has a heap of its own, so that
// a step of that clock changes only when its first timer is due.
const (
	monotonic = iota
	realtime
	numBases
)

type firer interface{ fire() }

// Func is the callback of Start.
type Func func()

func (f Func) fire() { f() }

// timers are the pending timers of all CPUs; the hardware is set for the first one.
var timers struct {
	mu    sync.Mutex
	heaps [numBases]timerHeap
	armed int64

	once sync.Once
}

// Start makes the timer call f at the time at; a pending timer is moved. f runs
// on the timer goroutine and must not block.
func (t *Timer) Start(at int64, f Func) { t.start(monotonic, at, f) }

// StartRealtime is Start for a time on CLOCK_REALTIME. A step of the clock moves
// the call.
func (t *Timer) StartRealtime(at int64, f Func) { t.start(realtime, at, f) }

func (t *Timer) start(base uint8, at int64, f firer) {
	timers.once.Do(func() { go serveTimers(goport.TimerInterrupt()) })
	timers.mu.Lock()
	if t.index != 0 && t.base != base {
		timers.heaps[t.base].remove(t.index - 1)
	}
	t.f, t.at, t.base = f, max(at, 1), base
	h := &timers.heaps[base]
	if t.index == 0 {
		*h = append(*h, t)
		t.index = len(*h)
	}
	h.siftUp(t.index - 1)
	h.siftDown(t.index - 1)
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
	timers.heaps[t.base].remove(t.index - 1)
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
		for t := due(); t != nil; t = due() {
			f := t.f
			timers.heaps[t.base].remove(0)
			timers.mu.Unlock()
			f.fire()
			timers.mu.Lock()
		}
		arm()
		timers.mu.Unlock()
		irq.Wait()
	}
}

// due returns a timer whose time has come, nil if there is none. timers.mu is held.
func due() *Timer {
	if h := timers.heaps[monotonic]; len(h) > 0 && h[0].at <= cpu.Nanotime() {
		return h[0]
	}
	if h := timers.heaps[realtime]; len(h) > 0 && h[0].at <= cpu.Walltime() {
		return h[0]
	}
	return nil
}

// arm sets the hardware for the first timer. It leaves an earlier setting
// alone: one interrupt too many costs less than a reprogramming per Stop.
// timers.mu is held.
func arm() {
	at := int64(0)
	if h := timers.heaps[monotonic]; len(h) > 0 {
		at = h[0].at
	}
	if h := timers.heaps[realtime]; len(h) > 0 {
		if m := max(h[0].at-cpu.WallOffset(), 1); at == 0 || m < at {
			at = m
		}
	}
	if at != 0 && (timers.armed == 0 || at < timers.armed) {
		timers.armed = at
		goport.SetTimer(at)
	}
}

// A timerHeap has the timer that is due first at index 0.
type timerHeap []*Timer

func (hp *timerHeap) remove(i int) {
	h := *hp
	last := len(h) - 1
	h[i].index = 0
	if i != last {
		h[i] = h[last]
		h[i].index = i + 1
	}
	h[last] = nil
	h = h[:last]
	*hp = h
	if i != last {
		h.siftUp(i)
		h.siftDown(i)
	}
}

func (h timerHeap) siftUp(i int) {
	for i > 0 {
		p := (i - 1) / 2
		if h[p].at <= h[i].at {
			return
		}
		h.swap(i, p)
		i = p
	}
}

func (h timerHeap) siftDown(i int) {
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
		h.swap(i, c)
		i = c
	}
}

func (h timerHeap) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}
