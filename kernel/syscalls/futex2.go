package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/task"
)

// futex2Rows are the calls that take the operations of futex(2) apart (Linux 6.7, Documentation/userspace-api/futex2.rst).
var futex2Rows = []Row{
	{AMD64: 454, ARM64: 454, Name: "futex_wake", Fn: sysFutexWake, Format: "uaddr:ptr, mask:hex, nr:int, flags:hex"},
	{AMD64: 455, ARM64: 455, Name: "futex_wait", Fn: sysFutexWait, Format: "uaddr:ptr, val:hex, mask:hex, flags:hex, timeout:timespec, clockid:clockid"},
	{AMD64: 456, ARM64: 456, Name: "futex_requeue", Fn: sysFutexRequeue, Format: "waiters:ptr, flags:hex, nr_wake:int, nr_requeue:int"},
}

// futex2Flags checks the flags of a futex: words of 32 bits only, as in Linux 6.12.
func futex2Flags(v uint64) (private bool, err error) {
	if uint32(v)&^linux.FUTEX_PRIVATE_FLAG != linux.FUTEX_32 {
		return false, unix.EINVAL
	}
	return v&linux.FUTEX_PRIVATE_FLAG != 0, nil
}

func sysFutexWake(t *task.Thread, a *Args) (uint64, error) {
	private, err := futex2Flags(a[3])
	if err != nil {
		return 0, err
	}
	if a[1]>>32 != 0 || a[1] == 0 {
		return 0, unix.EINVAL
	}
	n := int(int32(a[2]))
	if n < 0 {
		n = 1
	}
	return count(t.FutexWake(a[0], private, n, uint32(a[1]))) // none of 0, where futex(2) wakes one
}

func sysFutexWait(t *task.Thread, a *Args) (uint64, error) {
	private, err := futex2Flags(a[3])
	if err != nil {
		return 0, err
	}
	if a[1]>>32 != 0 || a[2]>>32 != 0 {
		return 0, unix.EINVAL
	}
	deadline, err := clockDeadline(t, a[4], int32(a[5]))
	if err != nil {
		return 0, err
	}
	return futexWait(t, a[0], private, uint32(a[1]), uint32(a[2]), deadline)
}

// clockDeadline reads an absolute timeout of a clock; 0 is none.
func clockDeadline(t *task.Thread, addr uint64, clock int32) (int64, error) {
	if addr == 0 {
		return 0, nil
	}
	if clock != unix.CLOCK_MONOTONIC && clock != unix.CLOCK_REALTIME {
		return 0, unix.EINVAL
	}
	return futexDeadline(t, addr, false, clock == unix.CLOCK_REALTIME)
}

// futexWaiters reads n of struct futex_waitv.
func futexWaiters(t *task.Thread, addr, n uint64) ([]task.FutexWaitv, error) {
	b := make([]byte, 24*n)
	if err := t.MM.CopyIn(b, addr); err != nil {
		return nil, err
	}
	list := make([]task.FutexWaitv, n)
	for i := range list {
		w := b[24*i:]
		private, err := futex2Flags(uint64(le.Uint32(w[16:])))
		if err != nil || le.Uint32(w[20:]) != 0 || le.Uint64(w[0:])>>32 != 0 {
			return nil, unix.EINVAL
		}
		list[i] = task.FutexWaitv{Val: uint32(le.Uint64(w[0:])), Addr: le.Uint64(w[8:]), Private: private}
	}
	return list, nil
}

func sysFutexRequeue(t *task.Thread, a *Args) (uint64, error) {
	if uint32(a[1]) != 0 || a[0] == 0 {
		return 0, unix.EINVAL
	}
	w, err := futexWaiters(t, a[0], 2)
	if err != nil {
		return 0, err
	}
	if w[0].Private != w[1].Private {
		return 0, unix.EINVAL
	}
	woken, moved, err := t.FutexRequeue(w[0].Addr, w[1].Addr, w[0].Private, int(int32(a[2])), int(int32(a[3])), true, w[0].Val)
	return uint64(woken + moved), err
}
