package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gosv/abi/boot"
	"gosv/host/machines"
	"gosv/host/vmm"
	"gosv/host/vmm/qemu"
)

// checkDetach looks at the flags that belong to -d.
func (o *runOptions) checkDetach() error {
	switch {
	case o.machineName != "" && !o.detach:
		return errors.New("--name: only a machine in the background has a name; add -d")
	case o.remove && !o.detach:
		return errors.New("--rm: only of a machine in the background is something left; add -d")
	case o.detach && o.dryRun:
		return errors.New("--detach and --dry-run exclude each other")
	case o.machineName != "":
		if err := machines.CheckName(o.machineName); err != nil {
			return fmt.Errorf("--name: %w", err)
		}
	}
	return nil
}

// startDetached starts a supervisor for the machine and prints the machine's
// name once it runs.
func (o *runOptions) startDetached(args []string, m vmm.Machine, q qemu.QEMU) (err error) {
	store, err := machines.Open()
	if err != nil {
		return err
	}
	spec := machines.Spec{Program: args[0], Args: args[1:], Created: time.Now(), Machine: m, QEMU: q.Path, Timeout: o.timeout, Strace: o.strace,
		BootChart: o.bootchart, Verbose: o.verbose, Quiet: o.quiet, Remove: o.remove}
	// The supervisor works in another directory.
	files := []*string{&spec.Machine.Kernel, &spec.Machine.Image}
	if spec.Strace != straceStderr {
		files = append(files, &spec.Strace)
	}
	for _, name := range files {
		if *name != "" {
			if *name, err = filepath.Abs(*name); err != nil {
				return err
			}
		}
	}
	machine, err := store.Create(o.machineName, spec)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			machine.Remove() //nolint:errcheck // the first error counts
		}
	}()
	said, err := os.OpenFile(filepath.Join(machine.Dir, "supervisor"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer said.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	c := exec.Command("/proc/self/exe", "supervise", machine.Dir)
	c.Args[0] = os.Args[0]
	c.Dir, c.Stdout, c.Stderr, c.ExtraFiles = "/", said, said, []*os.File{w}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = c.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("starting the supervisor: %w", err)
	}
	word, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if string(word) == ready {
		c.Process.Release() //nolint:errcheck // it only forgets the process
		_, err = fmt.Println(machine.Name)
		return err
	}
	c.Wait() //nolint:errcheck // the word says what was wrong
	status, msg, ok := strings.Cut(string(word), " ")
	n, nerr := strconv.Atoi(status)
	if !ok || nerr != nil {
		b, _ := os.ReadFile(said.Name())
		return fmt.Errorf("the supervisor ended at once: %s", b)
	}
	return statusError{n, errText(msg)}
}

// What a supervisor tells its parent: this word, or a status and a message.
const ready = "ready"

// settled is how long a machine has to say that its program runs, or that it cannot run it. One that says neither, because
// its host is busy or because --kernel named a kernel that does not say it, counts as started.
const settled = 30 * time.Second

func newSupervise() *cobra.Command {
	return &cobra.Command{
		Use:    "supervise DIR",
		Short:  "Run a machine in the background, as gosv run -d has prepared it",
		Hidden: true,
		Args:   exactArgs(1, "DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			syscall.CloseOnExec(3)
			s := &supervisor{machine: &machines.Machine{Name: filepath.Base(args[0]), Dir: args[0]}, parent: os.NewFile(3, "parent")}
			return s.run()
		},
	}
}

// supervisor runs one machine and keeps its state.
type supervisor struct {
	machine *machines.Machine
	state   machines.State
	parent  *os.File // waits for a word; nil once it has it
	settle  *time.Timer
}

func (s *supervisor) run() error {
	g, spec, err := s.prepare()
	if err != nil {
		s.tell("125 " + err.Error())
		return err
	}
	run := make(chan error, 1)
	up := make(chan int, 1)
	g.started = func(hypervisor int) { up <- hypervisor }
	started := make(chan struct{})
	g.running = sync.OnceFunc(func() { close(started) })
	var running <-chan struct{} // started, once the state says so
	go func() { run <- g.run(qemu.QEMU{Path: spec.QEMU}) }()
	s.settle = time.NewTimer(settled)
	for {
		select {
		case pid := <-up:
			s.state.State, s.state.Hypervisor, s.state.Started = machines.Running, pid, time.Now()
			if err := s.machine.SetState(s.state); err != nil {
				return err // and the machine ends with this process
			}
			running = started
		case <-running:
			running = nil
			s.tell(ready)
		case <-s.settle.C:
			s.tell(ready)
		case err := <-run:
			return s.end(g, spec, err)
		}
	}
}

