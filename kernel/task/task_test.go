package task

import (
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// base is where the tests' memory is.
const base = 0x10000

// newThread returns a thread with a page of memory at base, and a stack page after
// it.
func newThread(t *testing.T) *Thread {
	t.Helper()
	as, err := mm.New()
	if err != nil {
		t.Fatal(err)
	}
	as.SetLayout(0x7f0000000000, 0, 0x7ffff0000000)
	if _, err := as.Mmap(mm.MapArgs{Addr: base, Len: 16 << 12, Prot: mm.ProtRead | mm.ProtWrite,
		Flags: unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_FIXED}); err != nil {
		t.Fatal(err)
	}
	th := NewThread(as, vfs.NewFDTable(64), nil)
	th.TID, th.Proc.PID = 7, 7
	th.Ctx.Regs.SP = base + 16<<12
	return th
}

// sibling adds a thread to t's process.
func (t *Thread) sibling(tid int) *Thread {
	c := &Thread{TID: tid, Proc: t.Proc, MM: t.MM, Files: t.Files, Ctx: cpu.NewContext()}
	c.init()
	c.creds.Store(t.Creds())
	c.SetComm("sibling")
	t.Proc.mu.Lock()
	t.Proc.threads = append(t.Proc.threads, c)
	t.Proc.mu.Unlock()
	return c
}

// sleeps waits until t is on a futex.
func (t *Thread) waitsOnFutex(tt *testing.T) {
	for i := 0; t.futex.bucket.Load() == nil; i++ {
		if i > 5000 {
			tt.Fatal("the thread does not wait")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestFutexWaitWake(t *testing.T) {
	a := newThread(t)
	b := a.sibling(8)
	if err := a.FutexWait(base, true, 1, ^uint32(0), 0); err != unix.EAGAIN {
		t.Errorf("wrong value: %v", err)
	}
	if err := a.FutexWait(base, true, 0, ^uint32(0), cpu.Nanotime()+1e6); err != unix.ETIMEDOUT {
		t.Errorf("timeout: %v", err)
	}
	if err := a.FutexWait(base+1, true, 0, ^uint32(0), 0); err != unix.EINVAL {
		t.Errorf("misaligned: %v", err)
	}
	if err := a.FutexWait(1<<40, true, 0, ^uint32(0), 0); err != unix.EFAULT {
		t.Errorf("unmapped: %v", err)
	}
	done := make(chan error)
	go func() { done <- b.FutexWait(base, true, 0, 4, 0) }()
	b.waitsOnFutex(t)
	if n, err := a.FutexWake(base, true, 1, 2); n != 0 || err != nil {
		t.Errorf("wake with other bits: %d %v", n, err)
	}
	if n, err := a.FutexWake(base, true, 1, 6); n != 1 || err != nil {
		t.Errorf("wake: %d %v", n, err)
	}
	if err := <-done; err != nil {
		t.Errorf("woken: %v", err)
	}
	go func() { done <- b.FutexWait(base, true, 0, 4, 0) }()
	b.waitsOnFutex(t)
	b.Signal(linux.NewSigInfo(int(unix.SIGTERM), linux.SI_USER))
	if err := <-done; err != linux.ERESTARTSYS {
		t.Errorf("signal: %v", err)
	}
}

func TestFutexRequeueAndWakeOp(t *testing.T) {
	a := newThread(t)
	const n = 5
	done := make(chan error, n)
	for i := range n {
		b := a.sibling(20 + i)
		go func() { done <- b.FutexWait(base, true, 0, ^uint32(0), 0) }()
		b.waitsOnFutex(t)
	}
	if _, _, err := a.FutexRequeue(base, base+64, true, 1, 2, true, 9); err != unix.EAGAIN {
		t.Errorf("CMP_REQUEUE: %v", err)
	}
	if w, m, err := a.FutexRequeue(base, base+64, true, 1, 2, true, 0); w != 1 || m != 2 || err != nil {
		t.Errorf("CMP_REQUEUE: %d %d %v", w, m, err)
	}
	<-done
	if w, err := a.FutexWake(base, true, 100, ^uint32(0)); w != 2 || err != nil {
		t.Errorf("left on the first: %d %v", w, err)
	}
	<-done
	<-done
	// Add 3 to the second word and wake its waiters, as the old value is 0.
	op := uint32(linux.FUTEX_OP_ADD<<28 | linux.FUTEX_OP_CMP_EQ<<24 | 3<<12)
	if w, err := a.FutexWakeOp(base, base+64, true, 10, 10, op); w != 2 || err != nil {
		t.Errorf("WAKE_OP: %d %v", w, err)
	}
	if v, _ := a.MM.Load32(base + 64); v != 3 {
		t.Errorf("WAKE_OP left %d", v)
	}
	<-done
	<-done
}

func TestFutexPI(t *testing.T) {
	a := newThread(t)
	b := a.sibling(9)
	Tasks.mu.Lock()
	Tasks.tasks[a.TID], Tasks.tasks[b.TID] = a, b
	Tasks.mu.Unlock()
	defer func() {
		Tasks.mu.Lock()
		clear(Tasks.tasks)
		Tasks.mu.Unlock()
	}()
	if err := a.FutexLockPI(base, true, false, 0); err != nil {
		t.Fatal(err)
	}
	if err := a.FutexLockPI(base, true, false, 0); err != unix.EDEADLK {
		t.Errorf("twice: %v", err)
	}
	if err := b.FutexLockPI(base, true, true, 0); err != unix.EAGAIN {
		t.Errorf("try: %v", err)
	}
	if err := b.FutexUnlockPI(base, true); err != unix.EPERM {
		t.Errorf("unlock by another: %v", err)
	}
	done := make(chan error)
	go func() { done <- b.FutexLockPI(base, true, false, 0) }()
	b.waitsOnFutex(t)
	if err := a.FutexUnlockPI(base, true); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if v, _ := a.MM.Load32(base); v != 9 {
		t.Errorf("word %#x", v)
	}
	if err := a.MM.Store32(base, 4711); err != nil {
		t.Fatal(err)
	}
	if err := a.FutexLockPI(base, true, false, 0); err != unix.ESRCH {
		t.Errorf("dead owner: %v", err)
	}
}

func TestRobustList(t *testing.T) {
	a := newThread(t)
	const head, entry, offset = base, base + 0x100, 16
	for _, w := range [][2]uint64{{head, entry}, {head + 8, offset}, {head + 16, 0}, {entry, head}} {
		if err := a.MM.Store64(w[0], w[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.MM.Store32(entry+offset, uint32(a.TID)|linux.FUTEX_WAITERS); err != nil {
		t.Fatal(err)
	}
	b := a.sibling(8)
	done := make(chan error)
	go func() {
		done <- b.FutexWait(entry+offset, true, uint32(a.TID)|linux.FUTEX_WAITERS, ^uint32(0), 0)
	}()
	b.waitsOnFutex(t)
	a.SetRobustList(head)
	a.exitRobustList()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if v, _ := a.MM.Load32(entry + offset); v != linux.FUTEX_WAITERS|linux.FUTEX_OWNER_DIED {
		t.Errorf("word %#x", v)
	}
	// A list that bites its tail, and one that leads nowhere, end.
	a.MM.Store64(entry, entry)
	a.SetRobustList(head)
	a.exitRobustList()
	a.SetRobustList(1 << 45)
	a.exitRobustList()
}

// handler makes sig run at 0x4000.
func handler(t *testing.T, th *Thread, sig unix.Signal, flags uint64) {
	t.Helper()
	if _, err := th.SetAction(int(sig), &linux.SigAction{Handler: 0x4000, Flags: flags | linux.SA_RESTORER, Restorer: 0x5000, Mask: linux.SigBit(int(unix.SIGUSR2))}); err != nil {
		t.Fatal(err)
	}
}

func TestSignalFrame(t *testing.T) {
	th := newThread(t)
	r := &th.Ctx.Regs
	*r = cpu.Regs{R15: 15, R8: 8, DI: 1, SI: 2, DX: 3, AX: 4, BX: 5, CX: 6, BP: 9, IP: 0x1234, SP: r.SP, Flags: 0x246}
	before := *r
	th.SetMask(linux.SIG_SETMASK, linux.SigBit(int(unix.SIGHUP)))
	handler(t, th, unix.SIGUSR1, linux.SA_SIGINFO)
	info := linux.NewSigInfo(int(unix.SIGUSR1), linux.SI_QUEUE)
	info.SetSender(42, 1000)
	if err := th.Signal(info); err != nil {
		t.Fatal(err)
	}
	if !th.handleWork() {
		t.Fatal("the thread ends")
	}
	if r.IP != 0x4000 || r.DI != uint64(unix.SIGUSR1) || r.SP%16 != 8 || r.SP > before.SP-128 || r.AX != 0 {
		t.Errorf("registers at the handler: %+v", *r)
	}
	if ret, _ := th.MM.Load64(r.SP); ret != 0x5000 {
		t.Errorf("return address %#x", ret)
	}
	var si linux.SigInfo
	th.MM.CopyIn(si[:], r.SI)
	if pid, uid := si.Sender(); si.Signo() != int(unix.SIGUSR1) || si.Code() != linux.SI_QUEUE || pid != 42 || uid != 1000 {
		t.Errorf("siginfo % x", si[:32])
	}
	if ip, _ := th.MM.Load64(r.DX + 40 + 16*8); ip != 0x1234 {
		t.Errorf("ip in the ucontext: %#x", ip)
	}
	fp, _ := th.MM.Load64(r.DX + 40 + 23*8)
	if fp%64 != 0 {
		t.Errorf("FPU state at %#x", fp)
	}
	if magic, _ := th.MM.Load32(fp + 464); magic != fpMagic1 {
		t.Errorf("magic %#x", magic)
	}
	if m := th.SignalMask(); m != linux.SigBit(int(unix.SIGHUP))|linux.SigBit(int(unix.SIGUSR1))|linux.SigBit(int(unix.SIGUSR2)) {
		t.Errorf("mask in the handler %#x", m)
	}

	r.SP += 8 // the handler returns
	r.IP = 0x5000
	r.R15 = 99
	r.AX = th.SigReturn()
	if before.Flags &= cpu.FlagsUser; r.Flags&cpu.FlagsUser != before.Flags {
		t.Errorf("flags %#x", r.Flags)
	}
	r.Flags = before.Flags
	if *r != before {
		t.Errorf("registers after sigreturn:\n%+v\nwant\n%+v", *r, before)
	}
	if m := th.SignalMask(); m != linux.SigBit(int(unix.SIGHUP)) {
		t.Errorf("mask after sigreturn %#x", m)
	}
}

// A frame of random bytes ends in SIGSEGV or in registers that ring 3 may have.
func FuzzSigReturn(f *testing.F) {
	f.Add(make([]byte, frameSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		th := newThread(t)
		defer th.MM.Release()
		copy(append([]byte(nil), b...), b)
		th.MM.CopyOut(base, b[:min(len(b), 16<<12)])
		r := &th.Ctx.Regs
		r.SP = base + 8
		r.AX = th.SigReturn()
		if r.Flags&^(cpu.FlagsUser|cpu.FlagIF|2) != 0 || r.IP > cpu.UserTop {
			t.Errorf("flags %#x ip %#x", r.Flags, r.IP)
		}
		if th.SignalMask()&unmaskable != 0 {
			t.Error("SIGKILL is masked")
		}
	})
}

func TestRestart(t *testing.T) {
	for _, c := range []struct {
		err     unix.Errno
		handler bool
		flags   uint64
		want    uint64 // AX
		again   bool
	}{
		{linux.ERESTARTSYS, true, linux.SA_RESTART, 202, true},
		{linux.ERESTARTSYS, true, 0, errnoResult(unix.EINTR), false},
		{linux.ERESTARTSYS, false, 0, 202, true},
		{linux.ERESTARTNOHAND, true, linux.SA_RESTART, errnoResult(unix.EINTR), false},
		{linux.ERESTARTNOHAND, false, 0, 202, true},
		{linux.ERESTARTNOINTR, true, 0, 202, true},
		{linux.ERESTART_RESTARTBLOCK, true, linux.SA_RESTART, errnoResult(unix.EINTR), false},
		{linux.ERESTART_RESTARTBLOCK, false, 0, unix.SYS_RESTART_SYSCALL, true},
		{unix.EINTR, true, linux.SA_RESTART, errnoResult(unix.EINTR), false},
	} {
		th := newThread(t)
		r := &th.Ctx.Regs
		r.IP = 0x1002
		th.SyscallNr = 202
		r.AX = errnoResult(c.err)
		sig := unix.SIGCHLD // ignored by default
		if c.handler {
			handler(t, th, sig, c.flags)
		} else {
			th.SetMask(linux.SIG_SETMASK, linux.SigBit(int(sig))) // so that it is queued
		}
		th.Signal(linux.NewSigInfo(int(sig), linux.SI_USER))
		th.SetMask(linux.SIG_SETMASK, 0)
		th.handleWork()
		ip := r.IP
		ax := r.AX
		if c.handler {
			ip, _ = th.MM.Load64(r.DX + 40 + 16*8)
			ax, _ = th.MM.Load64(r.DX + 40 + 13*8)
		}
		if ax != c.want || (ip == 0x1000) != c.again {
			t.Errorf("%v handler %v flags %#x: ax %d ip %#x", c.err, c.handler, c.flags, int64(ax), ip)
		}
	}
}

func TestSignalQueue(t *testing.T) {
	th := newThread(t)
	const rt = linux.SIGRTMIN + 3
	all := ^linux.SigSet(0)
	th.SetMask(linux.SIG_SETMASK, all)
	if th.SignalMask()&unmaskable != 0 {
		t.Error("SIGKILL can be masked")
	}
	for i := range 3 {
		info := linux.NewSigInfo(rt, linux.SI_QUEUE)
		info.SetSender(i, 0)
		th.Proc.Signal(info)
		th.Signal(linux.NewSigInfo(int(unix.SIGUSR1), linux.SI_USER))
	}
	for i := range 3 {
		info, err := th.WaitSignal(linux.SigBit(rt), -1)
		if pid, _ := info.Sender(); err != nil || pid != i {
			t.Errorf("real-time signal %d: pid %d, %v", i, pid, err)
		}
	}
	if _, err := th.WaitSignal(all, -1); err != nil {
		t.Errorf("SIGUSR1: %v", err)
	}
	if _, err := th.WaitSignal(all, -1); err != unix.EAGAIN {
		t.Errorf("a standard signal queued more than once: %v", err)
	}
	go func() {
		time.Sleep(5 * time.Millisecond)
		th.Proc.Signal(linux.NewSigInfo(int(unix.SIGUSR2), linux.SI_USER))
	}()
	if info, err := th.WaitSignal(linux.SigBit(int(unix.SIGUSR2)), cpu.Nanotime()+10e9); err != nil || info.Signo() != int(unix.SIGUSR2) {
		t.Errorf("sigtimedwait: %v", err)
	}
	if _, err := th.WaitSignal(linux.SigBit(int(unix.SIGUSR2)), cpu.Nanotime()+1e6); err != unix.EAGAIN {
		t.Errorf("sigtimedwait without a signal: %v", err)
	}
}

func TestIgnoredAndFatal(t *testing.T) {
	th := newThread(t)
	th.SetAction(int(unix.SIGTERM), &linux.SigAction{Handler: linux.SIG_IGN})
	th.Signal(linux.NewSigInfo(int(unix.SIGTERM), linux.SI_USER))
	th.Signal(linux.NewSigInfo(int(unix.SIGWINCH), linux.SI_USER))
	if th.interrupted() {
		t.Error("an ignored signal interrupts")
	}
	// A fault cannot be ignored.
	th.SetAction(int(unix.SIGSEGV), &linux.SigAction{Handler: linux.SIG_IGN})
	info := linux.NewSigInfo(int(unix.SIGSEGV), linux.SEGV_MAPERR)
	info.SetAddr(0xdead)
	th.force(&info)
	if th.handleWork() {
		t.Fatal("it lives")
	}
	e := th.Proc.exitInfo
	if e == nil || e.Status != 139 || e.Signal != "SIGSEGV" || e.Addr != 0xdead || !e.Fault {
		t.Errorf("exit info %+v", e)
	}
}

func TestAltStack(t *testing.T) {
	th := newThread(t)
	const sp, size = base, 8 << 12
	if err := th.SetAltStack(sp, 0, 100); err != unix.ENOMEM {
		t.Errorf("small: %v", err)
	}
	if err := th.SetAltStack(sp, 8, size); err != unix.EINVAL {
		t.Errorf("flags: %v", err)
	}
	if err := th.SetAltStack(sp, 0, size); err != nil {
		t.Fatal(err)
	}
	handler(t, th, unix.SIGUSR1, linux.SA_ONSTACK)
	th.Signal(linux.NewSigInfo(int(unix.SIGUSR1), linux.SI_USER))
	th.handleWork()
	if r := th.Ctx.Regs.SP; r < sp || r >= sp+size {
		t.Errorf("handler's stack pointer %#x", r)
	}
	if _, flags, _ := th.AltStack(); flags != linux.SS_ONSTACK {
		t.Errorf("flags on the stack %#x", flags)
	}
	if err := th.SetAltStack(0, linux.SS_DISABLE, 0); err != unix.EPERM {
		t.Errorf("change while on it: %v", err)
	}
	// An overflow of the alternate stack is fatal.
	th.SetMask(linux.SIG_SETMASK, 0)
	th.Ctx.Regs.SP = sp + 256 // Linux looks at the stack pointer below the red zone
	th.Signal(linux.NewSigInfo(int(unix.SIGUSR1), linux.SI_USER))
	if th.handleWork() {
		t.Error("a frame below the alternate stack")
	}
}

// A process whose threads compute ends at once on exit_group.
func TestExitGroup(t *testing.T) {
	th := newThread(t)
	p := th.Proc
	spin := func(x *cpu.Context, root uint64) { x.Regs.Vec = cpu.VecKick }
	th.Ctx.OnEnter = spin
	b := th.sibling(8)
	b.MM.Retain()
	b.Files.Retain()
	b.FS, th.FS = new(vfs.FSContext), new(vfs.FSContext)
	b.Ctx.OnEnter = spin
	tab := &Table{tasks: map[int]*Thread{7: th, 8: b}, procs: map[int]*Process{7: p}}
	p.table = tab
	go th.run()
	go b.run()
	time.Sleep(5 * time.Millisecond)
	p.End(3)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
	if e := p.Wait(); e.Status != 3 {
		t.Errorf("status %+v", e)
	}
	if len(tab.tasks)+len(tab.procs) != 0 {
		t.Errorf("left in the table: %v %v", tab.tasks, tab.procs)
	}
}

func TestTimers(t *testing.T) {
	th := newThread(t)
	th.SetMask(linux.SIG_SETMASK, ^linux.SigSet(0))
	p := th.Proc
	defer p.timers.stopAll()
	p.SetInterval(0, 2e6, 0)
	if v, _ := p.Interval(0); v <= 0 || v > 2e6 {
		t.Errorf("left %d", v)
	}
	if _, err := th.WaitSignal(linux.SigBit(int(unix.SIGALRM)), cpu.Nanotime()+5e9); err != nil {
		t.Errorf("SIGALRM: %v", err)
	}
	clock, _ := th.Clock(unix.CLOCK_MONOTONIC)
	id, err := th.NewTimer(clock, &SigEvent{Signo: 40, Value: 77})
	if err != nil {
		t.Fatal(err)
	}
	p.SetTimer(id, false, 1e6, 1e6)
	info, err := th.WaitSignal(linux.SigBit(40), cpu.Nanotime()+5e9)
	if err != nil || info.Code() != linux.SI_TIMER || binary.LittleEndian.Uint64(info[24:]) != 77 {
		t.Errorf("timer signal %v % x", err, info[:32])
	}
	if err := p.DeleteTimer(id); err != nil {
		t.Error(err)
	}
	if err := p.DeleteTimer(id); err != unix.EINVAL {
		t.Errorf("deleted twice: %v", err)
	}
}

func TestSleepInterrupted(t *testing.T) {
	th := newThread(t)
	go func() {
		time.Sleep(5 * time.Millisecond)
		th.Proc.Signal(linux.NewSigInfo(int(unix.SIGTERM), linux.SI_USER))
	}()
	th.Clear()
	if r := th.Sleep(0); r != wait.Interrupted {
		t.Errorf("sleep ended with %v", r)
	}
}

func TestMnemonic(t *testing.T) {
	for code, want := range map[string]string{
		"\xc7\x00\x01\x00\x00\x00": "mov", "\xf7\xf9": "idiv", "\x48\xf7\xf1": "div", "\x0f\x0b": "ud2", "\xf4": "hlt",
		"\xe8\x00\x00\x00\x00": "call", "\xff\xd0": "call", "\xc3": "ret", "\x48\x8b\x00": "mov", "": "?", "\xcc": "int3",
		"\xf3\x48\xab": "stos", "\x50": "push",
	} {
		if got := mnemonic([]byte(code)); got != want {
			t.Errorf("% x: %s, want %s", code, got, want)
		}
	}
}

func BenchmarkFutexWake(b *testing.B) {
	as, _ := mm.New()
	as.SetLayout(0x7f0000000000, 0, 0x7ffff0000000)
	as.Mmap(mm.MapArgs{Addr: base, Len: 4096, Prot: 3, Flags: unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_FIXED})
	t := NewThread(as, nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		t.FutexWake(base, true, 1, ^uint32(0))
	}
}
