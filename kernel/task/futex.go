package task

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/mm"
	"gosv/kernel/sched"
	"gosv/kernel/wait"
)

// futexWaiter is one wait on one futex. A thread has one inside; futex_waitv
// makes more.
type futexWaiter struct {
	key        mm.Key
	bitset     uint32
	thread     *Thread
	pi         bool
	granted    bool                        // a PI futex was handed over, and the thread has not run yet; guarded by mu
	level      int                         // its priority when it was queued
	index      int                         // in futex_waitv's array
	bucket     atomic.Pointer[futexBucket] // nil once woken
	next, prev *futexWaiter                // guarded by the bucket's mu
}

// futexBucket is the list of the waiters whose keys hash to it: by real-time
// priority, then oldest first.
type futexBucket struct {
	mu         sync.Mutex
	head, tail *futexWaiter
	_          [40]byte // a cache line each
}

var futexBuckets [256]futexBucket

func bucketOf(k mm.Key) *futexBucket { return &futexBuckets[k.Hash()%uint64(len(futexBuckets))] }

// lock2 locks two buckets in address order; they may be the same.
func lock2(a, b *futexBucket) {
	switch {
	case a == b:
		a.mu.Lock()
	case uintptr(unsafe.Pointer(a)) < uintptr(unsafe.Pointer(b)):
		a.mu.Lock()
		b.mu.Lock()
	default:
		b.mu.Lock()
		a.mu.Lock()
	}
}

func unlock2(a, b *futexBucket) {
	a.mu.Unlock()
	if a != b {
		b.mu.Unlock()
	}
}

// push queues w: those with a real-time priority come first, by that, and equals
// in order of arrival.
func (b *futexBucket) push(w *futexWaiter) {
	w.level = 0
	if sched.On() {
		if w.level = w.thread.schedule.Level(); w.level > 0 {
			b.insert(w)
			return
		}
	}
	w.next, w.prev = nil, b.tail
	if b.tail != nil {
		b.tail.next = w
	} else {
		b.head = w
	}
	b.tail = w
	w.bucket.Store(b)
}

// insert queues w, which has a real-time priority, behind those that have no lower
// one.
func (b *futexBucket) insert(w *futexWaiter) {
	var before *futexWaiter
	after := b.head
	for after != nil && after.level >= w.level {
		before, after = after, after.next
	}
	w.prev, w.next = before, after
	if before != nil {
		before.next = w
	} else {
		b.head = w
	}
	if after != nil {
		after.prev = w
	} else {
		b.tail = w
	}
	w.bucket.Store(b)
}

func (b *futexBucket) unlink(w *futexWaiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		b.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		b.tail = w.prev
	}
	w.next, w.prev = nil, nil
}

// wake takes w off the list and wakes its thread.
func (b *futexBucket) wake(w *futexWaiter) {
	b.unlink(w)
	t := w.thread
	w.bucket.Store(nil)
	t.Wake()
}

// wakeKey wakes up to n waiters on k that match bitset.
func (b *futexBucket) wakeKey(k mm.Key, bitset uint32, n int) (woken int) {
	for w := b.head; w != nil && woken < n; {
		next := w.next
		if w.key == k && w.bitset&bitset != 0 && !w.pi {
			b.wake(w)
			woken++
		}
		w = next
	}
	return woken
}

// cancel takes w off whatever list it is on (a requeue may move it meanwhile);
// false if it was woken before.
func (w *futexWaiter) cancel() bool {
	for {
		b := w.bucket.Load()
		if b == nil {
			return false
		}
		b.mu.Lock()
		if w.bucket.Load() == b {
			b.unlink(w)
			w.bucket.Store(nil)
			b.mu.Unlock()
			return true
		}
		b.mu.Unlock()
	}
}

