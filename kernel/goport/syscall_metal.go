//go:build metal

package goport

import (
	"sync/atomic"

	"gosv/kernel/cpu"
)

// Results that are errors: -errno.
const (
	eagain    = ^uint64(10)
	enomem    = ^uint64(11)
	einval    = ^uint64(21)
	enosys    = ^uint64(37)
	etimedout = ^uint64(109)
)

// deadline reads a relative timeout and makes it an absolute one; 0 is none.
//
//go:nosplit
func deadline(ts uintptr) int64 {
	if ts == 0 {
		return 0
	}
	return cpu.Nanotime() + int64(cpu.Load64(ts))*1e9 + int64(cpu.Load64(ts+8))
}

// syscallMain serves kcall: the "system calls" of Go's runtime. The arguments are in the saved registers, as the Linux
// ABI has them; so goes the result. What is not here is ENOSYS, which the runtime can live with.
//
//go:nosplit
func syscallMain() {
	c := cpu.This()
	t := current(c)
	r := &t.Regs
	nr := r.AX
	r.AX = 0
	switch nr {
	case 202: // futex
		futex(c, t, r)
	case 9: // mmap
		r.AX = uint64(reserve(uintptr(r.DI), uintptr(r.SI), r.DX, r.R10))
	case 11: // munmap
		release(uintptr(r.DI), uintptr(r.SI))
	case 28: // madvise
		if r.DX == 4 || r.DX == 8 { // DONTNEED, FREE
			release(uintptr(r.DI), uintptr(r.SI))
		}
	case 35: // nanosleep
		at := monitorSleep(deadline(uintptr(r.DI)))
		if shortSleep(c, at) {
			break
		}
		lockSched()
		t.block(at)
		unlockSched()
		schedule(c)
	case 24: // sched_yield
		yield(c)
	case callAffinity:
		setAffinity(c, t, r.DI)
	case 0: // read
		if r.DI == fdEvent {
			r.AX = 8
			atomic.StoreUint32(&pollReady[eventSlot], 0)
		} else {
			r.AX = enosys
		}
	case 1: // write
		write(r)
	case 56: // clone
		r.AX = newThread(t, r.SI, r.R8)
	case 60: // exit
		exitThread(c, t)
	case 231: // exit_group
		cpu.Exit(int(r.DI))
	case 39: // getpid
		r.AX = 1
	case 186: // gettid
		r.AX = uint64(t.num())
	case 13: // rt_sigaction
		sigaction(r)
	case 14: // rt_sigprocmask
		sigprocmask(t, r)
	case 131:
		sigaltstack(t, r)
	case 15: // rt_sigreturn
		sigreturn(t)
	case 234:
		tgkill(r)
	case 158: // arch_prctl(ARCH_SET_FS)
		t.FS = r.SI
	case 204: // sched_getaffinity
		cpu.Store64(uintptr(r.DX), 1<<uint(cpu.NumCPU())-1)
		r.AX = 8
	case 228: // clock_gettime
		now := cpu.Nanotime()
		if r.DI == 0 {
			now = cpu.Walltime()
		}
		cpu.Store64(uintptr(r.SI), uint64(now/1e9))
		cpu.Store64(uintptr(r.SI)+8, uint64(now%1e9))
	case 291: // epoll_create1
		r.AX = fdEpoll
	case 290: // eventfd2
		r.AX = fdEvent
	case 233:
		epollCtl(r)
	case 232, 281: // epoll_wait, epoll_pwait
		epollWait(c, t, r)
	case 72: // fcntl: the runtime looks whether descriptors 0 to 2 are open
	case 318: // getrandom
		getrandom(r)
	default:
		r.AX = enosys
	}
	resuming()
}

//go:nosplit
func exitThread(c *cpu.CPU, t *thread) {
	lockSched()
	t.state = threadFree
	t.runNext = freeThreads
	freeThreads = t.num()
	unlockSched()
	schedule(c)
}

//go:nosplit
func write(r *cpu.Regs) {
	switch r.DI {
	case fdEvent:
		lockSched()
		post(eventSlot)
		unlockSched()
		r.AX = 8
	case 1, 2:
		// Page in the buffer before a lock is taken.
		for p := r.SI; p < r.SI+r.DX; p = p&^(cpu.PageSize-1) + cpu.PageSize {
			_ = cpu.Load8(uintptr(p))
		}
		if r.DI == 2 {
			cpu.NotePanic(uintptr(r.SI), uintptr(r.DX))
		}
		cpu.LogBytes(uintptr(r.SI), uintptr(r.DX))
		r.AX = r.DX
	default:
		r.AX = enosys
	}
}

var rngState uint64

// getrandom serves the runtime's hash seeds: the processor's generator, else time stamps through a mixer (splitmix64).
//
//go:nosplit
func getrandom(r *cpu.Regs) {
	for i := uint64(0); i < r.SI; i += 8 {
		v := random()
		for j := uint64(0); j < 8 && i+j < r.SI; j++ {
			cpu.Store8(uintptr(r.DI+i+j), byte(v>>(8*j)))
		}
	}
	r.AX = r.SI
}

//go:nosplit
func random() uint64 {
	hw, _ := cpu.Random64()
	z := atomic.AddUint64(&rngState, 0x9e3779b97f4a7c15^cpu.RDTSC()<<1)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31 ^ hw
}
