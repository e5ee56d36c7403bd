package task

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/seccomp"
)

// Seccomp is what the thread has forbidden itself, nil for nothing.
func (t *Thread) Seccomp() *seccomp.State { return t.seccomp.Load() }

// SetSeccomp replaces it. With all, the process's other threads get it too (and
// no_new_privs), unless one of them has filters that s was not made from: its ID
// is returned then, and nothing has changed.
func (t *Thread) SetSeccomp(s *seccomp.State, all bool) (conflict int) {
	p := t.Proc
	p.mu.Lock()
	defer p.mu.Unlock()
	if all {
		for _, o := range p.threads {
			if !s.Within(o.seccomp.Load()) {
				return o.TID
			}
		}
		for _, o := range p.threads {
			o.seccomp.Store(s)
			o.callWork.Or(callSeccomp)
			if c := *o.creds.Load(); t.Creds().NoNewPrivs && !c.NoNewPrivs {
				c.NoNewPrivs = true
				o.creds.Store(&c)
			}
		}
	}
	t.seccomp.Store(s)
	t.callWork.Or(callSeccomp)
	return 0
}

// SeccompKill ends the thread, or the process, as a filter wants it: with SIGSYS,
// or in strict mode SIGKILL.
func (t *Thread) SeccompKill(sig int, process bool) {
	p := t.Proc
	p.mu.Lock()
	alone := len(p.threads) == 1
	p.mu.Unlock()
	if process || alone {
		p.end(sig, &ExitInfo{Status: 128 + sig, Signal: signalName(sig), IP: t.Ctx.Regs.IP})
		return
	}
	t.exitStatus = sig
	t.work.Or(workExit)
}

// SeccompTrap is the signal that a filter asks for instead of the call, which can
// be looked at and emulated in the handler: the registers are those before it.
func (t *Thread) SeccompTrap(nr int, data uint16, arch uint32) {
	t.Ctx.Regs.AX = uint64(nr)
	t.SyscallNr = -1
	info := linux.NewSigInfo(int(unix.SIGSYS), linux.SYS_SECCOMP)
	info.SetSyscall(int(data), t.Ctx.Regs.IP, nr, arch)
	t.force(&info)
}
