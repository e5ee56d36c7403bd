package syscalls

import (
	"strconv"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
	"gosv/kernel/task"
	"gosv/kernel/trace"
)

func init() { task.Syscall = dispatch }

// noSys is -ENOSYS in a register.
const noSys = ^uint64(unix.ENOSYS - 1)

// dispatch serves the system call in t's registers. It allocates nothing.
func dispatch(t *task.Thread) {
	r := &t.Ctx.Regs
	nr := r.AX
	a := (*Args)(&t.SyscallArgs)
	a[0], a[1], a[2], a[3], a[4], a[5] = r.DI, r.SI, r.DX, r.R10, r.R8, r.R9
	t.SyscallNr = int(nr)
	if s := t.Seccomp(); s != nil && forbidden(t, s, nr, a) {
		return
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
	v, err := row.Fn(t, a)
	if err != nil {
		if err == unix.EFAULT {
			t.CheckMemory()
		}
		v = -uint64(errno(err))
	}
	r.AX = v
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
