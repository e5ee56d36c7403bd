package linux

import "encoding/binary"

// SigSet is a kernel sigset_t: bit n-1 stands for signal n.
type SigSet uint64

// SigBit returns the set that holds sig alone.
func SigBit(sig int) SigSet { return 1 << (sig - 1) }

// Has reports whether sig is in s.
func (s SigSet) Has(sig int) bool { return s&SigBit(sig) != 0 }

// Signal numbers that are not in package unix, and limits
// (include/uapi/asm-generic/signal.h).
const (
	SIGRTMIN = 32
	NSIG     = 64
)

// Values of a handler, and of rt_sigprocmask's how.
const (
	SIG_DFL = 0
	SIG_IGN = 1

	SIG_BLOCK   = 0
	SIG_UNBLOCK = 1
	SIG_SETMASK = 2
)

// SigAction is struct kernel_sigaction of x86-64.
type SigAction struct {
	Handler, Flags, Restorer uint64
	Mask                     SigSet
}

// SigActionSize is the size of SigAction in user memory.
const SigActionSize = 32

// Flags of SigAction.
const (
	SA_NOCLDSTOP      = 0x1
	SA_NOCLDWAIT      = 0x2
	SA_SIGINFO        = 0x4
	SA_UNSUPPORTED    = 0x400
	SA_EXPOSE_TAGBITS = 0x800
	SA_RESTORER       = 0x04000000
	SA_ONSTACK        = 0x08000000
	SA_RESTART        = 0x10000000
	SA_NODEFER        = 0x40000000
	SA_RESETHAND      = 0x80000000

	// SA_KNOWN are the flags that Linux keeps. It forgets others, by which programs
	// find out what it knows (sigaction(2), SA_UNSUPPORTED).
	SA_KNOWN = SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_EXPOSE_TAGBITS | SA_RESTORER | SA_ONSTACK | SA_RESTART |
		SA_NODEFER | SA_RESETHAND
)

// Flags of stack_t.
const (
	SS_ONSTACK    = 1
	SS_DISABLE    = 2
	SS_AUTODISARM = 1 << 31

	MINSIGSTKSZ = 2048
)

// SigInfo is siginfo_t: signo, errno and code, then a union.
type SigInfo [128]byte

// NewSigInfo returns a SigInfo without any union members.
func NewSigInfo(sig int, code int32) (i SigInfo) {
	binary.LittleEndian.PutUint32(i[0:], uint32(sig))
	binary.LittleEndian.PutUint32(i[8:], uint32(code))
	return i
}

// Signo is si_signo.
func (i *SigInfo) Signo() int { return int(int32(binary.LittleEndian.Uint32(i[0:]))) }

// SetSigno sets si_signo.
func (i *SigInfo) SetSigno(sig int) { binary.LittleEndian.PutUint32(i[0:], uint32(sig)) }

// Code is si_code.
func (i *SigInfo) Code() int32 { return int32(binary.LittleEndian.Uint32(i[8:])) }

// lastCode are the highest si_code of the signals that have their own
// (include/uapi/asm-generic/siginfo.h): NSIGILL and its like. Other signals have NSIGPOLL.
var lastCode = map[int]int32{4: 11, 8: 15, 11: 10, 7: 5, 5: 6, 17: 6, 29: 6, 31: 2}

// TrimExpansion clears the bytes that no union member has. It returns false if they
// are not zero, and the code is one of which Linux does not know the members.
func (i *SigInfo) TrimExpansion() bool {
	rest := i[48:]
	known := false
	switch c := i.Code(); {
	case c == SI_KERNEL, c == siAsyncNL, c <= 0 && c >= siDeThread:
		known = true
	case c > 0:
		last, own := lastCode[i.Signo()]
		if !own {
			last = 6
		}
		known = c <= last
	}
	if !known {
		for _, v := range rest {
			if v != 0 {
				return false
			}
		}
	}
	clear(rest)
	return true
}

const (
	siDeThread = -7
	siAsyncNL  = -60
)

// Addr is si_addr of a fault.
func (i *SigInfo) Addr() uint64 { return binary.LittleEndian.Uint64(i[16:]) }

// SetAddr sets si_addr.
func (i *SigInfo) SetAddr(a uint64) { binary.LittleEndian.PutUint64(i[16:], a) }

