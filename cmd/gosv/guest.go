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
	opt     *runOptions
	name    string // of the program, as the user wrote it
	machine vmm.Machine
	term    *terminal
	chart   *chart
	timeout time.Duration
}

// afterReport is how long a machine may go on after the kernel's last line.
const afterReport = 2 * time.Second

func (g *guestRun) run(v vmm.VMM) (err error) {
	messages := g.term.messages()
	log := &kernelLog{verbose: g.opt.verbose, messages: messages, chart: g.chart}
	if g.opt.strace == straceStderr {
		log.strace = messages
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

	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGCONT)
	defer signal.Stop(signals)
	escaped := make(chan struct{}, 1)
	var stdin io.Reader = os.Stdin
	if g.term != nil {
		stdin = &escapeReader{r: os.Stdin, now: time.Now, escaped: func() {
			select {
			case escaped <- struct{}{}:
			default:
			}
		}}
	}
	p, err := v.Start(g.machine, vmm.Streams{Stdin: stdin, Stdout: firstByte{os.Stdout, g.chart}, Stderr: g.stderr(), Log: log.line})
	if err != nil {
		return err
	}
	g.chart.step("QEMU started")
	if g.term != nil {
		if err := g.term.setRaw(); err != nil {
			p.Kill()
			return fmt.Errorf("the terminal: %w", err)
		}
		defer g.term.restore()
	}
	ended := make(chan vmm.Exit, 1)
	go func() { ended <- p.Wait() }()
	var timer <-chan time.Time
	if g.timeout > 0 {
		timer = time.After(g.timeout)
	}
	var killed error
	for {
		select {
		case e := <-ended:
			g.term.restore()
			g.chart.step("end")
			if g.opt.bootchart {
				g.chart.print(os.Stderr)
			}
			report, last := log.end()
			if report == nil && killed != nil {
				return killed
			}
			return g.verdict(report, last, e)
		case <-reported:
			reported = nil
			time.AfterFunc(afterReport, p.Kill)
		case <-timer:
			timer = nil
			killed = statusError{statusTimeout, fmt.Errorf("%s did not end within %v (--timeout)", g.name, g.timeout)}
			p.Kill()
		case <-escaped:
			killed = exitStatus(statusSignal + int(syscall.SIGKILL))
			p.Kill()
		case s := <-signals:
			switch s {
			case syscall.SIGTSTP:
				g.suspend(p)
			case syscall.SIGCONT:
			default:
				killed = exitStatus(statusSignal + int(s.(syscall.Signal)))
				p.Kill()
			}
		}
	}
}

// suspend stops the machine and this process, as Ctrl-Z does to a local one,
// until someone continues it.
func (g *guestRun) suspend(p vmm.Process) {
	p.Pause(true)
	g.term.restore()
	syscall.Kill(0, syscall.SIGSTOP) //nolint:errcheck // our own group
	if g.term != nil {
		g.term.setRaw() //nolint:errcheck // the terminal is as it is
	}
	p.Pause(false)
}

// stderr is the guest's standard error: this process's own.
func (g *guestRun) stderr() io.Writer {
	if g.term != nil {
		return g.term.messages()
	}
	return os.Stderr
}

// verdict turns the end of a machine into the tool's end.
func (g *guestRun) verdict(r *boot.Report, last []string, e vmm.Exit) error {
	if r == nil {
		return g.noReport(last, e)
	}
	if msg := r.Fields["panic"]; strings.Contains(msg, "out of memory") {
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
	// As shells do, nothing is said of the two signals by which a user or a reader ends a program.
	if sig := r.Fields["signal"]; sig != "" && sig != "SIGINT" && sig != "SIGPIPE" && !g.opt.quiet {
		fmt.Fprintln(os.Stderr, signalLine(g.name, r))
		if r.Fields["oom"] != "" {
			fmt.Fprintf(os.Stderr, "gosv: it needed more than the %s of memory that the machine has; try -m %s\n",
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
