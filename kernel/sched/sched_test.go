package sched

import (
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// fakeTask notes what the scheduler tells a thread.
type fakeTask struct{ has, stuck bool }

func (t *fakeTask) Lose(bool)   { t.has = false }
func (t *fakeTask) Gain(bool)   { t.has = true }
func (t *fakeTask) Stuck() bool { return t.stuck }

func newScheduler(cpus int) *scheduler {
	s := &scheduler{period: 1e9, runtime: 950e6, n: cpus}
	s.retain() // it is on throughout
	return s
}

func (s *scheduler) add(p Params, mask uint64, now int64) *Entity {
	e := &Entity{task: new(fakeTask), params: p, mask: mask, managed: true, left: rrSlice}
	s.mu.Lock()
	s.join(e, now)
	s.mu.Unlock()
	return e
}

// check looks whether the state is one that may be; ticked is when the last tick was.
func (s *scheduler) check(t *testing.T, all []*Entity, ticked int64) {
	t.Helper()
	var waiting, fair [8]int
	n := 0
	for _, e := range all {
		if e.task.(*fakeTask).has != (e.state == running) {
			t.Fatalf("a thread in state %d was told otherwise", e.state)
		}
		switch e.state {
		case running:
			if s.slots[e.slot].run != e || s.mask(e)>>uint(e.slot)&1 == 0 {
				t.Fatalf("a thread runs in slot %d, which is not its own", e.slot)
			}
		case queued:
			n++
			for c := range s.n {
				if s.mask(e)>>uint(c)&1 == 0 {
					continue
				}
				waiting[c]++
				if e.level() == 0 {
					fair[c]++
				}
				r := s.slots[c].run
				if r == nil {
					t.Fatalf("slot %d is free and a thread waits for it", c)
				}
				if le, lr := e.level(), r.level(); le > lr && ticked >= s.slots[c].fairUntil {
					t.Fatalf("a thread of level %d waits while one of level %d runs", le, lr)
				}
			}
		}
	}
	if n != s.queued {
		t.Fatalf("%d threads are queued, counted %d", n, s.queued)
	}
	for c := range s.n {
		if s.slots[c].waiting != waiting[c] || s.slots[c].waitingFair != fair[c] {
			t.Fatalf("slot %d: %d wait, %d of them fair; counted %d and %d", c, waiting[c], fair[c], s.slots[c].waiting, s.slots[c].waitingFair)
		}
	}
}

func TestRandom(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		cpus := 1 + r.IntN(4)
		s := newScheduler(cpus)
		now, ticked := int64(1), int64(1)
		params := func() Params {
			switch r.IntN(6) {
			case 0:
				return Params{Policy: unix.SCHED_FIFO, Priority: 1 + r.IntN(5)}
			case 1:
				return Params{Policy: unix.SCHED_RR, Priority: 1 + r.IntN(5)}
			case 2:
				return Params{Policy: unix.SCHED_IDLE}
			case 3:
				return Params{Policy: unix.SCHED_DEADLINE, Runtime: 1e6, Deadline: 10e6 * int64(1+r.IntN(3)), Period: 100e6}
			}
			return Params{Nice: r.IntN(40) - 20}
		}
		// Masks are all CPUs, or one: then no thread that could move stands in the way of another.
		mask := func() uint64 {
			if r.IntN(3) == 0 {
				return 1 << r.IntN(cpus)
			}
			return 0
		}
		var all []*Entity
		for range 2000 {
			now += int64(r.IntN(3e6))
			if len(all) < 2 || len(all) < 20 && r.IntN(20) == 0 {
				p := params()
				if p.Policy == unix.SCHED_DEADLINE {
					p = Params{}
				}
				all = append(all, s.add(p, mask(), now))
			}
			i := r.IntN(len(all))
			e := all[i]
			switch r.IntN(9) {
			case 0, 1:
				s.wake(e, now)
			case 2:
				if e.state == running {
					s.block(e, now)
				}
			case 3:
				s.set(e, params(), now) //nolint:errcheck // EBUSY
			case 4:
				s.yield(e, now)
			case 5:
				s.mu.Lock()
				s.change(e, now, func() { e.boost = r.IntN(2) * r.IntN(8) })
				s.mu.Unlock()
			case 6:
				s.setAffinity(e, mask(), now)
			case 7:
				now += tick
				s.tick(now)
				ticked = now
			case 8:
				if r.IntN(5) == 0 {
					s.mu.Lock()
					s.exit(e, now)
					s.mu.Unlock()
					e.managed = false
					all = append(all[:i], all[i+1:]...)
				}
			}
			s.check(t, all, ticked)
		}
		for _, e := range all {
			s.mu.Lock()
			s.exit(e, now)
			e.managed = false
			s.mu.Unlock()
		}
		if s.special != 1 || s.bandwidth != 0 || s.queued != 0 || len(s.throttled) != 0 {
			t.Fatalf("left over: %d special, bandwidth %d, %d queued", s.special, s.bandwidth, s.queued)
		}
	}
}

