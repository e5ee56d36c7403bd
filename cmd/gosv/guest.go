package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gosv/abi/boot"
	"gosv/host/vmm"
	"gosv/host/vmm/qemu"
)

// guestRun is one machine from its start to the tool's exit status.
type guestRun struct {
	opt      *runOptions
	name     string // of the program, as the user wrote it
	machine  vmm.Machine
	term     *terminal
	chart    *chart
	timeout  time.Duration
	streams  vmm.Streams          // nil streams are this process's own
	messages io.Writer            // for lines of the tool and the kernel
	requests <-chan request       // of gosv stop
	started  func(hypervisor int) // is called once, with QEMU's process
	running  func()               // nil, or called once the program has started
	report   *boot.Report         // after run: what the kernel said at the end, if anything
	ending   ending
}

// request is what another process asks of a machine.
type request struct {
	signal int // for the program
	kill   bool
}

const (
	// afterReport is how long a machine may go on after the kernel's last line.
	afterReport = 2 * time.Second

	// together is how far apart signals may be that are one request: timeout(1) sends its own to the process and then
	// to its group, systemd to the whole control group.
	together = 100 * time.Millisecond
)

// Times that tests shorten.
var (
	// grace is how long the program may take to end after SIGTERM.
	grace = 10 * time.Second
	// afterPowerOff is how long the kernel may take to end a program that gets no more time.
	afterPowerOff = time.Second
)

func (g *guestRun) run(v vmm.VMM) (err error) {
	log := &kernelLog{verbose: g.opt.verbose, messages: g.messages, chart: g.chart, raw: g.streams.Log}
	if g.opt.strace == straceStderr {
		log.strace = g.messages
	} else if g.opt.strace != "" {
		f, err := os.Create(g.opt.strace)
		if err != nil {
			return fmt.Errorf("--strace: cannot write %s: %w", g.opt.strace, errors.Unwrap(err))
		}
		defer func() {
			if cerr := f.Close(); err == nil && cerr != nil {
				err = fmt.Errorf("--strace: %w", cerr)
			}
		}()
		log.strace = f
	}
	reported := make(chan struct{})
	log.onReport = func() { close(reported) }
	log.onStart = g.running
	wanted := make(chan struct{})
	log.onInput = func() { close(wanted) }

	signals := make(chan os.Signal, 8)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGTSTP, syscall.SIGCONT, syscall.SIGWINCH} {
		if !signal.Ignored(s) { // nohup(1) and its like
			signal.Notify(signals, s)
		}
	}
	defer signal.Stop(signals)
	escaped := make(chan struct{}, 1)
	streams := g.streams
	streams.Log = log.line
	if g.term.keyboard() {
		streams.Stdin = &escapeReader{r: os.Stdin, now: time.Now, escaped: func() {
			select {
			case escaped <- struct{}{}:
			default:
			}
		}}
	} else if streams.Stdin != nil {
		// A program that does not read leaves its input to others: to less at the other end of the pipe, to the loop
		// of a script.
		streams.Stdin = waitReader{streams.Stdin, wanted}
	}
	streams.Stdout = firstByte{streams.Stdout, g.chart}
	p, err := v.Start(g.machine, streams)
	if err != nil {
		return err
	}
	g.chart.step("QEMU started")
	if g.started != nil {
		g.started(p.PID())
	}
	if g.term.keyboard() {
		if err := g.term.setRaw(); err != nil {
			p.Kill()
			return fmt.Errorf("the terminal: %w", err)
		}
		defer g.term.restore()
	}
	ended := make(chan vmm.Exit, 1)
	go func() { ended <- p.Wait() }()
	g.ending = ending{p: p, requested: map[int]bool{}}
	if g.timeout > 0 {
		g.ending.timeout = time.After(g.timeout)
	}
	for {
		select {
		case e := <-ended:
			g.term.restore()
			g.chart.step("end")
			if g.opt.bootchart {
				g.chart.print(g.messages)
			}
			report, last := log.end()
			g.report = report
			if c := g.ending.cause; c != nil && (report == nil || report.Fields["signal"] == "SIGKILL") {
				return c
			}
			return g.verdict(report, last, e)
		case <-reported:
			reported = nil
			time.AfterFunc(afterReport, p.Kill)
		case <-g.ending.timeout:
			g.ending.timeout = nil
			g.ending.kill(statusError{statusTimeout, fmt.Errorf("%s did not end within %v (--timeout)", g.name, g.timeout)})
		case <-g.ending.grace:
			g.ending.grace = nil
			g.warnGrace()
			g.ending.powerOff(exitStatus(statusSignal + int(g.ending.signal)))
		case <-g.ending.dead:
			g.ending.dead = nil
			p.Kill()
		case <-escaped:
			g.ending.kill(exitStatus(statusSignal + int(syscall.SIGKILL)))
		case r := <-g.requests:
			if r.kill {
				g.ending.powerOff(exitStatus(statusSignal + int(syscall.SIGKILL)))
			} else {
				g.ending.send(r.signal, false)
			}
		case s := <-signals:
			g.onSignal(p, s.(syscall.Signal))
		}
	}
}

