package syscalls

import (
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/task"
	"gosv/kernel/trace"
	"gosv/kernel/wait"
)

// Strace prints calls as strace(1) does. A row's Format names each argument's
// kind; the kinds are:
//
//	int uint hex oct ptr size fd sig    numbers
//	path str                            a string of the program
//	buf                                 bytes to the kernel; the next argument, or the result, is their number
//	out                                 bytes from the kernel; the result is their number
//	iovec                               struct iovec array; the next argument is its length
//	flags.NAME                          a set or an enumeration of strace_flags.go
//	sigset sigaction stack timespec timeval itimerval itimerspec rlimit stat utsname argv
//	epollev pollfd                      structs; NAME.out is printed after the call
//	clockid futexop futexts             as their names say
//	sockaddr socklen socktype ...       those of socketstrace.go
//
// "=KIND" gives the kind of the result.

// traceStep is one call under way.
type traceStep struct {
	mu      sync.Mutex
	row     *Row
	entry   string // what could be printed before the call
	printed bool   // as unfinished
	done    bool
	timer   wait.Timer
}

// unfinishedAfter is how long a call may take before it is printed as unfinished.
const unfinishedAfter = 200e6

func traceCall(t *task.Thread, row *Row, a *Args) {
	r := &t.Ctx.Regs
	args := parseFormat(row.Format)
	p := &printer{t: t, row: row, a: *a, kinds: args}
	for i := range args.n {
		p.before(i)
	}
	prefix := tracePrefix(t)
	switch row.Name {
	case "exit", "exit_group", "rt_sigreturn":
		traceLine(prefix + row.Name + "(" + p.text() + ") = ?")
		if v, err := row.Fn(t, a); err == nil {
			r.AX = v
		}
		return
	}
	step := &traceStep{row: row, entry: prefix + row.Name + "(" + p.text()}
	step.timer.Start(cpu.Nanotime()+unfinishedAfter, step.unfinished)
	var v uint64
	var err error = unix.ENOSYS
	if row.Fn != nil {
		v, err = row.Fn(t, a)
	}
	step.timer.Stop()
	step.mu.Lock()
	step.done = true
	resumed := step.printed
	step.mu.Unlock()

	p.result, p.failed = v, err != nil
	for i := range args.n {
		p.after(i)
	}
	line := prefix
	if resumed {
		line += "<... " + row.Name + " resumed>" + ") = "
	} else {
		line += row.Name + "(" + p.text() + ") = "
	}
	if err != nil {
		e := errno(err)
		line += errorText(e)
		v = -uint64(e)
	} else {
		line += p.resultText(args.result, v)
	}
	traceLine(line)
	r.AX = v
}

// unfinished runs on the timer's goroutine when a call takes long.
func (s *traceStep) unfinished() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		s.printed = true
		traceLine(s.entry + " <unfinished ...>")
	}
}

// traceLine writes a line for the tool, which knows it by its first word.
func traceLine(s string) { trace.Line("strace: " + s) }

// traceExit prints the end of a thread; status is that of wait(2).
func traceExit(t *task.Thread, status int) {
	if sig := status & 0x7f; sig != 0 {
		traceLine(tracePrefix(t) + "+++ killed by " + task.SignalName(sig) + " +++")
	} else {
		traceLine(tracePrefix(t) + "+++ exited with " + strconv.Itoa(status>>8) + " +++")
	}
}

func tracePrefix(t *task.Thread) string {
	id := strconv.Itoa(t.TID)
	return "[pid " + strings.Repeat(" ", max(3-len(id), 0)) + id + "] "
}

func errorText(e unix.Errno) string {
	switch e {
	case linux.ERESTARTSYS:
		return "? ERESTARTSYS (To be restarted if SA_RESTART is set)"
	case linux.ERESTARTNOINTR:
		return "? ERESTARTNOINTR (To be restarted)"
	case linux.ERESTARTNOHAND:
		return "? ERESTARTNOHAND (To be restarted if no handler)"
	case linux.ERESTART_RESTARTBLOCK:
		return "? ERESTART_RESTARTBLOCK (Interrupted by signal)"
	}
	name := unix.ErrnoName(e)
	if name == "" {
		return "-1 (errno " + strconv.Itoa(int(e)) + ")"
	}
	text := e.Error()
	return "-1 " + name + " (" + strings.ToUpper(text[:1]) + text[1:] + ")"
}

// traceSignal prints a signal that a thread takes.
func traceSignal(t *task.Thread, info *linux.SigInfo) {
	sig := info.Signo()
	line := tracePrefix(t) + "--- " + task.SignalName(sig) + " {si_signo=" + task.SignalName(sig) + ", si_code=" + sigCodeText(sig, info.Code())
	switch code := info.Code(); {
	case code == linux.SI_USER || code == linux.SI_TKILL || code == linux.SI_QUEUE || sig == int(unix.SIGCHLD):
		pid, uid := info.Sender()
		line += ", si_pid=" + strconv.Itoa(pid) + ", si_uid=" + strconv.Itoa(int(uid))
	case code > 0 && code < linux.SI_KERNEL:
		line += ", si_addr=" + ptrText(info.Addr())
	}
	traceLine(line + "} ---")
}

func sigCodeText(sig int, code int32) string {
	switch code {
	case linux.SI_USER:
		return "SI_USER"
	case linux.SI_KERNEL:
		return "SI_KERNEL"
	case linux.SI_QUEUE:
		return "SI_QUEUE"
	case linux.SI_TIMER:
		return "SI_TIMER"
	case linux.SI_TKILL:
		return "SI_TKILL"
	}
	var names []string
	switch unix.Signal(sig) {
	case unix.SIGSEGV:
		names = []string{"SEGV_MAPERR", "SEGV_ACCERR"}
	case unix.SIGBUS:
		names = []string{"BUS_ADRALN", "BUS_ADRERR", "BUS_OBJERR"}
	case unix.SIGFPE:
		names = []string{"FPE_INTDIV", "FPE_INTOVF", "FPE_FLTDIV", "FPE_FLTOVF", "FPE_FLTUND", "FPE_FLTRES", "FPE_FLTINV"}
	case unix.SIGILL:
		names = []string{"ILL_ILLOPC", "ILL_ILLOPN"}
	case unix.SIGTRAP:
		names = []string{"TRAP_BRKPT", "TRAP_TRACE"}
	case unix.SIGCHLD:
		names = []string{"CLD_EXITED", "CLD_KILLED", "CLD_DUMPED", "CLD_TRAPPED", "CLD_STOPPED", "CLD_CONTINUED"}
	}
	if i := int(code) - 1; i >= 0 && i < len(names) {
		return names[i]
	}
	return strconv.Itoa(int(code))
}

// format is a parsed Row.Format.
type format struct {
	n      int
	names  [6]string
	kinds  [6]string
	result string
}

// parseFormat reads "name:kind, name:kind, =kind"; what has no format prints as
// nothing.
func parseFormat(s string) (f format) {
	for s != "" {
		var part string
		part, s, _ = strings.Cut(s, ",")
		part = strings.TrimSpace(part)
		if kind, ok := strings.CutPrefix(part, "="); ok {
			f.result = kind
			continue
		}
		if f.n == len(f.kinds) {
			continue
		}
		f.names[f.n], f.kinds[f.n], _ = strings.Cut(part, ":")
		f.n++
	}
	return f
}