// spin runs threads that only compute for a time, and returns what each got.
func spin(s *scheduler, all []*Entity, from, d int64) []int64 {
	got := make([]int64, len(all))
	for now := from; now < from+d; now += tick {
		for i, e := range all {
			if e.state == running {
				got[i] += tick
			}
		}
		s.tick(now + tick)
	}
	return got
}

func TestWeights(t *testing.T) {
	s := newScheduler(1)
	all := []*Entity{s.add(Params{}, 0, 1), s.add(Params{Nice: 5}, 0, 1), s.add(Params{Nice: -5}, 0, 1)}
	got := spin(s, all, 1, 60e9)
	if a, b := float64(got[0])/float64(got[1]), float64(got[2])/float64(got[0]); a < 2.7 || a > 3.4 || b < 2.7 || b > 3.4 {
		t.Errorf("nice 0 got %.2f times what nice 5 did, nice -5 %.2f times what nice 0 did; want 3.05", a, b)
	}
	s = newScheduler(2)
	all = []*Entity{s.add(Params{}, 0, 1), s.add(Params{}, 0, 1), s.add(Params{}, 0, 1)}
	for i, n := range spin(s, all, 1, 30e9) {
		if n < 18e9 || n > 22e9 {
			t.Errorf("thread %d of three on two CPUs got %d ms of 30 s, want 20,000", i, n/1e6)
		}
	}
}

func TestRealtimeLeavesSome(t *testing.T) {
	s := newScheduler(1)
	all := []*Entity{s.add(Params{Policy: unix.SCHED_FIFO, Priority: 50}, 0, 1), s.add(Params{}, 0, 1)}
	got := spin(s, all, 1, 20e9)
	if got[1] < 800e6 || got[1] > 1200e6 {
		t.Errorf("an ordinary thread got %d ms of 20 s beside a real-time one, want 1,000", got[1]/1e6)
	}
}

func TestDeadline(t *testing.T) {
	s := newScheduler(1)
	all := []*Entity{s.add(Params{Policy: unix.SCHED_FIFO, Priority: 50}, 0, 1), s.add(Params{}, 0, 1)}
	if _, err := s.set(all[1], Params{Policy: unix.SCHED_DEADLINE, Runtime: 20e6, Deadline: 100e6, Period: 100e6}, 1); err != nil {
		t.Fatal(err)
	}
	got := spin(s, all, 1, 10e9)
	if got[1] < 1800e6 || got[1] > 2600e6 {
		t.Errorf("a thread with 20 ms in 100 got %d ms of 10 s", got[1]/1e6)
	}
	if _, err := s.set(all[0], Params{Policy: unix.SCHED_DEADLINE, Runtime: 80e6, Deadline: 100e6, Period: 100e6}, 1); err != unix.EBUSY {
		t.Errorf("100 %% of a CPU: %v", err)
	}
}

func TestStuck(t *testing.T) {
	s := newScheduler(1)
	a, b := s.add(Params{Policy: unix.SCHED_FIFO, Priority: 2}, 0, 1), s.add(Params{Policy: unix.SCHED_FIFO, Priority: 1}, 0, 1)
	a.task.(*fakeTask).stuck = true
	for i := range int64(stuckTicks - 1) {
		s.tick(i * tick)
		if b.state == running {
			t.Fatal("a goroutine was blocked for a short time, and its thread lost its slot")
		}
	}
	s.tick(stuckTicks * tick)
	if b.state != running || a.state != out {
		t.Fatal("a thread whose goroutine is blocked keeps its slot")
	}
	s.arrive(a, 2*stuckTicks*tick)
	if a.state != running || b.state != queued {
		t.Fatal("it does not get its slot back")
	}
}
