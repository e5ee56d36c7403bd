package task

import (
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/sched"
)

// inheritance is what priority inheritance knows of a thread: the owner of the
// PI futex that it waits for, and the threads that wait for those it owns. piMu
// guards it.
type inheritance struct {
	owner   *Thread
	addr    uint64 // of that futex
	index   int    // in owner.pi.waiters
	waiters []*Thread
	dead    bool // the thread ends: it owns nothing that one could wait for
}

// piMu guards Thread.pi of all threads. It is taken below a futex bucket, and
// above package sched's lock.
var piMu sync.Mutex

// maxChain is how many owners a boost is passed along, and how long a chain a
// deadlock is looked for in (Linux's max_lock_depth).
const maxChain = 1024

// waitFor notes that the thread waits for a PI futex of owner, which inherits its
// priority. EDEADLK if owner waits for the thread, ESRCH if owner ends.
func (t *Thread) waitFor(owner *Thread) error {
	piMu.Lock()
	defer piMu.Unlock()
	o := owner
	for range maxChain {
		if o == t {
			return unix.EDEADLK
		}
		if o = o.pi.owner; o == nil {
			break
		}
	}
	if owner.pi.dead {
		return unix.ESRCH
	}
	t.pi.link(t, owner)
	owner.inheritPriority()
	return nil
}

// endWait notes that the thread does not wait any more.
func (t *Thread) endWait() {
	piMu.Lock()
	if o := t.pi.owner; o != nil {
		t.pi.unlink()
		o.inheritPriority()
	}
	piMu.Unlock()
}

func (i *inheritance) link(t, owner *Thread) {
	i.owner, i.index = owner, len(owner.pi.waiters)
	owner.pi.waiters = append(owner.pi.waiters, t)
}

func (i *inheritance) unlink() {
	o := i.owner
	last := len(o.pi.waiters) - 1
	w := o.pi.waiters[last]
	o.pi.waiters[i.index] = w
	w.pi.index = i.index
	o.pi.waiters[last] = nil
	o.pi.waiters = o.pi.waiters[:last]
	i.owner = nil
}

// inheritPriority gives the thread the highest priority of its waiters, and passes a
// change on to the thread that it waits for itself. piMu is held.
func (t *Thread) inheritPriority() {
	if !sched.On() {
		return // all priorities are equal
	}
	for range maxChain {
		level := 0
		for _, w := range t.pi.waiters {
			level = max(level, w.schedule.Level())
		}
		if !t.schedule.Boost(level) || t.pi.owner == nil {
			return
		}
		t = t.pi.owner
	}
}

// passBoost passes a change of the thread's own priority on.
func (t *Thread) passBoost() {
	piMu.Lock()
	if o := t.pi.owner; o != nil {
		o.inheritPriority()
	}
	piMu.Unlock()
}

// leavePI hands the PI futexes over that the thread owns as it leaves its memory,
// and that others wait for: they get them with FUTEX_OWNER_DIED (Linux's
// exit_pi_state_list).
func (t *Thread) leavePI(ends bool) {
	for {
		piMu.Lock()
		t.pi.dead = ends
		if len(t.pi.waiters) == 0 {
			piMu.Unlock()
			return
		}
		w := t.pi.waiters[0]
		piMu.Unlock()
		b := w.futex.bucket.Load()
		if b == nil {
			runtime.Gosched() // it is about to stop waiting
			continue
		}
		b.mu.Lock()
		piMu.Lock()
		waits := w.pi.owner == t && w.futex.bucket.Load() == b
		piMu.Unlock()
		if waits && w.inheritDead(b, t) != nil {
			piMu.Lock()
			w.pi.unlink() // its memory is gone, and nobody can wake it but a signal
			piMu.Unlock()
		}
		b.mu.Unlock()
	}
}

// inheritDead gives the lock that w waits for, and that the ending thread owner
// has, to the first waiter. b is locked.
func (t *Thread) inheritDead(b *futexBucket, owner *Thread) error {
	v, err := t.MM.Load32(t.pi.addr)
	if err != nil {
		return err
	}
	if v&linux.FUTEX_TID_MASK != uint32(owner.TID) {
		return unix.EINVAL
	}
	return t.handOver(b, t.pi.addr, v, linux.FUTEX_OWNER_DIED)
}