// SetSyscall sets what SIGSYS tells: si_errno, si_call_addr, si_syscall, si_arch.
func (i *SigInfo) SetSyscall(errno int, addr uint64, nr int, arch uint32) {
	binary.LittleEndian.PutUint32(i[4:], uint32(errno))
	binary.LittleEndian.PutUint64(i[16:], addr)
	binary.LittleEndian.PutUint32(i[24:], uint32(nr))
	binary.LittleEndian.PutUint32(i[28:], arch)
}

// SetSender sets si_pid and si_uid.
func (i *SigInfo) SetSender(pid int, uid uint32) {
	binary.LittleEndian.PutUint32(i[16:], uint32(pid))
	binary.LittleEndian.PutUint32(i[20:], uid)
}

// Sender is si_pid and si_uid.
func (i *SigInfo) Sender() (pid int, uid uint32) {
	return int(int32(binary.LittleEndian.Uint32(i[16:]))), binary.LittleEndian.Uint32(i[20:])
}

// SetTimer sets si_timerid, si_overrun and si_value of a POSIX timer.
func (i *SigInfo) SetTimer(id, overrun int32, value uint64) {
	binary.LittleEndian.PutUint32(i[16:], uint32(id))
	binary.LittleEndian.PutUint32(i[20:], uint32(overrun))
	binary.LittleEndian.PutUint64(i[24:], value)
}

// TimerID is si_timerid.
func (i *SigInfo) TimerID() int32 { return int32(binary.LittleEndian.Uint32(i[16:])) }

// SetChild sets what SIGCHLD tells about a child.
func (i *SigInfo) SetChild(pid int, uid uint32, status int32, utime, stime int64) {
	i.SetSender(pid, uid)
	binary.LittleEndian.PutUint32(i[24:], uint32(status))
	binary.LittleEndian.PutUint64(i[32:], uint64(utime))
	binary.LittleEndian.PutUint64(i[40:], uint64(stime))
}

// SetTimes sets the CPU times that SIGCHLD tells, in ticks.
func (i *SigInfo) SetTimes(utime, stime int64) {
	binary.LittleEndian.PutUint64(i[32:], uint64(utime))
	binary.LittleEndian.PutUint64(i[40:], uint64(stime))
}

// SetIO sets si_band and si_fd of signal-driven I/O.
func (i *SigInfo) SetIO(band uint64, fd int) {
	binary.LittleEndian.PutUint64(i[16:], band)
	binary.LittleEndian.PutUint32(i[24:], uint32(fd))
}

// Values of si_code of signal-driven I/O.
const (
	POLL_IN  = 1
	POLL_OUT = 2
	POLL_MSG = 3
	POLL_ERR = 4
	POLL_PRI = 5
	POLL_HUP = 6
)

// Values of si_code (include/uapi/asm-generic/siginfo.h).
const (
	SI_USER   = 0
	SI_KERNEL = 0x80
	SI_QUEUE  = -1
	SI_TIMER  = -2
	SI_MESGQ  = -3
	SI_SIGIO  = -5
	SI_TKILL  = -6

	ILL_ILLOPN = 2

	FPE_INTDIV = 1
	FPE_INTOVF = 2
	FPE_FLTDIV = 3
	FPE_FLTOVF = 4
	FPE_FLTUND = 5
	FPE_FLTRES = 6
	FPE_FLTINV = 7

	SEGV_MAPERR = 1
	SEGV_ACCERR = 2

	BUS_ADRALN = 1
	BUS_ADRERR = 2
	BUS_OBJERR = 3

	SYS_SECCOMP = 1

	TRAP_BRKPT  = 1
	TRAP_TRACE  = 2
	TRAP_HWBKPT = 4

	CLD_EXITED    = 1
	CLD_KILLED    = 2
	CLD_DUMPED    = 3
	CLD_TRAPPED   = 4
	CLD_STOPPED   = 5
	CLD_CONTINUED = 6
)

// Values of sigevent's sigev_notify.
const (
	SIGEV_SIGNAL    = 0
	SIGEV_NONE      = 1
	SIGEV_THREAD    = 2
	SIGEV_THREAD_ID = 4
)

// Flags of pidfd_send_signal(2).
const (
	PIDFD_SIGNAL_THREAD        = 1 << 0
	PIDFD_SIGNAL_THREAD_GROUP  = 1 << 1
	PIDFD_SIGNAL_PROCESS_GROUP = 1 << 2
)