// onSignal passes a signal on to the program. Those by which a user ends one
// start the grace time; the second of them ends the machine.
func (g *guestRun) onSignal(p vmm.Process, s syscall.Signal) {
	switch s {
	case syscall.SIGTSTP:
		g.suspend(p)
	case syscall.SIGCONT:
	case syscall.SIGWINCH:
		if g.term != nil {
			cols, rows := g.term.size()
			p.Control(boot.Request{Verb: boot.RequestResize, Cols: cols, Rows: rows}) //nolint:errcheck // the next change is told again
		}
	case syscall.SIGINT, syscall.SIGTERM:
		g.ending.terminate(s)
	case syscall.SIGHUP:
		if g.term.keyboard() { // the terminal is gone, and with it whoever could end the program
			g.ending.terminate(s)
			return
		}
		g.ending.send(int(s), false)
	default:
		g.ending.send(int(s), s == syscall.SIGQUIT)
	}
}

func (g *guestRun) warnGrace() {
	if !g.opt.quiet {
		fmt.Fprintf(g.messages, "gosv: %s did not end within %v of SIG%s, killing it\n", g.name, grace, boot.SignalName(int(g.ending.signal)))
	}
}

// ending is how a machine is made to end.
type ending struct {
	p         vmm.Process
	requested map[int]bool // signals that were passed on
	cause     error        // the tool's end, when the machine was killed
	signal    syscall.Signal
	since     time.Time        // of signal
	timeout   <-chan time.Time // --timeout
	grace     <-chan time.Time // after a signal
	dead      <-chan time.Time // after powerOff
}

// send passes a signal on to the program.
func (e *ending) send(sig int, group bool) {
	e.requested[sig] = true
	e.p.Control(boot.Request{Verb: boot.RequestSignal, Signal: sig, Group: group}) //nolint:errcheck // a guest that takes none is killed later
}

// terminate passes a signal on that should end the program, the first time.
func (e *ending) terminate(s syscall.Signal) {
	if e.signal != 0 {
		if time.Since(e.since) > together {
			e.kill(exitStatus(statusSignal + int(s)))
		}
		return
	}
	e.signal, e.since = s, time.Now()
	e.grace = time.After(grace)
	e.send(int(s), s == syscall.SIGINT)
}

// powerOff ends the machine without the program's consent, with what it has
// written.
func (e *ending) powerOff(cause error) {
	if e.p.Control(boot.Request{Verb: boot.RequestPowerOff}) != nil {
		e.kill(cause)
		return
	}
	if e.cause == nil {
		e.cause = cause
	}
	e.dead = time.After(afterPowerOff)
}

// kill ends the machine at once.
func (e *ending) kill(cause error) {
	if e.cause == nil {
		e.cause = cause
	}
	e.p.Kill()
}

