package task

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// StartUnderInit is Start for a program that is not the first process: that is
// one of the kernel's own then, which never runs in ring 3. It waits for orphans,
// passes the signals that it gets to the program, and ends with the program, with
// its status, 128+n after signal n. The result is the first process.
func StartUnderInit(a StartArgs) (*Process, error) {
	as, err := mm.New()
	if err != nil {
		return nil, err
	}
	p := newProcess(Tasks)
	p.limits.init()
	p.hand.Store(new(SigHand))
	p.kernel = true
	t := &Thread{Proc: p, Ctx: cpu.NewContext(), FS: vfs.NewFSContext(), Files: vfs.NewFDTable(1), MM: as}
	t.init()
	t.Sleeper.BeforeSleep, t.Sleeper.Pending, t.Sleeper.Scheduled = nil, nil, nil // it has no turn to give back, and looks for work itself
	t.creds.Store(&vfs.RootCreds)
	t.SetComm("gosv-init")
	t.sig.waiting = ^linux.SigSet(0) // no signal is ignored
	p.enter(t, nil)
	program, err := newProgram(a)
	if err != nil {
		p.forgetInit()
		return nil, err
	}
	p.program = program.Proc
	program.Proc.enter(program, p)
	program.Proc.applyLimits()
	program.join()
	go func() {
		program.begin()
		program.run()
	}()
	go t.tend()
	return p, nil
}

// forgetInit takes back the first process because there is no program.
func (p *Process) forgetInit() {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	delete(p.table.tasks, p.PID)
	p.reap()
}

// Program is the process that was asked for: the first one, or the one below it.
func (p *Process) Program() *Process {
	if p.program != nil {
		return p.program
	}
	return p
}

// tend is the life of the first process when it is the kernel's.
func (t *Thread) tend() {
	p := t.Proc
	w := wait.Waiter{Mask: wait.In, Notify: func(wait.Events) { t.Wake() }}
	p.childExit.Add(&w)
	for t.work.Load()&workExit == 0 {
		t.Clear()
		for {
			r, _, next := t.findChild(-1, unix.WEXITED|unix.WALL)
			if next != nil {
				next.announce()
			}
			if r.PID == 0 {
				break
			}
			if r.PID == p.program.PID {
				p.endAs(p.program)
			}
		}
		for t.work.Load()&workExit == 0 { // the end itself is a pending SIGKILL
			info, ok := t.TakeSignal(^linux.SigSet(0))
			if !ok {
				break
			}
			switch sig := info.Signo(); sig {
			case int(unix.SIGKILL):
				p.end(sig, nil)
			case int(unix.SIGCHLD):
			default:
				p.program.Signal(info)
			}
		}
		if t.work.Load()&workExit == 0 {
			t.Sleep(0)
		}
	}
	p.childExit.Remove(&w)
	t.exit()
}

// endAs ends the process as its program has ended.
func (p *Process) endAs(program *Process) {
	e := program.exit()
	status := e.Status & 0xff
	p.end(status<<8, &e)
}