// FutexWait is FUTEX_WAIT_BITSET: it sleeps while the word at addr is val.
// deadline is what wait.Sleeper.Sleep takes. EAGAIN, ETIMEDOUT,
// ERESTARTSYS, EFAULT.
func (t *Thread) FutexWait(addr uint64, private bool, val, bitset uint32, deadline int64) error {
	if bitset == 0 {
		return unix.EINVAL
	}
	k, err := t.futexKey(addr, private)
	if err != nil {
		return err
	}
	w := &t.futex
	w.key, w.bitset, w.thread, w.pi = k, bitset, t, false
	t.Clear()
	b := bucketOf(k)
	b.mu.Lock()
	v, err := t.MM.Load32(addr)
	if err != nil || v != val {
		b.mu.Unlock()
		if err == nil {
			err = unix.EAGAIN
		}
		return err
	}
	b.push(w)
	b.mu.Unlock()
	err = t.sleepOnFutex(w, deadline)
	return err
}

// sleepOnFutex sleeps until w is woken.
func (t *Thread) sleepOnFutex(w *futexWaiter, deadline int64) error {
	for w.bucket.Load() != nil {
		r := t.Sleep(deadline)
		if r == wait.Woken {
			continue
		}
		if !w.cancel() {
			return nil
		}
		if r == wait.TimedOut {
			return unix.ETIMEDOUT
		}
		return linux.ERESTARTSYS
	}
	return nil
}

func (t *Thread) futexKey(addr uint64, private bool) (mm.Key, error) {
	if addr&3 != 0 {
		return mm.Key{}, unix.EINVAL
	}
	return t.MM.FutexKey(addr, private)
}

// FutexWake wakes up to n waiters that match bitset.
func (t *Thread) FutexWake(addr uint64, private bool, n int, bitset uint32) (int, error) {
	if bitset == 0 {
		return 0, unix.EINVAL
	}
	k, err := t.futexKey(addr, private)
	if err != nil {
		return 0, err
	}
	b := bucketOf(k)
	b.mu.Lock()
	woken := b.wakeKey(k, bitset, n)
	b.mu.Unlock()
	return woken, nil
}

// FutexRequeue wakes up to wake waiters on addr and moves up to move others to
// addr2. With compare, EAGAIN unless the word is val. It returns how many were
// woken and moved.
func (t *Thread) FutexRequeue(addr, addr2 uint64, private bool, wake, move int, compare bool, val uint32) (woken, moved int, err error) {
	if wake < 0 || move < 0 {
		return 0, 0, unix.EINVAL
	}
	k1, err := t.futexKey(addr, private)
	if err != nil {
		return 0, 0, err
	}
	k2, err := t.futexKey(addr2, private)
	if err != nil {
		return 0, 0, err
	}
	b1, b2 := bucketOf(k1), bucketOf(k2)
	lock2(b1, b2)
	defer unlock2(b1, b2)
	if compare {
		v, err := t.MM.Load32(addr)
		if err != nil {
			return 0, 0, err
		}
		if v != val {
			return 0, 0, unix.EAGAIN
		}
	}
	for w := b1.head; w != nil; {
		next := w.next
		if w.key == k1 && !w.pi {
			switch {
			case woken < wake:
				b1.wake(w)
				woken++
			case moved < move:
				if k1 != k2 {
					b1.unlink(w)
					w.key = k2
					b2.push(w)
				}
				moved++
			default:
				return woken, moved, nil
			}
		}
		w = next
	}
	return woken, moved, nil
}

// FutexWakeOp is FUTEX_WAKE_OP: it changes the word at addr2 as op says, wakes n
// waiters on addr, and n2 on addr2 if the old value compares as op says.
func (t *Thread) FutexWakeOp(addr, addr2 uint64, private bool, n, n2 int, op uint32) (int, error) {
	k1, err := t.futexKey(addr, private)
	if err != nil {
		return 0, err
	}
	k2, err := t.futexKey(addr2, private)
	if err != nil {
		return 0, err
	}
	b1, b2 := bucketOf(k1), bucketOf(k2)
	lock2(b1, b2)
	defer unlock2(b1, b2)
	old, err := t.futexOp(addr2, op)
	if err != nil {
		return 0, err
	}
	holds, err := futexCompare(op, old)
	if err != nil {
		return 0, err
	}
	woken := b1.wakeKey(k1, linux.FUTEX_BITSET_MATCH_ANY, n)
	if holds {
		woken += b2.wakeKey(k2, linux.FUTEX_BITSET_MATCH_ANY, n2)
	}
	return woken, nil
}

