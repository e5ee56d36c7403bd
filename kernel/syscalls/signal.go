package syscalls

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/task"
)

var le = binary.LittleEndian

// signalRows are the calls of signal(7).
var signalRows = []Row{
	{AMD64: 13, ARM64: 134, Name: "rt_sigaction", Fn: sysSigaction, Format: "signum:sig, act:sigaction, oldact:sigaction.out, sigsetsize:size"},
	{AMD64: 14, ARM64: 135, Name: "rt_sigprocmask", Fn: sysSigprocmask, Format: "how:flags.sighow, set:sigset, oldset:sigset.out, sigsetsize:size"},
	{AMD64: 15, ARM64: 139, Name: "rt_sigreturn", Fn: sysSigreturn},
	{AMD64: 127, ARM64: 136, Name: "rt_sigpending", Fn: sysSigpending, Format: "set:sigset.out, sigsetsize:size"},
	{AMD64: 130, ARM64: 133, Name: "rt_sigsuspend", Blocks: true, Fn: sysSigsuspend, Format: "set:sigset, sigsetsize:size"},
	{AMD64: 128, ARM64: 137, Name: "rt_sigtimedwait", Blocks: true, Fn: sysSigtimedwait, Format: "set:sigset, info:ptr, timeout:timespec, sigsetsize:size, =sig"},
	{AMD64: 129, ARM64: 138, Name: "rt_sigqueueinfo", Fn: sysSigqueueinfo, Format: "pid:int, sig:sig, info:ptr"},
	{AMD64: 297, ARM64: 240, Name: "rt_tgsigqueueinfo", Fn: sysTgsigqueueinfo, Format: "tgid:int, tid:int, sig:sig, info:ptr"},
	{AMD64: 131, ARM64: 132, Name: "sigaltstack", Fn: sysSigaltstack, Format: "ss:stack, old_ss:stack.out"},
	{AMD64: 62, ARM64: 129, Name: "kill", Fn: sysKill, Format: "pid:int, sig:sig"},
	{AMD64: 200, ARM64: 130, Name: "tkill", Fn: sysTkill, Format: "tid:int, sig:sig"},
	{AMD64: 234, ARM64: 131, Name: "tgkill", Fn: sysTgkill, Format: "tgid:int, tid:int, sig:sig"},
	{AMD64: 34, ARM64: NoNumber, Name: "pause", Blocks: true, Fn: sysPause},
	{AMD64: 37, ARM64: NoNumber, Name: "alarm", Fn: sysAlarm, Format: "seconds:uint"},
	{AMD64: 36, ARM64: 102, Name: "getitimer", Fn: sysGetitimer, Format: "which:flags.itimer, value:itimerval.out"},
	{AMD64: 38, ARM64: 103, Name: "setitimer", Fn: sysSetitimer, Format: "which:flags.itimer, new:itimerval, old:itimerval.out"},
}

const sigSetSize = 8

func copyInSigSet(t *task.Thread, addr, size uint64) (linux.SigSet, error) {
	if size != sigSetSize {
		return 0, unix.EINVAL
	}
	v, err := t.MM.Load64(addr)
	return linux.SigSet(v), err
}

func sysSigaction(t *task.Thread, a *Args) (uint64, error) {
	if a[3] != sigSetSize {
		return 0, unix.EINVAL
	}
	var act *linux.SigAction
	if a[1] != 0 {
		var b [linux.SigActionSize]byte
		if err := t.MM.CopyIn(b[:], a[1]); err != nil {
			return 0, err
		}
		act = &linux.SigAction{Handler: le.Uint64(b[0:]), Flags: le.Uint64(b[8:]), Restorer: le.Uint64(b[16:]), Mask: linux.SigSet(le.Uint64(b[24:]))}
	}
	old, err := t.SetAction(int(int32(a[0])), act)
	if err != nil || a[2] == 0 {
		return 0, err
	}
	var b [linux.SigActionSize]byte
	for i, v := range [...]uint64{old.Handler, old.Flags, old.Restorer, uint64(old.Mask)} {
		le.PutUint64(b[8*i:], v)
	}
	return 0, t.MM.CopyOut(a[2], b[:])
}

func sysSigprocmask(t *task.Thread, a *Args) (uint64, error) {
	if a[3] != sigSetSize {
		return 0, unix.EINVAL
	}
	old := t.SignalMask()
	if a[1] != 0 {
		set, err := copyInSigSet(t, a[1], a[3])
		if err != nil {
			return 0, err
		}
		if _, err := t.SetMask(int(int32(a[0])), set); err != nil {
			return 0, err
		}
	}
	if a[2] != 0 {
		return 0, t.MM.Store64(a[2], uint64(old))
	}
	return 0, nil
}

func sysSigreturn(t *task.Thread, a *Args) (uint64, error) { return t.SigReturn(), nil }

