package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/task"
	"gosv/kernel/wait"
)

// futexRows are the calls of futex(7).
var futexRows = []Row{
	{AMD64: 202, ARM64: 98, Name: "futex", Blocks: true, Fn: sysFutex, Format: "uaddr:ptr, op:futexop, val:uint, timeout:futexts, uaddr2:ptr, val3:hex",
		Level: Partial, Note: "no FUTEX_WAIT_REQUEUE_PI and FUTEX_CMP_REQUEUE_PI (ENOSYS; glibc has not used them since 2.25)"},
	{AMD64: 449, ARM64: 449, Name: "futex_waitv", Blocks: true, Fn: sysFutexWaitv, Format: "waiters:ptr, nr:uint, flags:hex, timeout:timespec, clockid:clockid"},
}

// sysFutex is futex(2).
func sysFutex(t *task.Thread, a *Args) (uint64, error) {
	addr, op, val, val3 := a[0], uint32(a[1]), uint32(a[2]), uint32(a[5])
	private := op&linux.FUTEX_PRIVATE_FLAG != 0
	realtime := op&linux.FUTEX_CLOCK_REALTIME != 0
	cmd := op & 0x7f
	if op&^(0x7f|linux.FUTEX_PRIVATE_FLAG|linux.FUTEX_CLOCK_REALTIME) != 0 {
		return 0, unix.ENOSYS
	}
	if realtime && cmd != linux.FUTEX_WAIT && cmd != linux.FUTEX_WAIT_BITSET && cmd != linux.FUTEX_LOCK_PI2 && cmd != linux.FUTEX_WAIT_REQUEUE_PI {
		return 0, unix.ENOSYS
	}
	switch cmd {
	case linux.FUTEX_WAKE:
		return count(t.FutexWake(addr, private, wakeCount(val), linux.FUTEX_BITSET_MATCH_ANY))
	case linux.FUTEX_WAKE_BITSET:
		return count(t.FutexWake(addr, private, wakeCount(val), val3))
	case linux.FUTEX_WAIT:
		val3 = linux.FUTEX_BITSET_MATCH_ANY
		fallthrough
	case linux.FUTEX_WAIT_BITSET:
		deadline, err := futexDeadline(t, a[3], cmd == linux.FUTEX_WAIT, realtime)
		if err != nil {
			return 0, err
		}
		return futexWait(t, addr, private, val, val3, deadline)
	case linux.FUTEX_REQUEUE:
		woken, _, err := t.FutexRequeue(addr, a[4], private, int(int32(val)), int(int32(a[3])), false, 0)
		return uint64(woken), err
	case linux.FUTEX_CMP_REQUEUE:
		woken, moved, err := t.FutexRequeue(addr, a[4], private, int(int32(val)), int(int32(a[3])), true, val3)
		return uint64(woken + moved), err
	case linux.FUTEX_WAKE_OP:
		return count(t.FutexWakeOp(addr, a[4], private, wakeCount(val), wakeCount(uint32(a[3])), val3))
	case linux.FUTEX_LOCK_PI, linux.FUTEX_LOCK_PI2:
		deadline, err := futexDeadline(t, a[3], false, cmd == linux.FUTEX_LOCK_PI || realtime)
		if err != nil {
			return 0, err
		}
		return 0, t.FutexLockPI(addr, private, false, deadline)
	case linux.FUTEX_TRYLOCK_PI:
		return 0, t.FutexLockPI(addr, private, true, 0)
	case linux.FUTEX_UNLOCK_PI:
		return 0, t.FutexUnlockPI(addr, private)
	}
	return 0, unix.ENOSYS
}

func count(n int, err error) (uint64, error) { return uint64(n), err }

// wakeCount is how many waiters to wake: Linux wakes one if it is told less.
func wakeCount(val uint32) int { return max(int(int32(val)), 1) }

// futexWait waits; with a timeout, an interruption by a signal without a handler
// goes on with the same deadline.
func futexWait(t *task.Thread, addr uint64, private bool, val, bitset uint32, deadline int64) (uint64, error) {
	err := t.FutexWait(addr, private, val, bitset, deadline)
	if err == linux.ERESTARTSYS && deadline != 0 {
		return 0, t.RestartWith(func(t *task.Thread) (uint64, error) {
			return futexWait(t, addr, private, val, bitset, deadline)
		})
	}
	return 0, err
}

// futexDeadline reads a timeout and makes what wait.Sleeper.Sleep takes of it; 0 is none.
func futexDeadline(t *task.Thread, addr uint64, relative, realtime bool) (int64, error) {
	if addr == 0 {
		return 0, nil
	}
	ns, err := copyInTimespec(t, addr)
	if err != nil {
		return 0, err
	}
	switch {
	case relative:
		return after(ns), nil
	case realtime:
		return wait.Realtime(ns), nil
	}
	return max(ns, 1), nil
}

func sysFutexWaitv(t *task.Thread, a *Args) (uint64, error) {
	n := uint64(uint32(a[1]))
	if n == 0 || n > linux.FUTEX_WAITV_MAX || uint32(a[2]) != 0 || a[0] == 0 {
		return 0, unix.EINVAL
	}
	deadline, err := clockDeadline(t, a[3], int32(a[4]))
	if err != nil {
		return 0, err
	}
	list, err := futexWaiters(t, a[0], n)
	if err != nil {
		return 0, err
	}
	return count(t.FutexWaitv(list, deadline))
}