// futexOp does op's change and returns the old value.
func (t *Thread) futexOp(addr uint64, op uint32) (uint32, error) {
	kind := op >> 28
	arg := uint32(int32(op<<8) >> 20)
	if kind&linux.FUTEX_OP_OPARG_SHIFT != 0 {
		arg = 1 << (arg & 31)
		kind &^= linux.FUTEX_OP_OPARG_SHIFT
	}
	for {
		old, err := t.MM.Load32(addr)
		if err != nil {
			return 0, err
		}
		v := arg
		switch kind {
		case linux.FUTEX_OP_SET:
		case linux.FUTEX_OP_ADD:
			v = old + arg
		case linux.FUTEX_OP_OR:
			v = old | arg
		case linux.FUTEX_OP_ANDN:
			v = old &^ arg
		case linux.FUTEX_OP_XOR:
			v = old ^ arg
		default:
			return 0, unix.ENOSYS
		}
		prev, err := t.MM.CAS32(addr, old, v)
		if err != nil || prev == old {
			return old, err
		}
	}
}

func futexCompare(op, old uint32) (bool, error) {
	a, b := int32(old), int32(op<<20)>>20
	switch op >> 24 & 15 {
	case linux.FUTEX_OP_CMP_EQ:
		return a == b, nil
	case linux.FUTEX_OP_CMP_NE:
		return a != b, nil
	case linux.FUTEX_OP_CMP_LT:
		return a < b, nil
	case linux.FUTEX_OP_CMP_LE:
		return a <= b, nil
	case linux.FUTEX_OP_CMP_GT:
		return a > b, nil
	case linux.FUTEX_OP_CMP_GE:
		return a >= b, nil
	}
	return false, unix.ENOSYS
}

// A FutexWaitv is one element of futex_waitv(2).
type FutexWaitv struct {
	Addr    uint64
	Val     uint32
	Private bool
}

// FutexWaitv sleeps until one of the futexes is woken and returns its index.
func (t *Thread) FutexWaitv(list []FutexWaitv, deadline int64) (int, error) {
	ws := make([]futexWaiter, len(list))
	for i := range list {
		k, err := t.futexKey(list[i].Addr, list[i].Private)
		if err != nil {
			return 0, err
		}
		w := &ws[i]
		w.key, w.bitset, w.thread, w.index = k, linux.FUTEX_BITSET_MATCH_ANY, t, i
	}
	t.Clear()
	queued := 0
	stop := func() int {
		woken := -1
		for i := range queued {
			if !ws[i].cancel() && woken < 0 {
				woken = i
			}
		}
		return woken
	}
	for i := range ws {
		b := bucketOf(ws[i].key)
		b.mu.Lock()
		v, err := t.MM.Load32(list[i].Addr)
		if err != nil || v != list[i].Val {
			b.mu.Unlock()
			if n := stop(); n >= 0 {
				return n, nil
			}
			if err == nil {
				err = unix.EAGAIN
			}
			return 0, err
		}
		b.push(&ws[i])
		queued++
		b.mu.Unlock()
	}
	for {
		r := t.Sleep(deadline)
		if r == wait.Woken {
			for i := range ws {
				if ws[i].bucket.Load() == nil {
					stop()
					return i, nil
				}
			}
			continue
		}
		if n := stop(); n >= 0 {
			return n, nil
		}
		if r == wait.TimedOut {
			return 0, unix.ETIMEDOUT
		}
		return 0, linux.ERESTARTSYS
	}
}
