package task

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/mm"
	"gosv/kernel/sched"
	"gosv/kernel/wait"
)

// The priority-inheriting futexes of futex(2): the word holds the owner's TID,
// and the kernel hands the lock over to the waiter of the highest priority, which
// the owner has inherited until then (inherit.go).

// FutexLockPI is FUTEX_LOCK_PI and, with try, FUTEX_TRYLOCK_PI. EDEADLK, ESRCH,
// EAGAIN, ETIMEDOUT, ERESTARTNOINTR.
func (t *Thread) FutexLockPI(addr uint64, private, try bool, deadline int64) error {
	k, err := t.futexKey(addr, private)
	if err != nil {
		return err
	}
	me := uint32(t.TID)
	b := bucketOf(k)
	b.mu.Lock()
	var heir *Thread
	for {
		v, err := t.MM.Load32(addr)
		if err != nil {
			b.mu.Unlock()
			return err
		}
		owner := v & linux.FUTEX_TID_MASK
		if owner == me {
			b.mu.Unlock()
			return unix.EDEADLK
		}
		next := v | linux.FUTEX_WAITERS
		if owner == 0 { // free, or its owner died
			next = me | v&(linux.FUTEX_WAITERS|linux.FUTEX_OWNER_DIED)
		} else if try {
			b.mu.Unlock()
			return unix.EAGAIN
		}
		if owner != 0 {
			if heir = t.robs(k, owner); heir != nil {
				next = me | linux.FUTEX_WAITERS | v&linux.FUTEX_OWNER_DIED
			}
		}
		prev, err := t.MM.CAS32(addr, v, next)
		if err != nil {
			b.mu.Unlock()
			return err
		}
		if prev != v {
			continue
		}
		if heir != nil {
			t.rob(b, k, heir)
		}
		if owner == 0 || heir != nil {
			b.mu.Unlock()
			return nil
		}
		o := t.Proc.table.Thread(int(owner))
		if o == nil {
			b.mu.Unlock()
			return unix.ESRCH
		}
		t.pi.addr = addr
		if err := t.waitFor(o); err != nil {
			b.mu.Unlock()
			return err
		}
		break
	}
	w := &t.futex
	w.key, w.bitset, w.thread, w.pi, w.granted = k, linux.FUTEX_BITSET_MATCH_ANY, t, true, false
	t.Clear()
	b.push(w)
	b.mu.Unlock()
	for !t.takes(b, w) {
		r := t.Sleep(deadline)
		if r == wait.Woken {
			continue
		}
		if !w.cancel() {
			continue // the lock was handed over meanwhile
		}
		t.endWait()
		if r == wait.TimedOut {
			return unix.ETIMEDOUT
		}
		return linux.ERESTARTNOINTR
	}
	return nil
}

// takes makes the thread the owner of the lock that was handed to it, once the
// thread has a CPU: from then on nobody can rob it of the lock.
func (t *Thread) takes(b *futexBucket, w *futexWaiter) bool {
	if w.bucket.Load() != nil {
		return false
	}
	t.Turn()
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.bucket.Load() != nil {
		return false
	}
	w.granted = false
	return true
}

// robs returns the thread that the lock k was handed to, if that has not run yet
// and t has a higher priority: as in Linux, t gets the lock then. The bucket is
// locked.
func (t *Thread) robs(k mm.Key, owner uint32) *Thread {
	if !sched.On() {
		return nil
	}
	level := t.schedule.Level()
	if level == 0 {
		return nil
	}
	o := t.Proc.table.Thread(int(owner))
	if o == nil || o.futex.bucket.Load() != nil || !o.futex.granted || o.futex.key != k || o.schedule.Level() >= level {
		return nil
	}
	return o
}

// rob makes heir a waiter again. b is locked.
func (t *Thread) rob(b *futexBucket, k mm.Key, heir *Thread) {
	heir.futex.granted = false
	b.push(&heir.futex)
	piMu.Lock()
	heir.pi.link(heir, t)
	b.moveWaiters(k, k, t)
	t.inheritPriority()
	heir.inheritPriority()
	piMu.Unlock()
}

// moveWaiters makes heir the owner for whom all wait that wait for a lock. b and
// piMu are locked.
func (b *futexBucket) moveWaiters(k, shared mm.Key, heir *Thread) {
	for w := b.head; w != nil; w = w.next {
		if w.pi && (w.key == k || w.key == shared) && w.thread.pi.owner != nil && w.thread != heir {
			w.thread.pi.unlink()
			w.thread.pi.link(w.thread, heir)
		}
	}
}

