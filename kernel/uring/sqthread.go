package uring

import (
	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/task"
	"gosv/kernel/wait"
)

// An sqThread takes submissions without being asked (IORING_SETUP_SQPOLL). Linux's
// turns for a while, looking for entries, before it asks to be woken; this one
// asks as soon as it finds none, for it would turn on a CPU that the program needs.
type sqThread struct {
	r       *Ring
	u       *user
	t       *task.Thread // a proxy of the thread that made the ring
	sleeper wait.Sleeper
	room    wait.Queue // told when entries were taken
	dead    bool       // guarded by Ring.mu
}

func (r *Ring) startSQThread(t *task.Thread, idle uint32) {
	s := &sqThread{r: r}
	r.mu.Lock()
	s.u = r.userOf(t, t.Creds())
	s.u.requests++ // kept
	r.mu.Unlock()
	s.t = s.u.t
	r.sq = s
	r.setSQFlag(linux.IORING_SQ_NEED_WAKEUP, true)
	go s.run()
}

func (s *sqThread) run() {
	r := s.r
	for {
		r.mu.Lock()
		if s.dead || r.closed {
			r.mu.Unlock()
			s.room.Notify(wait.Out)
			return
		}
		r.setSQFlag(linux.IORING_SQ_NEED_WAKEUP, false)
		n := uint32(0)
		if !r.disabled.Load() {
			n, _ = r.submit(s.t, r.sqEntries) // what finds no memory is tried when the program enters
		}
		r.settle()
		r.runReady()
		r.setSQFlag(linux.IORING_SQ_NEED_WAKEUP, true)
		r.unlock(true)
		if n > 0 {
			s.room.Notify(wait.Out)
			continue // entries that came meanwhile have not woken anybody
		}
		s.sleeper.Sleep(0)
	}
}

// stop ends the thread. Ring.mu is held.
func (s *sqThread) stop() {
	if !s.dead {
		s.dead = true
		s.u.requests--
		s.sleeper.Wake()
	}
}

// submitBySQThread is io_uring_enter(2) of such a ring: the thread does the work.
func (r *Ring) submitBySQThread(t *task.Thread, n, flags uint32) (uint32, error) {
	s := r.sq
	r.mu.Lock()
	dead := s.dead
	r.mu.Unlock()
	if dead {
		return 0, unix.EOWNERDEAD
	}
	if flags&linux.IORING_ENTER_SQ_WAKEUP != 0 {
		s.sleeper.Wake()
	}
	if flags&linux.IORING_ENTER_SQ_WAIT == 0 {
		return n, nil
	}
	full := func() bool {
		return r.mem.load(offSQTail)-r.mem.load(offSQHead) >= r.sqEntries
	}
	w := t.Sleeper.Waiter(wait.Out)
	t.Sleeper.Clear()
	s.room.Add(w)
	defer func() {
		s.room.Remove(w)
		t.Sleeper.Done(w)
	}()
	for full() {
		if t.Sleeper.Sleep(0) == wait.Interrupted {
			break // as Linux, which tells nobody
		}
		r.mu.Lock()
		dead := s.dead
		r.mu.Unlock()
		if dead {
			break
		}
	}
	return n, nil
}
