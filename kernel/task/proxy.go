package task

import (
	"gosv/kernel/vfs"
)

// Acting is what a thread that acts for a request has instead of its registers'
// descriptors: package syscalls' handlers look here.
type Acting struct {
	// File is the file of the request, for descriptor arguments that say so.
	File *vfs.File
	// Quiet: what the request does raises no signals.
	Quiet bool
	// Install, when set, takes the files that the request opens.
	Install func(f *vfs.File, cloexec bool) (int, error)
}

// Proxy returns a thread that runs nothing: system calls that are made for t
// later, or elsewhere, are made with it. It has the memory, files and credentials
// of t, which must outlive it, and a reference to its directories, which DropProxy
// gives up. Sleeps of the proxy end when pending says so; a proxy whose pending
// is always true does what can be done at once.
func (t *Thread) Proxy(pending func() bool) *Thread {
	c := &Thread{TID: t.TID, Proc: t.Proc, MM: t.MM, Files: t.Files, FS: t.FS, SyscallNr: -1, Acting: new(Acting)}
	c.Sleeper.Pending = pending
	c.creds.Store(t.creds.Load())
	c.comm.Store(t.comm.Load())
	c.FS.Retain()
	return c
}

// DropProxy ends a thread that Proxy made.
func (t *Thread) DropProxy() { t.FS.Release() }

// leaveHooks are told of threads that leave their program.
var leaveHooks []func(t *Thread, last, exec bool)

// OnLeave makes hook be called by each thread that ends, or with exec starts
// another program, while it still has its memory and files; last: no other thread
// of the process is left in the program. It is for init functions.
func OnLeave(hook func(t *Thread, last, exec bool)) { leaveHooks = append(leaveHooks, hook) }

func (t *Thread) leave(last, exec bool) {
	for _, hook := range leaveHooks {
		hook(t, last, exec)
	}
}
