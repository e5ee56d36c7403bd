package wait

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gosv/kernel/cpu"
)

func TestSleepWake(t *testing.T) {
	var s Sleeper
	s.Wake()
	if r := s.Sleep(0); r != Woken {
		t.Fatalf("an early Wake was lost: %v", r)
	}
	go func() {
		time.Sleep(5 * time.Millisecond)
		s.Wake()
	}()
	if r := s.Sleep(0); r != Woken {
		t.Fatalf("got %v, want Woken", r)
	}
}

func TestSleepDeadline(t *testing.T) {
	var s Sleeper
	start := cpu.Nanotime()
	if r := s.Sleep(start + 2e6); r != TimedOut {
		t.Fatalf("got %v, want TimedOut", r)
	}
	if d := cpu.Nanotime() - start; d < 2e6 {
		t.Errorf("slept %d ns, want at least 2e6", d)
	}
	if r := s.Sleep(1); r != TimedOut {
		t.Fatalf("a deadline in the past: got %v", r)
	}
}

func TestSleepInterrupt(t *testing.T) {
	var s Sleeper
	var pending atomic.Bool
	s.Pending = pending.Load
	s.Interrupt()
	if r := s.Sleep(0); r != Interrupted {
		t.Fatalf("got %v, want Interrupted", r)
	}
	pending.Store(true)
	if r := s.Sleep(0); r != Interrupted {
		t.Fatalf("pending before the sleep: got %v", r)
	}
	go func() {
		s.Interrupt()
		time.Sleep(time.Millisecond)
		s.Wake()
	}()
	if r := s.SleepUninterruptible(0); r != Woken {
		t.Fatalf("uninterruptible: got %v, want Woken", r)
	}
}

// Two goroutines wake each other; a lost wake-up would hang the test.
func TestPingPong(t *testing.T) {
	const n = 20000
	var a, b Sleeper
	var wg sync.WaitGroup
	wg.Go(func() {
		for range n {
			a.Sleep(0)
			b.Wake()
		}
	})
	for range n {
		a.Wake()
		if r := b.Sleep(cpu.Nanotime() + 30e9); r != Woken {
			t.Fatalf("got %v", r)
		}
	}
	wg.Wait()
}

func TestQueue(t *testing.T) {
	var q Queue
	var got [4]int
	ws := make([]*Waiter, 4)
	for i := range ws {
		ws[i] = &Waiter{Mask: Readable, Exclusive: i >= 2, Notify: func(Events) { got[i]++ }}
		q.Add(ws[i])
	}
	q.Notify(Writable)
	if got != [4]int{} {
		t.Fatalf("woken for an event not waited for: %v", got)
	}
	q.Notify(In)
	if want := [4]int{1, 1, 1, 0}; got != want {
		t.Fatalf("got %v, want %v: one exclusive waiter", got, want)
	}
	q.Remove(ws[0])
	q.Remove(ws[0])
	q.Notify(Hup)
	if got[0] != 1 || got[1] != 2 {
		t.Fatalf("got %v after a removal", got)
	}
	for _, w := range ws {
		q.Remove(w)
	}
	if !q.Empty() {
		t.Fatal("not empty")
	}
}

func TestTimers(t *testing.T) {
	var mu sync.Mutex
	var order []int
	done := make(chan bool)
	now := cpu.Nanotime()
	timers := make([]Timer, 20)
	for i := range timers {
		timers[i].Start(now+1e6*int64(1+(i*7)%20), func() {
			mu.Lock()
			order = append(order, (i*7)%20)
			n := len(order)
			mu.Unlock()
			if n == 19 {
				close(done)
			}
		})
	}
	if !timers[19].Stop() || timers[19].Stop() || timers[19].When() != 0 {
		t.Error("Stop of a pending timer")
	}
	<-done
	for i := 1; i < len(order); i++ {
		if order[i] < order[i-1] {
			t.Fatalf("out of order: %v", order)
		}
	}
}

// Timers of both clocks fire in the order of their times, and one can change the
// clock.
func TestRealtime(t *testing.T) {
	fired := make(chan int, 3)
	var a, b, c Timer
	c.StartRealtime(cpu.Walltime()+1e9, func() { fired <- 4 })
	a.Start(cpu.Nanotime()+4e6, func() { fired <- 2 })
	b.StartRealtime(cpu.Walltime()+2e6, func() { fired <- 1 })
	c.Start(cpu.Nanotime()+6e6, func() { fired <- 3 })
	for want := 1; want <= 3; want++ {
		if got := <-fired; got != want {
			t.Errorf("timer %d fired, want %d", got, want)
		}
	}
	var s Sleeper
	end := cpu.Walltime() + 2e6
	if r := s.Sleep(Realtime(end)); r != TimedOut || cpu.Walltime() < end || !Passed(Realtime(end)) {
		t.Errorf("got %v", r)
	}
	if Passed(Realtime(cpu.Walltime()+1e9)) || Passed(cpu.Nanotime()+1e9) {
		t.Error("passed too early")
	}
}

func BenchmarkPingPong(b *testing.B) {
	var x, y Sleeper
	go func() {
		for range b.N {
			x.Sleep(0)
			y.Wake()
		}
	}()
	for range b.N {
		x.Wake()
		y.Sleep(0)
	}
}
