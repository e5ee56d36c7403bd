package task

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/loader"
	"gosv/kernel/vfs"
)

// StartArgs describe the first process.
type StartArgs struct {
	Path  string // in the guest; searched nowhere
	Args  []string
	Env   []string
	FS    *vfs.FSContext // root, working directory; taken over
	Files *vfs.FDTable   // standard input, output and error; taken over
	Creds *vfs.Creds     // nil: root
}

// Start loads a program and runs it as process 1. One such process exists at a
// time. The errors are those of execve(2).
func Start(a StartArgs) (*Process, error) {
	t, err := newProgram(a)
	if err != nil {
		return nil, err
	}
	p := t.Proc
	p.enter(t, nil)
	p.applyLimits()
	t.join()
	go func() {
		t.begin()
		t.run()
	}()
	return p, nil
}

// newProgram loads a program into a new process that nobody can see yet.
func newProgram(a StartArgs) (*Thread, error) {
	loader.MinSigStack = MinSigStackSize()
	if a.Creds == nil {
		a.Creds = &vfs.RootCreds
	}
	p := newProcess(Tasks)
	p.limits.init()
	p.exitSignal = int(unix.SIGCHLD)
	p.hand.Store(new(SigHand))
	t := &Thread{Proc: p, Ctx: cpu.NewContext(), FS: a.FS, Files: a.Files}
	t.init()
	t.creds.Store(a.Creds)
	img, err := loader.Load(&loader.Args{
		Caller: t.Caller(), FS: a.FS, Path: a.Path, Argv: a.Args, Env: a.Env,
		StackLimit: p.Limit(unix.RLIMIT_STACK),
	})
	if err != nil {
		return nil, err
	}
	t.MM = img.MM
	t.become(img)
	return t, nil
}

// enter gives a process and its first thread their ID, and puts them into the
// tables, with a session of their own: below a parent, or as the first process.
func (p *Process) enter(t *Thread, parent *Process) {
	p.leader, p.threads = t, []*Thread{t}
	tab := p.table
	tab.mu.Lock()
	defer tab.mu.Unlock()
	t.TID = tab.newID()
	p.PID, p.pgid, p.sid = t.TID, t.TID, t.TID
	tab.tasks[t.TID], tab.procs[p.PID] = t, p
	tab.forks++
	if parent == nil {
		tab.init = p
		return
	}
	p.setParent(parent)
	p.makerTID = parent.PID
	parent.children = append(parent.children, p)
}

// Init returns the first process, nil if there is none.
func Init() *Process {
	Tasks.mu.Lock()
	defer Tasks.mu.Unlock()
	return Tasks.init
}

// become makes the thread the start of a program.
func (t *Thread) become(img *loader.Image) {
	p := t.Proc
	t.creds.Store(img.Creds)
	t.SetComm(img.Comm)
	p.setExe(img.Exe)
	p.args.Store(img.Layout)
	r := &t.Ctx.Regs
	vec := r.Vec
	*r = cpu.Regs{IP: img.Entry, SP: img.SP, Flags: cpu.FlagIF | 2, CS: cpu.UserCS, SS: cpu.UserSS, Vec: vec}
	t.Ctx.FSBase, t.Ctx.GSBase = 0, 0
	t.Ctx.ResetFP()
	t.Ctx.Debug = cpu.DebugRegs{}
}

// setExe replaces the program's file, which comes with a reference and with
// writing denied.
func (p *Process) setExe(f *vfs.File) {
	p.mu.Lock() // procfs takes the path out of it meanwhile
	old := p.exe.Swap(f)
	p.mu.Unlock()
	if old != nil {
		old.AllowWrite()
		old.Release()
	}
}

// Layout is where the program's parts are.
func (p *Process) Layout() *loader.Layout { return p.args.Load() }

// Exe is the path of the program's file.
func (p *Process) Exe() string {
	if f := p.exe.Load(); f != nil {
		return f.MapName()
	}
	return ""
}
