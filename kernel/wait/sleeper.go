package wait

import (
	"sync/atomic"
	"unsafe"

	"gosv/kernel/goport"
)

// Result says why a Sleep ended.
type Result uint8

const (
	Woken       Result = iota // Wake was called
	TimedOut                  // the deadline passed
	Interrupted               // a signal is pending (not in SleepKillable), or the thread must end
)

// A Sleeper is the right of one goroutine to block. Every thread of the
// application embeds one. Wake, Interrupt may be called by anyone; Sleep and
// Clear only by the owner.
//
// The usual loop registers with a queue, checks the condition, and sleeps:
//
//	s.Clear()
//	q.Add(w); defer q.Remove(w)   // w.Notify calls s.Wake
//	for !condition() {
//		if r := s.Sleep(deadline); r != wait.Woken { return r }
//	}
type Sleeper struct {
	state atomic.Uint32 // bits below
	g     goport.G      // the parked goroutine while parked is set
	stop  uint32        // what ends the current Sleep

	// BeforeSleep, when set, runs before the goroutine really parks (a thread
	// gives its FPU state back to memory).
	BeforeSleep func()

	// Scheduled, when set, is told while Scheduling is on.
	Scheduled Scheduled

	// Pending reports whether an interruption is due; checked before parking.
	Pending func() bool
	// Killed reports whether the thread must end; SleepKillable checks it before
	// parking. nil: the goroutine is no thread, and cannot be killed.
	Killed func() bool

	timer Timer

	own     Waiter // see Waiter
	ownBusy bool
}

// Scheduling says that a scheduler of threads wants to know who can run.
var Scheduling atomic.Bool

// Scheduled is a thread that a scheduler knows.
type Scheduled interface {
	// Runnable is called before the parked goroutine is made ready.
	Runnable()
	// Turn is AwaitTurn.
	Turn()
}

const (
	woken       = 1 << iota // Wake since the last Sleep returned
	interrupted             // Interrupt since then
	expired                 // the timer fired
	killed                  // Kill since then
	parked                  // g waits for goport.Ready
	deep                    // with parked: no interruption ends it
)

// Waiter returns a Waiter whose Notify calls Wake: the sleeper's own, unless that
// is in use. The owner of the sleeper gives it back with Done, once it is in no
// queue.
func (s *Sleeper) Waiter(mask Events) *Waiter {
	w := &s.own
	if s.ownBusy {
		w = new(Waiter)
	}
	s.ownBusy = true
	if w.Notify == nil {
		w.Notify = func(Events) { s.Wake() }
	}
	w.Mask = mask
	return w
}

// Done ends the use of what Waiter returned.
func (s *Sleeper) Done(w *Waiter) {
	if w == &s.own {
		s.ownBusy = false
	}
}

// Clear forgets an earlier Wake. An interruption is kept: Pending and Killed
// decide.
func (s *Sleeper) Clear() { s.state.And(^uint32(woken | expired | interrupted | killed)) }

// Wake ends the current Sleep, or the next one.
func (s *Sleeper) Wake() { s.post(woken) }

// Interrupt ends the current Sleep, or the next one, if it is interruptible.
func (s *Sleeper) Interrupt() { s.post(interrupted) }

// Asleep reports whether the goroutine is blocked and has not been woken yet, and
// whether only a Wake or the deadline can do that.
func (s *Sleeper) Asleep() (asleep, uninterruptible bool) {
	v := s.state.Load()
	return v&parked != 0, v&(parked|deep) == parked|deep
}

// Kill is Interrupt for a thread that must end: it ends SleepKillable, too.
func (s *Sleeper) Kill() { s.post(interrupted | killed) }

func (s *Sleeper) post(bits uint32) {
	for {
		old := s.state.Load()
		if old&bits == bits && old&parked == 0 {
			return
		}
		if s.state.CompareAndSwap(old, (old|bits)&^parked) {
			if old&parked != 0 {
				s.ready()
			}
			return
		}
	}
}

// AwaitTurn is for a caller that was woken beside others, for something that one of
// them can have, and that holds no lock of the kernel: it returns when the scheduler
// lets the thread run, or when there is other work for the thread. An earlier Wake
// may be forgotten.
func (s *Sleeper) AwaitTurn() {
	if Scheduling.Load() && s.Scheduled != nil {
		s.Scheduled.Turn()
	}
}

// ready makes the parked goroutine run again.
func (s *Sleeper) ready() {
	if Scheduling.Load() && s.Scheduled != nil {
		s.Scheduled.Runnable()
	}
	goport.Ready(s.g)
}

// Sleep blocks until Wake, until Interrupt, or until the deadline, a time on
// cpu.Nanotime's clock or what Realtime returned; 0 is no deadline. A Wake that
// came since the last Sleep or Clear ends it at once.
func (s *Sleeper) Sleep(deadline int64) Result { return s.sleep(deadline, interrupted, s.Pending) }

// SleepKillable is Sleep for waits that no signal handler may interrupt, such as
// that of vfork(2): only the end of the thread does (TASK_KILLABLE of Linux).
func (s *Sleeper) SleepKillable(deadline int64) Result { return s.sleep(deadline, killed, s.Killed) }

// SleepUninterruptible is Sleep for short waits that must complete. What makes
// them complete must not depend on a program: not even SIGKILL ends them.
func (s *Sleeper) SleepUninterruptible(deadline int64) Result { return s.sleep(deadline, 0, nil) }

// sleep blocks; the bit broken ends it besides what ends each sleep, and due says
// whether that is the case already.
func (s *Sleeper) sleep(deadline int64, broken uint32, due func() bool) Result {
	stop := woken | expired | broken
	if due != nil && due() {
		if s.state.And(^uint32(woken))&woken != 0 {
			return Woken
		}
		return Interrupted
	}
	if deadline != 0 && s.state.Load()&stop == 0 {
		s.state.And(^uint32(expired))
		if deadline > 0 {
			s.timer.start(monotonic, deadline, s)
		} else {
			s.timer.start(realtime, -deadline, s)
		}
	}
	ran := false
	for {
		old := s.state.Load()
		if old&stop != 0 {
			break
		}
		if !ran {
			finishAll()
			if s.BeforeSleep != nil {
				s.BeforeSleep()
			}
			ran = true
			continue // who was woken meanwhile need not park
		}
		s.park(stop)
	}
	if deadline != 0 {
		s.timer.Stop()
	}
	old := s.state.And(^stop)
	switch {
	case old&woken != 0:
		return Woken
	case old&broken != 0:
		return Interrupted
	default:
		return TimedOut
	}
}

// park blocks the goroutine until post clears the parked bit.
func (s *Sleeper) park(stop uint32) {
	s.stop = stop
	goport.Park(commitPark, unsafe.Pointer(s))
}

// commitPark runs on the scheduler's stack once the goroutine can be made
// ready again; false means that something came and it is not to park.
//
//go:norace
//go:nosplit
func commitPark(g goport.G, arg unsafe.Pointer) bool {
	s := (*Sleeper)(arg)
	s.g = g
	state := (*uint32)(unsafe.Pointer(&s.state))
	for {
		old := *state
		if old&s.stop != 0 {
			return false
		}
		next := old | parked | deep
		if s.stop&interrupted != 0 {
			next &^= deep
		}
		if goport.CompareAndSwap(state, old, next) {
			return true
		}
	}
}

func (s *Sleeper) fire() { s.post(expired) }