// prepare makes everything but the machine.
func (s *supervisor) prepare() (*guestRun, machines.Spec, error) {
	spec, err := s.machine.Spec()
	if err != nil {
		return nil, spec, err
	}
	s.state = machines.State{State: machines.Starting, Supervisor: machines.Self()}
	if err := s.machine.SetState(s.state); err != nil {
		return nil, spec, err
	}
	timeout, err := parseTimeout(spec.Timeout)
	if err != nil {
		return nil, spec, err
	}
	log, err := s.machine.OpenLog()
	if err != nil {
		return nil, spec, err
	}
	asked, err := s.machine.Listen()
	if err != nil {
		return nil, spec, err
	}
	requests := make(chan request)
	go func() {
		for r := range asked {
			requests <- request{signal: r.Signal, kill: r.Kill}
		}
	}()
	kernel := log.Writer(machines.Kernel)
	o := &runOptions{strace: spec.Strace, bootchart: spec.BootChart, guestOptions: guestOptions{quiet: spec.Quiet}}
	return &guestRun{
		opt: o, name: spec.Program, machine: spec.Machine, chart: newChart(), timeout: timeout, requests: requests,
		messages: log.Writer(machines.Stderr),
		streams: vmm.Streams{Stdout: log.Writer(machines.Stdout), Stderr: log.Writer(machines.Stderr), Log: func(line string) {
			io.WriteString(kernel, line+"\n") //nolint:errcheck // a full disk must not end the guest
		}},
	}, spec, nil
}

// tell gives the parent its word. The first counts.
func (s *supervisor) tell(word string) {
	if s.parent != nil {
		s.parent.WriteString(word) //nolint:errcheck // a parent that was killed does not matter
		s.parent.Close()
		s.parent = nil
	}
}

// end notes how the machine ended. One that failed before its start has nothing
// left to be looked at: the parent says why, and forgets it.
func (s *supervisor) end(g *guestRun, spec machines.Spec, err error) error {
	msg := ""
	s.state.State, s.state.Ended = machines.Exited, time.Now()
	if err != nil {
		s.state.Status, msg = statusOf(err)
		s.state.Message = msg
	}
	if msg != "" {
		fmt.Fprintln(g.messages, "gosv: "+msg)
	}
	own := g.report == nil || g.report.Fields["error"] != "" || g.report.Fields["panic"] != ""
	if s.parent != nil && own && s.state.Status >= boot.StatusError && s.state.Status <= boot.StatusNoProgram {
		s.tell(strconv.Itoa(s.state.Status) + " " + msg)
		return nil
	}
	if err := s.machine.SetState(s.state); err != nil {
		return err
	}
	defer s.tell(ready)
	if spec.Remove { // before the parent ends: who looks then must not find it
		return s.machine.Remove()
	}
	return nil
}

// eachMachine does something for machines at the same time, and prints the name
// of each that it was done for. All errors are told.
func eachMachine(c *cobra.Command, names []string, do func(*machines.Machine) (string, error)) error {
	store, err := machines.Open()
	if err != nil {
		return err
	}
	type result struct {
		text string
		err  error
	}
	results := make([]chan result, len(names))
	for i, name := range names {
		results[i] = make(chan result, 1)
		go func() {
			m, err := store.Find(name)
			if err != nil {
				results[i] <- result{err: err}
				return
			}
			text, err := do(m)
			results[i] <- result{text, err}
		}()
	}
	var errs []error
	for _, r := range results {
		r := <-r
		if r.err == nil {
			_, r.err = fmt.Fprintln(c.OutOrStdout(), r.text)
		}
		errs = append(errs, r.err)
	}
	return errors.Join(errs...)
}

// machineArgs checks that machines are named, each once.
func machineArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError(c, "no machine is named; gosv ps -a lists them")
	}
	if len(slices.Compact(slices.Sorted(slices.Values(args)))) != len(args) {
		return usageError(c, "a machine is named twice")
	}
	return nil
}
