package task

import (
	"runtime"

	"gosv/kernel/cpu"
	"gosv/kernel/goport"
	"gosv/kernel/sched"
	"gosv/kernel/wait"
)

// Syscall serves the system call in a thread's registers. Package syscalls sets
// it: the table stands above this package.
var Syscall func(t *Thread)

// run is the life of a thread: ring 3 until something happens, handle it, go
// back.
func (t *Thread) run() {
	x := t.Ctx
	for {
		if t.work.Load() != 0 && !t.handleWork() {
			break
		}
		if !t.clock.running() {
			t.clock.resume()
		}
		wait.FinishDeferred()
		x.Enter(t.MM.Root())
		switch vec := x.Regs.Vec; {
		case vec == cpu.VecSyscall:
			if t.clock.sample() {
				t.clock.measure(func() { Syscall(t) })
			} else {
				Syscall(t)
			}
		case vec == cpu.VecPageFault:
			t.SyscallNr = -1
			if t.clock.sample() {
				t.clock.measure(t.pageFault)
			} else {
				t.pageFault()
			}
		case vec >= 0x20:
			t.SyscallNr = -1
			t.interrupt()
		default:
			t.SyscallNr = -1
			t.exception()
		}
	}
	t.exit()
}

// interrupt gives the CPU to whoever an interrupt made runnable; a kick brings
// the thread here to see its work.
func (t *Thread) interrupt() {
	goport.PollInterrupts()
	if w := t.work.Load(); w&workGate != 0 || w != 0 && t.Ctx.Regs.Vec == cpu.VecKick {
		return
	}
	t.Yield()
	if sched.On() && t.work.Load() == 0 && !goport.Alone() {
		// Once in 61 times the scheduler of Go takes the goroutine that has just
		// yielded before the one that the interrupt made runnable.
		t.Yield()
	}
}

// Yield lets other goroutines run (sched_yield(2), preemption).
func (t *Thread) Yield() {
	t.clock.pause()
	t.Ctx.Release()
	runtime.Gosched()
	t.clock.resume()
}

// beforeSleep runs when the thread really blocks.
func (t *Thread) beforeSleep() {
	t.clock.pause()
	t.Ctx.Release()
	t.switches.Add(1)
	if sched.On() {
		t.schedule.Block()
	}
}