// FutexUnlockPI hands the lock to the waiter of the highest priority. EPERM if the caller does not
// own it.
func (t *Thread) FutexUnlockPI(addr uint64, private bool) error {
	k, err := t.futexKey(addr, private)
	if err != nil {
		return err
	}
	b := bucketOf(k)
	b.mu.Lock()
	defer b.mu.Unlock()
	v, err := t.MM.Load32(addr)
	if err != nil {
		return err
	}
	if v&linux.FUTEX_TID_MASK != uint32(t.TID) {
		return unix.EPERM
	}
	return t.handOver(b, addr, v, 0)
}

// handOver gives the lock whose word is v to the waiter of the highest priority,
// the first among equals, or frees it.
func (t *Thread) handOver(b *futexBucket, addr uint64, v, died uint32) error {
	k, err := t.futexKey(addr, true)
	if err != nil {
		return err
	}
	shared, _ := t.futexKey(addr, false)
	var first *futexWaiter
	waiters := 0
	level := 0
	for w := b.head; w != nil; w = w.next {
		if w.pi && (w.key == k || w.key == shared) {
			waiters++
			if l := w.thread.schedule.Level(); first == nil || l > level {
				first, level = w, l
			}
		}
	}
	for {
		next := died
		if first != nil {
			next |= uint32(first.thread.TID)
		}
		if waiters > 1 {
			next |= linux.FUTEX_WAITERS
		}
		prev, err := t.MM.CAS32(addr, v, next)
		if err != nil {
			return err
		}
		if prev == v {
			break
		}
		v = prev
	}
	if first == nil {
		return nil
	}
	heir := first.thread
	piMu.Lock()
	old := heir.pi.owner
	if old != nil {
		heir.pi.unlink()
	}
	if waiters > 1 {
		b.moveWaiters(k, shared, heir)
	}
	first.granted = true
	heir.inheritPriority()
	b.wake(first)
	if old != nil {
		old.inheritPriority()
	}
	piMu.Unlock()
	return nil
}

// exitRobustList marks the mutexes that the ending thread holds and wakes one
// waiter of each (get_robust_list(2), Documentation/locking/robust-futexes.rst).
// The list is the program's: every pointer may be bad.
func (t *Thread) exitRobustList() {
	head := t.robustList
	t.robustList = 0
	if head == 0 {
		return
	}
	entry, err := t.MM.Load64(head)
	if err != nil {
		return
	}
	offset, err := t.MM.Load64(head + 8)
	if err != nil {
		return
	}
	inProgress, err := t.MM.Load64(head + 16)
	if err != nil {
		return
	}
	for range linux.ROBUST_LIST_LIMIT {
		if entry&^1 == head {
			break
		}
		next, err := t.MM.Load64(entry &^ 1)
		if entry != inProgress {
			if !t.ownerDied(entry&^1+offset, entry&1 != 0, false) {
				return
			}
		}
		if err != nil {
			return
		}
		entry = next
	}
	if inProgress != 0 {
		t.ownerDied(inProgress&^1+offset, inProgress&1 != 0, true)
	}
}

// ownerDied marks one word, if the thread owns it; false if it cannot be accessed.
func (t *Thread) ownerDied(addr uint64, pi, inProgress bool) bool {
	for addr&3 == 0 {
		v, err := t.MM.Load32(addr)
		if err != nil {
			return false
		}
		owner := v & linux.FUTEX_TID_MASK
		if inProgress && !pi && owner == 0 {
			// It died between unlocking and waking.
			t.FutexWake(addr, false, 1, linux.FUTEX_BITSET_MATCH_ANY)
			t.FutexWake(addr, true, 1, linux.FUTEX_BITSET_MATCH_ANY)
			return true
		}
		if owner != uint32(t.TID) {
			return true
		}
		if pi {
			k, err := t.futexKey(addr, true)
			if err != nil {
				return false
			}
			b := bucketOf(k)
			b.mu.Lock()
			err = t.handOver(b, addr, v, linux.FUTEX_OWNER_DIED)
			b.mu.Unlock()
			return err == nil
		}
		prev, err := t.MM.CAS32(addr, v, v&linux.FUTEX_WAITERS|linux.FUTEX_OWNER_DIED)
		if err != nil {
			return false
		}
		if prev != v {
			continue
		}
		if v&linux.FUTEX_WAITERS != 0 {
			// Robust mutexes may be shared or private; the word does not say.
			t.FutexWake(addr, true, 1, linux.FUTEX_BITSET_MATCH_ANY)
			t.FutexWake(addr, false, 1, linux.FUTEX_BITSET_MATCH_ANY)
		}
		return true
	}
	return false
}
