package task

import (
	"testing"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/vfs"
)

// traceProgram plays a program that lets its parent trace it, stops, makes calls,
// and ends. The number of the call is the step.
func traceProgram(calls int) func(*cpu.Context, uint64) {
	step := 0
	return func(x *cpu.Context, _ uint64) {
		if step%3 == 2 && x.Regs.Vec != cpu.VecKick {
			x.Regs.Vec = cpu.VecKick // an interrupt now and then
			return
		}
		x.Regs.Vec, x.Regs.AX = cpu.VecSyscall, uint64(step)
		if step == calls {
			x.Regs.AX = unix.SYS_EXIT_GROUP
		}
		step++
	}
}

func traceSyscall(t *Thread) {
	r := &t.Ctx.Regs
	t.SyscallNr = int(r.AX)
	if t.CallWork() != 0 && !t.TraceEntry() {
		return
	}
	switch t.SyscallNr {
	case 0:
		t.TraceMe()
	case 1:
		t.Signal(linux.NewSigInfo(int(unix.SIGSTOP), linux.SI_TKILL))
	case unix.SYS_EXIT_GROUP:
		t.ExitGroup(3)
	}
	r.AX = 0
}

// TestTrace lets a tracer follow a child from call to call, while others send the
// child signals and ask it to stop. It is most useful with -race.
func TestTrace(t *testing.T) {
	old := Syscall
	Syscall = traceSyscall
	defer func() { Syscall = old }()
	a := newThread(t)
	if _, err := vfs.MountRoot(&vfs.SynthFS{Name: "rootfs", Top: vfs.NewStaticDir(0o755)}, "", 0); err != nil && err != unix.EBUSY {
		t.Fatal(err)
	}
	a.FS = vfs.NewFSContext()
	Tasks.mu.Lock()
	Tasks.tasks[a.TID], Tasks.procs[a.TID] = a, a.Proc
	Tasks.last = 100
	Tasks.mu.Unlock()
	defer func() {
		Tasks.mu.Lock()
		clear(Tasks.tasks)
		clear(Tasks.procs)
		Tasks.mu.Unlock()
	}()
	const calls = 200
	for _, kill := range []bool{false, true} {
		a.Ctx.OnEnter = traceProgram(calls)
		tid, err := a.Clone(&CloneArgs{ExitSignal: int(unix.SIGCHLD)})
		if err != nil {
			t.Fatal(err)
		}
		child := Tasks.Thread(tid)
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
					child.Proc.SendSignal(int(unix.SIGWINCH))
				}
			}
		}()
		entries, signals := 0, 0
		for n := 0; ; n++ {
			r, err := a.Wait4(tid, unix.WEXITED|unix.WALL)
			if err != nil {
				t.Fatal(err)
			}
			if r.Status&0x7f != 0x7f {
				want := 3 << 8
				if kill {
					want = int(unix.SIGKILL)
				}
				if r.Status != want {
					t.Errorf("status %#x, want %#x", r.Status, want)
				}
				break
			}
			if a.UseTracee(child, false) != nil {
				if !kill {
					t.Fatal("stopped, but not for use")
				}
				continue
			}
			child.SetTraceOptions(unix.PTRACE_O_TRACESYSGOOD)
			sig := r.Status >> 8
			if sig == int(unix.SIGTRAP)|linux.TraceSysGood {
				if child.TraceMessage() == unix.PTRACE_EVENTMSG_SYSCALL_ENTRY {
					entries++
				}
				sig = 0
			} else if sig == int(unix.SIGWINCH) {
				signals++
			} else {
				sig = 0
			}
			child.SetUserReg(0, uint64(n))
			if child.UserReg(0) != uint64(n) || child.StopInfo() == nil {
				t.Error("the registers of a stopped thread change")
			}
			child.Resume(StopAtCalls, sig)
			child.TraceeDone()
			if kill && n == 50 {
				child.Proc.SendSignal(int(unix.SIGKILL))
			}
		}
		close(stop)
		if !kill && entries != calls-1 {
			t.Errorf("%d calls seen, want %d", entries, calls-1)
		}
		t.Logf("%d calls, %d signals", entries, signals)
		if len(a.ptrace.tracees) != 0 || len(a.Proc.children) != 0 || tracees.Load() != 0 {
			t.Errorf("left: %d tracees, %d children", len(a.ptrace.tracees), len(a.Proc.children))
		}
	}
}
