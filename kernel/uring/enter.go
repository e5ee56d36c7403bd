package uring

import (
	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/task"
	"gosv/kernel/wait"
)

// EnterFlags are what io_uring_enter(2) knows.
const EnterFlags = linux.IORING_ENTER_GETEVENTS | linux.IORING_ENTER_SQ_WAKEUP | linux.IORING_ENTER_SQ_WAIT |
	linux.IORING_ENTER_EXT_ARG | linux.IORING_ENTER_REGISTERED_RING

// Submit is the first half of io_uring_enter(2): it submits up to n requests, and
// returns how many. A ring whose entries a thread of the kernel takes is woken, or
// waited for. EBADFD: the ring is not enabled yet. EEXIST: another thread is the
// only one that may.
func (r *Ring) Submit(t *task.Thread, n uint32, flags uint32) (uint32, error) {
	if r.disabled.Load() {
		return 0, unix.EBADFD
	}
	if r.sq != nil {
		return r.submitBySQThread(t, n, flags)
	}
	if n == 0 {
		return 0, nil
	}
	if r.flags&linux.IORING_SETUP_SINGLE_ISSUER != 0 && r.issuer.Load() != t {
		return 0, unix.EEXIST
	}
	r.mu.Lock()
	done, err := r.submit(t, n)
	r.settle()
	if r.flags&linux.IORING_SETUP_DEFER_TASKRUN == 0 {
		r.runReady()
	}
	r.unlock(false)
	return done, err
}

// Wait is the second half: it waits until there are min completions: ETIME when
// the deadline passes, EINTR for a signal, EBADR once after completions were lost.
func (r *Ring) Wait(t *task.Thread, min uint32, deadline int64) error {
	if r.flags&linux.IORING_SETUP_DEFER_TASKRUN != 0 && r.issuer.Load() != t {
		return unix.EEXIST
	}
	if min > r.cqEntries {
		min = r.cqEntries
	}
	if r.lost.Swap(false) {
		return unix.EBADR
	}
	if r.enough(min) || r.flags&linux.IORING_SETUP_IOPOLL != 0 { // nothing is on its way there
		return nil
	}
	w := t.Sleeper.Waiter(wait.In)
	t.Sleeper.Clear()
	r.cqWait.Add(w)
	r.readyMu.Lock()
	r.waiters++
	if r.waiters == 1 || min < r.want {
		r.want = min
	}
	r.readyMu.Unlock()
	var err error
	for !r.enough(min) {
		res := t.Sleeper.Sleep(deadline)
		if res == wait.Woken {
			continue
		}
		if r.enough(min) {
			break
		}
		if err = unix.EINTR; res == wait.TimedOut {
			err = unix.ETIME
		}
		break
	}
	r.cqWait.Remove(w)
	t.Sleeper.Done(w)
	r.readyMu.Lock()
	r.waiters--
	if len(r.ready) > 0 {
		r.kick()
	}
	r.readyMu.Unlock()
	return err
}

// enough looks at what is ready, and reports whether there are min completions.
func (r *Ring) enough(min uint32) bool {
	r.readyMu.Lock()
	ready := len(r.ready) > 0
	r.readyMu.Unlock()
	if ready {
		r.mu.Lock()
		r.runReady()
		r.unlock(true)
	}
	if r.overflown() {
		r.flushOverflow()
	}
	return r.available() >= min
}
