package syscalls

import (
	"strconv"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
	"gosv/kernel/frame"
	"gosv/kernel/mm"
	"gosv/kernel/task"
	"gosv/kernel/trace"
)

func init() { task.Syscall = dispatch }

// noSys is -ENOSYS in a register.
const noSys = ^uint64(unix.ENOSYS - 1)

// noMem is -ENOMEM in a register.
const noMem = ^uint64(unix.ENOMEM - 1)

// dispatch serves the system call in t's registers. It allocates nothing.
func dispatch(t *task.Thread) {
	r := &t.Ctx.Regs
	nr := r.AX
	a := (*Args)(&t.SyscallArgs)
	a[0], a[1], a[2], a[3], a[4], a[5] = r.DI, r.SI, r.DX, r.R10, r.R8, r.R9
	t.SyscallNr = int(nr)
	if t.CallWork() != 0 {
		var serve bool
		if nr, serve = lookFirst(t, a); !serve {
			return
		}
	}
	if nr >= maxNumber || table[nr] == nil {
		unknown(t, nr)
		r.AX = noSys
		return
	}
	row := table[nr]
	if watched.Load() != 0 {
		row.count.Add(1)
		if watched.Load()&watchTrace != 0 {
			traceCall(t, row, a)
			return
		}
	}
	if row.Fn == nil {
		missing(t, row)
		r.AX = noSys
		return
	}
	if frame.Scarce() && !admit(t, row) {
		r.AX = noMem
		return
	}
	v, err := row.Fn(t, a)
	if err != nil {
		v = failed(t, row, a, err)
	}
	r.AX = v
}

// failed is what a call that failed leaves in AX. One that found no memory runs once more when there is some: a call that fails
// so has done nothing.
func failed(t *task.Thread, row *Row, a *Args, err error) uint64 {
	e := errno(err)
	for tries := 0; (e == unix.ENOMEM || e == unix.ENOBUFS) && frame.Short() && tries < 4 && mm.Relieve(t.MM); tries++ {
		v, err := row.Fn(t, a)
		if err == nil {
			return v
		}
		e = errno(err)
	}
	if e == unix.EFAULT {
		t.CheckMemory()
	}
	return -uint64(e)
}

// lookFirst lets the thread's tracer and its filters look at a call. They may
// change it: the result is the number that is to be served. With false, the
// result of the call is in AX.
func lookFirst(t *task.Thread, a *Args) (nr uint64, serve bool) {
	if serve = t.TraceEntry(); serve {
		serve = changedCall(t, a)
	}
	if s := t.Seccomp(); serve && s != nil {
		serve = !forbidden(t, s, uint64(t.SyscallNr), a, false)
	}
	return uint64(t.SyscallNr), serve
}

// changedCall takes the arguments from the registers again, which a tracer may
// have changed. It returns false if the tracer has taken the call away.
func changedCall(t *task.Thread, a *Args) bool {
	r := &t.Ctx.Regs
	a[0], a[1], a[2], a[3], a[4], a[5] = r.DI, r.SI, r.DX, r.R10, r.R8, r.R9
	return int32(t.SyscallNr) != -1
}

// errno is the number of an error; one that is none is a bug in a handler, which
// the program sees as EIO.
func errno(err error) syscall.Errno {
	if e, ok := err.(syscall.Errno); ok {
		return e
	}
	return unix.EIO
}

// watched says who wants to know of each call; nobody, as a rule, and then a
// call pays one load for it.
var watched atomic.Uint32

const (
	watchCount = 1 << iota
	watchTrace
)

func watch(bit uint32, on bool) {
	if on {
		watched.Or(bit)
	} else {
		watched.And(^bit)
	}
}

// CountCalls switches the counters of the rows.
func CountCalls(on bool) { watch(watchCount, on) }

// Strace switches the trace of system calls and signals on the kernel log.
func Strace(on bool) {
	watch(watchTrace, on)
	if on {
		task.SetTracer(traceSignal, traceExit)
	} else {
		task.SetTracer(nil, nil)
	}
}

// Missing and unknown calls are logged once each.
var logged [maxNumber]atomic.Bool

var loggedUnknown atomic.Bool

func missing(t *task.Thread, row *Row) {
	if !logged[row.number()].Swap(true) {
		line := t.Comm() + "[" + strconv.Itoa(t.TID) + "]: no system call " + row.Name
		if row.Note != "" {
			line += " (" + row.Note + ")"
		}
		trace.Line(line)
	}
}

func unknown(t *task.Thread, nr uint64) {
	if !loggedUnknown.Swap(true) {
		trace.Line(t.Comm() + "[" + strconv.Itoa(t.TID) + "]: unknown system call " + strconv.FormatUint(nr, 10))
	}
}