func sysSigpending(t *task.Thread, a *Args) (uint64, error) {
	if a[1] > sigSetSize {
		return 0, unix.EINVAL
	}
	var b [sigSetSize]byte
	le.PutUint64(b[:], uint64(t.PendingSignals()))
	return 0, t.MM.CopyOut(a[0], b[:a[1]])
}

func sysSigsuspend(t *task.Thread, a *Args) (uint64, error) {
	set, err := copyInSigSet(t, a[0], a[1])
	if err != nil {
		return 0, err
	}
	t.SetTemporaryMask(set)
	return 0, waitForSignal(t)
}

func sysPause(t *task.Thread, a *Args) (uint64, error) { return 0, waitForSignal(t) }

func waitForSignal(t *task.Thread) error {
	t.Clear()
	for t.Sleep(0) != interrupted {
	}
	return linux.ERESTARTNOHAND
}

func sysSigtimedwait(t *task.Thread, a *Args) (uint64, error) {
	set, err := copyInSigSet(t, a[0], a[3])
	if err != nil {
		return 0, err
	}
	deadline := int64(0)
	if a[2] != 0 {
		ns, err := copyInTimespec(t, a[2])
		if err != nil {
			return 0, err
		}
		deadline = -1
		if ns > 0 {
			deadline = after(ns)
		}
	}
	info, err := t.WaitSignal(set, deadline)
	if err != nil {
		return 0, err
	}
	if a[1] != 0 {
		if err := t.MM.CopyOut(a[1], info[:]); err != nil {
			return 0, err
		}
	}
	return uint64(info.Signo()), nil
}

// copyInSigInfo reads a siginfo_t that a program made up. It may not look like a
// signal of the kernel or of kill(2), except to the calling thread itself.
func copyInSigInfo(t *task.Thread, addr uint64, sig int, self bool) (info linux.SigInfo, err error) {
	if err := t.MM.CopyIn(info[:], addr); err != nil {
		return info, err
	}
	info.SetSigno(sig)
	if !info.TrimExpansion() {
		return info, unix.E2BIG
	}
	if code := info.Code(); (code >= 0 || code == linux.SI_TKILL) && !self {
		return info, unix.EPERM
	}
	return info, nil
}

func sysSigqueueinfo(t *task.Thread, a *Args) (uint64, error) {
	pid, sig := int(int32(a[0])), int(int32(a[1]))
	info, err := copyInSigInfo(t, a[2], sig, pid == t.TID)
	if err != nil {
		return 0, err
	}
	p := processOf(pid)
	if p == nil {
		return 0, unix.ESRCH
	}
	return 0, send(t, p, nil, info)
}

// processOf returns the process that id names, be it that of the process or that of
// one of its threads; nil if there is none.
func processOf(id int) *task.Process {
	if p := task.Tasks.Process(id); p != nil {
		return p
	}
	if o := task.Tasks.Thread(id); o != nil {
		return o.Proc
	}
	return nil
}

func sysTgsigqueueinfo(t *task.Thread, a *Args) (uint64, error) {
	tgid, tid, sig := int(int32(a[0])), int(int32(a[1])), int(int32(a[2]))
	if tgid <= 0 || tid <= 0 {
		return 0, unix.EINVAL
	}
	info, err := copyInSigInfo(t, a[3], sig, tid == t.TID)
	if err != nil {
		return 0, err
	}
	o := task.Tasks.Thread(tid)
	if o == nil || o.Proc.PID != tgid {
		return 0, unix.ESRCH
	}
	return 0, send(t, o.Proc, o, info)
}

// send checks number and permission and sends the signal, to thread o if it is
// not nil. Signal 0 only checks.
func send(t *task.Thread, p *task.Process, o *task.Thread, info linux.SigInfo) error {
	sig := info.Signo()
	if sig < 0 || sig > linux.NSIG {
		return unix.EINVAL
	}
	if !mayKill(t, p, sig) {
		return unix.EPERM
	}
	switch {
	case sig == 0, p != t.Proc && task.Protected(p, sig):
		return nil
	case o != nil:
		return o.Signal(info)
	}
	return p.Signal(info)
}

// mayKill is the permission of kill(2).
func mayKill(t *task.Thread, p *task.Process, sig int) bool {
	if p == t.Proc {
		return true
	}
	c, o := t.Creds(), p.Leader().Creds()
	if c.EUID == o.SUID || c.EUID == o.UID || c.UID == o.SUID || c.UID == o.UID || c.Has(unix.CAP_KILL) {
		return true
	}
	return sig == int(unix.SIGCONT) && p.SID() == t.Proc.SID()
}

func userInfo(t *task.Thread, sig int, code int32) linux.SigInfo {
	info := linux.NewSigInfo(sig, code)
	info.SetSender(t.Proc.PID, t.Creds().UID)
	return info
}

