package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/seccomp"
	"gosv/kernel/task"
)

// ptraceRows are the calls of debuggers.
var ptraceRows = []Row{
	{AMD64: 101, ARM64: 117, Name: "ptrace", Fn: sysPtrace, Format: "request:flags.ptrace, pid:int, addr:ptr, data:ptr",
		Level: Partial, Note: "no PTRACE_SINGLEBLOCK, PTRACE_SECCOMP_GET_FILTER and PTRACE_GET_RSEQ_CONFIGURATION (EIO), no PTRACE_O_SUSPEND_SECCOMP (EINVAL)"},
}

// sysPtrace is the call itself: glibc's wrapper returns what PTRACE_PEEKDATA
// stores here.
func sysPtrace(t *task.Thread, a *Args) (uint64, error) {
	request, addr, data := a[0], a[2], a[3]
	if request == unix.PTRACE_TRACEME {
		return 0, t.TraceMe()
	}
	o := task.Tasks.Thread(int(int32(a[1])))
	if o == nil {
		return 0, unix.ESRCH
	}
	switch request {
	case unix.PTRACE_ATTACH:
		return 0, t.Attach(o, false, 0)
	case unix.PTRACE_SEIZE:
		if addr != 0 || data&^linux.PtraceOptions != 0 {
			return 0, unix.EIO
		}
		return 0, t.Attach(o, true, uint32(data))
	}
	running := request == unix.PTRACE_KILL || request == unix.PTRACE_INTERRUPT
	if err := t.UseTracee(o, running); err != nil {
		return 0, err
	}
	defer o.TraceeDone()
	switch request {
	case unix.PTRACE_KILL:
		return 0, o.Signal(linux.NewSigInfo(int(unix.SIGKILL), linux.SI_USER))
	case unix.PTRACE_INTERRUPT:
		return 0, o.InterruptTracee()
	case unix.PTRACE_LISTEN:
		return 0, o.Listen()
	case unix.PTRACE_CONT, unix.PTRACE_SYSCALL, unix.PTRACE_SINGLESTEP, unix.PTRACE_SYSEMU, unix.PTRACE_SYSEMU_SINGLESTEP, unix.PTRACE_DETACH:
		return 0, resumeTracee(o, request, data)
	case unix.PTRACE_SETOPTIONS, unix.PTRACE_OLDSETOPTIONS:
		if data&^linux.PtraceOptions != 0 {
			return 0, unix.EINVAL
		}
		o.SetTraceOptions(uint32(data))
		return 0, nil
	case unix.PTRACE_GETEVENTMSG:
		return 0, t.MM.Store64(data, o.TraceMessage())
	case unix.PTRACE_GET_SYSCALL_INFO:
		return syscallInfo(t, o, addr, data)
	case unix.PTRACE_PEEKTEXT, unix.PTRACE_PEEKDATA:
		var b [8]byte
		if _, err := o.MM.Peek(b[:], addr); err != nil {
			return 0, unix.EIO
		}
		return 0, t.MM.CopyOut(data, b[:])
	case unix.PTRACE_POKETEXT, unix.PTRACE_POKEDATA:
		var b [8]byte
		le.PutUint64(b[:], data)
		if _, err := o.MM.Poke(addr, b[:]); err != nil {
			return 0, unix.EIO
		}
		return 0, nil
	case unix.PTRACE_GETSIGINFO, unix.PTRACE_SETSIGINFO, unix.PTRACE_PEEKSIGINFO, unix.PTRACE_GETSIGMASK, unix.PTRACE_SETSIGMASK:
		return tracedSignals(t, o, request, addr, data)
	}
	return tracedRegisters(t, o, request, addr, data)
}

// resumeTracee lets a thread go on. EIO for a signal that there is not.
func resumeTracee(o *task.Thread, request, sig uint64) error {
	if sig > linux.NSIG {
		return unix.EIO
	}
	switch request {
	case unix.PTRACE_CONT:
		o.Resume(task.GoOn, int(sig))
	case unix.PTRACE_SYSCALL:
		o.Resume(task.StopAtCalls, int(sig))
	case unix.PTRACE_SINGLESTEP:
		o.Resume(task.StepOnce, int(sig))
	case unix.PTRACE_SYSEMU:
		o.Resume(task.EmulateCall, int(sig))
	case unix.PTRACE_SYSEMU_SINGLESTEP:
		o.Resume(task.EmulateCall|task.StepOnce, int(sig))
	default:
		o.Detach(int(sig))
	}
	return nil
}

