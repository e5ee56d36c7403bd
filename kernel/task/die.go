package task

import (
	"strconv"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/mm"
	"gosv/kernel/trace"
)

// die ends the process because of a signal with a default action. What kills a
// program by its own fault is named on the kernel's log.
func (t *Thread) die(info *linux.SigInfo) {
	sig := info.Signo()
	r := &t.Ctx.Regs
	e := &ExitInfo{Status: 128 + sig, Signal: signalName(sig), IP: r.IP, OOM: t.Proc.oomKilled.Load()}
	if coreSet.Has(sig) && sig != int(unix.SIGQUIT) && !t.Proc.exiting.Load() {
		e.Fault = info.Code() > 0 && synchronous.Has(sig)
		if e.Fault {
			e.Addr = info.Addr()
		}
		var code [15]byte
		n := t.readCode(code[:], r.IP)
		e.Insn = mnemonic(code[:n])
		b := append([]byte(nil), t.Comm()...)
		b = append(b, '[')
		b = strconv.AppendInt(b, int64(t.TID), 10)
		b = append(b, "]: "...)
		b = append(b, e.Signal...)
		if e.Fault {
			b = append(b, " ("...)
			b = append(b, faultText(sig, info.Code())...)
			b = append(b, ") address "...)
			b = appendHex(b, e.Addr)
		}
		b = append(b, " ip "...)
		b = appendHex(b, r.IP)
		b = t.appendPlace(b, r.IP)
		b = append(b, " sp "...)
		b = appendHex(b, r.SP)
		if n > 0 {
			b = append(b, " insn "...)
			b = append(b, e.Insn...)
			b = append(b, ':')
			for _, c := range code[:min(n, 8)] {
				b = append(b, ' ', hexDigits[c>>4], hexDigits[c&15])
			}
		}
		trace.Line(string(b))
	}
	if coreSet.Has(sig) && t.dumpCore(info, e) {
		return
	}
	t.Proc.end(sig, e)
}

// readCode reads the instruction at ip, as much of it as is there.
func (t *Thread) readCode(b []byte, ip uint64) int {
	if t.MM.CopyIn(b, ip) == nil {
		return len(b)
	}
	n := int(-ip & 0xfff)
	if n > 0 && n < len(b) && t.MM.CopyIn(b[:n], ip) == nil {
		return n
	}
	return 0
}

// appendPlace adds " in /bin/x+0x1136", the mapping that ip is in.
func (t *Thread) appendPlace(b []byte, ip uint64) []byte {
	t.MM.Areas(func(a mm.AreaInfo) bool {
		if ip < a.Start || ip >= a.End {
			return true
		}
		name, off := a.Name, ip-a.Start
		if a.File != nil {
			name, off = a.File.MapName(), off+a.Offset
		}
		if name != "" {
			b = append(b, " in "...)
			b = append(b, name...)
			b = append(b, '+')
			b = appendHex(b, off)
		}
		return false
	})
	return b
}

const hexDigits = "0123456789abcdef"

func appendHex(b []byte, v uint64) []byte { return strconv.AppendUint(append(b, "0x"...), v, 16) }

// signalName is "SIGSEGV".
func signalName(sig int) string {
	if sig >= linux.SIGRTMIN {
		if sig == linux.SIGRTMIN {
			return "SIGRTMIN"
		}
		return "SIGRT_" + strconv.Itoa(sig-linux.SIGRTMIN)
	}
	if s := unix.SignalName(unix.Signal(sig)); s != "" {
		return s
	}
	return "signal " + strconv.Itoa(sig)
}

// SignalName is the name of a signal as strace writes it.
func SignalName(sig int) string { return signalName(sig) }

func faultText(sig int, code int32) string {
	switch unix.Signal(sig) {
	case unix.SIGSEGV:
		switch code {
		case linux.SEGV_MAPERR:
			return "address not mapped"
		case linux.SEGV_ACCERR:
			return "no permission"
		}
		return "general protection"
	case unix.SIGBUS:
		switch code {
		case linux.BUS_ADRERR:
			return "beyond the end of the file"
		case linux.BUS_ADRALN:
			return "misaligned"
		}
	case unix.SIGFPE:
		switch code {
		case linux.FPE_INTDIV:
			return "integer division by zero"
		case linux.FPE_FLTDIV:
			return "floating-point division by zero"
		}
		return "floating-point exception"
	case unix.SIGILL:
		return "illegal instruction"
	case unix.SIGTRAP:
		return "trap"
	}
	return "fault"
}