func sysKill(t *task.Thread, a *Args) (uint64, error) {
	pid, sig := int(int32(a[0])), int(int32(a[1]))
	info := userInfo(t, sig, linux.SI_USER)
	if pid > 0 {
		p := processOf(pid)
		if p == nil {
			return 0, unix.ESRCH
		}
		return 0, send(t, p, nil, info)
	}
	var targets []*task.Process
	switch {
	case pid == 0:
		targets = task.Tasks.Group(t.Proc.PGID())
	case pid == -1:
		for _, p := range task.Tasks.Processes() {
			if p != t.Proc && p != task.Init() {
				targets = append(targets, p)
			}
		}
	case pid == -1<<31:
		return 0, unix.ESRCH
	default:
		targets = task.Tasks.Group(-pid)
	}
	err := sendAll(t, targets, info)
	if pid == -1 && err == unix.EPERM {
		err = nil // Linux skips in silence what -1 may not reach
	}
	return 0, err
}

// sendAll sends to several processes, and has done it if one of them got it.
func sendAll(t *task.Thread, targets []*task.Process, info linux.SigInfo) error {
	if len(targets) == 0 {
		return unix.ESRCH
	}
	var err error
	sent := false
	for _, p := range targets {
		if e := send(t, p, nil, info); e != nil {
			err = e
		} else {
			sent = true
		}
	}
	if sent {
		return nil
	}
	return err
}

func sysTkill(t *task.Thread, a *Args) (uint64, error) {
	return 0, sendThread(t, 0, int(int32(a[0])), int(int32(a[1])))
}

func sysTgkill(t *task.Thread, a *Args) (uint64, error) {
	tgid := int(int32(a[0]))
	if tgid <= 0 {
		return 0, unix.EINVAL
	}
	return 0, sendThread(t, tgid, int(int32(a[1])), int(int32(a[2])))
}

func sendThread(t *task.Thread, tgid, tid, sig int) error {
	if tid <= 0 {
		return unix.EINVAL
	}
	o := t
	if tid != t.TID {
		o = task.Tasks.Thread(tid)
	}
	if o == nil || tgid != 0 && o.Proc.PID != tgid {
		return unix.ESRCH
	}
	return send(t, o.Proc, o, userInfo(t, sig, linux.SI_TKILL))
}

func sysSigaltstack(t *task.Thread, a *Args) (uint64, error) {
	sp, flags, size := t.AltStack()
	if a[0] != 0 {
		var b [24]byte
		if err := t.MM.CopyIn(b[:], a[0]); err != nil {
			return 0, err
		}
		if err := t.SetAltStack(le.Uint64(b[0:]), le.Uint32(b[8:]), le.Uint64(b[16:])); err != nil {
			return 0, err
		}
	}
	if a[1] != 0 {
		var b [24]byte
		le.PutUint64(b[0:], sp)
		le.PutUint32(b[8:], flags)
		le.PutUint64(b[16:], size)
		return 0, t.MM.CopyOut(a[1], b[:])
	}
	return 0, nil
}

func sysAlarm(t *task.Thread, a *Args) (uint64, error) {
	old, _ := t.Proc.SetInterval(0, int64(uint32(a[0]))*1e9, 0)
	secs := (old + 5e8) / 1e9 // rounded, but never to 0 while one is set
	if old > 0 && secs == 0 {
		secs = 1
	}
	return uint64(secs), nil
}

func sysGetitimer(t *task.Thread, a *Args) (uint64, error) {
	if a[0] > 2 {
		return 0, unix.EINVAL
	}
	v, p := t.Proc.Interval(int(a[0]))
	return 0, copyOutItimerval(t, a[1], v, p)
}

func sysSetitimer(t *task.Thread, a *Args) (uint64, error) {
	if a[0] > 2 {
		return 0, unix.EINVAL
	}
	var b [32]byte
	if a[1] != 0 { // a null pointer disarms, as on Linux
		if err := t.MM.CopyIn(b[:], a[1]); err != nil {
			return 0, err
		}
	}
	period, ok1 := getTimeval(b[0:])
	value, ok2 := getTimeval(b[16:])
	if !ok1 || !ok2 {
		return 0, unix.EINVAL
	}
	v, p := t.Proc.SetInterval(int(a[0]), value, period)
	if a[2] != 0 {
		return 0, copyOutItimerval(t, a[2], v, p)
	}
	return 0, nil
}

func copyOutItimerval(t *task.Thread, addr uint64, value, period int64) error {
	var b [32]byte
	putTimeval(b[0:], period)
	putTimeval(b[16:], value)
	return t.MM.CopyOut(addr, b[:])
}

// after is the deadline ns from now, without overflow.
func after(ns int64) int64 {
	now := cpu.Nanotime()
	if ns > 1<<63-1-now {
		return 1<<63 - 1
	}
	return now + ns
}