// suspend stops the machine and this process, as Ctrl-Z does to a local one,
// until someone continues it.
func (g *guestRun) suspend(p vmm.Process) {
	p.Pause(true)
	g.term.restore()
	syscall.Kill(0, syscall.SIGSTOP) //nolint:errcheck // our own group
	if g.term.keyboard() {
		g.term.setRaw() //nolint:errcheck // the terminal is as it is
	}
	p.Pause(false)
}

// ownStreams are this process's.
func (g *guestRun) ownStreams() {
	g.messages = g.term.messages()
	g.streams = vmm.Streams{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	if g.term.keyboard() {
		g.streams.Stderr = g.messages
	}
}

// verdict turns the end of a machine into the tool's end.
func (g *guestRun) verdict(r *boot.Report, last []string, e vmm.Exit) error {
	if r == nil {
		return g.noReport(last, e)
	}
	if msg := r.Fields["panic"]; strings.Contains(msg, "out of memory") && r.Fields["started"] == "" {
		return fmt.Errorf("%s of memory is too little for the kernel and %s; try -m %s", memoryText(g.machine.Memory), g.name, memoryText(2*g.machine.Memory))
	} else if msg != "" {
		return statusError{boot.StatusError, fmt.Errorf("the kernel crashed: %s; this is a bug of gosv, the log above helps to find it", msg)}
	}
	if msg := r.Fields["error"]; msg != "" {
		if strings.Contains(msg, unix.ENOMEM.Error()) {
			msg += fmt.Sprintf(": %s is too little, try -m %s", memoryText(g.machine.Memory), memoryText(2*g.machine.Memory))
		}
		return statusError{r.Status, errors.New(msg)}
	}
	// As shells do, nothing is said of the two signals by which a user or a reader ends a program, nor of one that was asked for.
	if sig := r.Fields["signal"]; sig != "" && sig != "SIGINT" && sig != "SIGPIPE" && !g.ending.requested[boot.ParseSignal(sig)] && !g.opt.quiet {
		fmt.Fprintln(g.messages, signalLine(g.name, r))
		if r.Fields["oom"] != "" {
			fmt.Fprintf(g.messages, "gosv: it needed more than the %s of memory that the machine has; try -m %s\n",
				memoryText(g.machine.Memory), memoryText(2*g.machine.Memory))
		}
	}
	if e.Lost != nil {
		return fmt.Errorf("output of %s was lost: %w", g.name, e.Lost)
	}
	if r.Status == 0 {
		return nil
	}
	return exitStatus(r.Status)
}

// signalLine says what ended a program.
func signalLine(name string, r *boot.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "gosv: %s was ended by %s", filepath.Base(name), r.Fields["signal"])
	if v := r.Fields["addr"]; v != "" {
		b.WriteString(" at address " + v)
	}
	if v := r.Fields["ip"]; v != "" {
		b.WriteString(", instruction at " + v)
	}
	if v := r.Fields["insn"]; v != "" {
		b.WriteString(" (" + v + ")")
	}
	return b.String()
}

// noReport explains a machine that ended, or never began, without a word of
// its kernel.
func (g *guestRun) noReport(last []string, e vmm.Exit) error {
	said := strings.TrimSpace(e.Said)
	switch {
	case said != "":
		return fmt.Errorf("QEMU: %s", said)
	case e.Err != nil && strings.Contains(e.Err.Error(), "signal"):
		return fmt.Errorf("QEMU was ended by a %w; is this machine out of memory?", e.Err)
	}
	msg := "the machine ended without a report"
	if len(last) > 0 {
		msg += "; its last line was: " + last[len(last)-1]
	}
	const enough = 64 << 20
	if g.machine.Memory < enough {
		msg += fmt.Sprintf("; %s of memory may be too little, try -m %s", memoryText(g.machine.Memory), memoryText(enough))
	} else {
		msg += "; try again with -v for the kernel's log"
	}
	return errors.New(msg)
}

// firstByte notes when the first byte passes.
type firstByte struct {
	w     io.Writer
	chart *chart
}

// Write implements io.Writer.
func (f firstByte) Write(p []byte) (int, error) {
	f.chart.output()
	return f.w.Write(p)
}

var _ vmm.VMM = qemu.QEMU{}