// tracedSignals are the requests about the signals of a tracee.
func tracedSignals(t, o *task.Thread, request, addr, data uint64) (uint64, error) {
	switch request {
	case unix.PTRACE_GETSIGINFO:
		info := o.StopInfo()
		if info == nil {
			return 0, unix.EINVAL
		}
		return 0, t.MM.CopyOut(data, info[:])
	case unix.PTRACE_SETSIGINFO:
		var b linux.SigInfo
		if err := t.MM.CopyIn(b[:], data); err != nil {
			return 0, err
		}
		info := o.StopInfo()
		if info == nil {
			return 0, unix.EINVAL
		}
		*info = b
		return 0, nil
	case unix.PTRACE_PEEKSIGINFO:
		var b [16]byte // struct ptrace_peeksiginfo_args
		if err := t.MM.CopyIn(b[:], addr); err != nil {
			return 0, err
		}
		off, flags, n := le.Uint64(b[0:]), le.Uint32(b[8:]), int32(le.Uint32(b[12:]))
		if flags&^unix.PTRACE_PEEKSIGINFO_SHARED != 0 || n < 0 {
			return 0, unix.EINVAL
		}
		infos := o.PeekSignals(flags != 0, off, int(n))
		for i := range infos {
			if err := t.MM.CopyOut(data+uint64(i*len(infos[i])), infos[i][:]); err != nil {
				if i > 0 {
					return uint64(i), nil
				}
				return 0, err
			}
		}
		return uint64(len(infos)), nil
	case unix.PTRACE_GETSIGMASK:
		if addr != sigSetSize {
			return 0, unix.EINVAL
		}
		return 0, t.MM.Store64(data, uint64(o.TraceeMask()))
	default:
		set, err := copyInSigSet(t, data, addr)
		if err == nil {
			o.SetTraceeMask(set)
		}
		return 0, err
	}
}

// syscallInfo is PTRACE_GET_SYSCALL_INFO: it writes as much of struct
// ptrace_syscall_info as there is room for, and returns its whole size.
func syscallInfo(t, o *task.Thread, room, addr uint64) (uint64, error) {
	var b [linux.SyscallInfoSeccomp]byte
	r := &o.Ctx.Regs
	le.PutUint32(b[4:], seccomp.Arch)
	le.PutUint64(b[8:], r.IP)
	le.PutUint64(b[16:], r.SP)
	size := linux.SyscallInfoNone
	entry := func(op byte) {
		b[0] = op
		le.PutUint64(b[24:], uint64(o.SyscallNr))
		for i, v := range [...]uint64{r.DI, r.SI, r.DX, r.R10, r.R8, r.R9} {
			le.PutUint64(b[32+8*i:], v)
		}
	}
	code := int32(0)
	if info := o.StopInfo(); info != nil {
		code = info.Code()
	}
	const trap = int32(unix.SIGTRAP)
	switch message := o.TraceMessage(); {
	case code == trap|linux.TraceSysGood && message == unix.PTRACE_EVENTMSG_SYSCALL_ENTRY:
		entry(unix.PTRACE_SYSCALL_INFO_ENTRY)
		size = linux.SyscallInfoEntry
	case code == trap|linux.TraceSysGood && message == unix.PTRACE_EVENTMSG_SYSCALL_EXIT:
		b[0] = unix.PTRACE_SYSCALL_INFO_EXIT
		le.PutUint64(b[24:], r.AX)
		if int64(r.AX) < 0 && int64(r.AX) >= -4095 {
			b[32] = 1
		}
		size = linux.SyscallInfoExit
	case code == trap|unix.PTRACE_EVENT_SECCOMP<<8:
		entry(unix.PTRACE_SYSCALL_INFO_SECCOMP)
		le.PutUint32(b[80:], uint32(message))
		size = linux.SyscallInfoSeccomp
	}
	return uint64(size), t.MM.CopyOut(addr, b[:min(uint64(size), room)])
}
