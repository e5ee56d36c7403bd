package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gosv/abi/boot"
	"gosv/host/accel"
	"gosv/host/config"
	"gosv/host/image"
	"gosv/host/kernel"
	"gosv/host/vmm"
	"gosv/host/vmm/qemu"
)

// runOptions are the flags of gosv run.
type runOptions struct {
	guestOptions
	networkOptions
	memory      string
	cpus        string
	accel       string
	machine     string
	kernel      string
	profile     string
	strace      string
	bootchart   bool
	bootOpts    string
	timeout     string
	dryRun      bool
	detach      bool
	machineName string
	remove      bool
}

const (
	defaultMemory = 128 << 20
	straceStderr  = "-" // --strace without a file
)

func newRun() *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run [flags] PROGRAM|IMAGE [ARGS...]",
		Short: "Run a program, or an image that gosv build made, as a microVM",
		Long: `Run a Linux program of this machine, unmodified, as a microVM. PROGRAM is a path
or a name in $PATH. Flags end at PROGRAM; the rest is the program's.

The libraries of the program, the interpreter of a script, the programs that a
shell script starts, the modules of languages such as Python and Perl, and the
files and directories that the arguments name are copied into an image, which is
kept in ~/.cache/gosv. Copy more with -v. The guest writes to memory: this
machine's files do not change.

The guest has a network behind this machine's address (--network user): it can
connect to where this machine can, and the ports that -p names are ports of this
machine. The network costs the start nothing. --network none does without, and
boots a smaller kernel, in less memory, which has no IP sockets at all; with
--profile full there is still 127.0.0.1.

Standard input, output and error are the program's, each a terminal where it is
one here; input that the program does not read is left alone. Where standard
input and output are the terminal, Ctrl-C goes to the program, and Ctrl-] three
times in a second ends the machine. Signals that gosv gets go to the program; a
second SIGINT or SIGTERM, or 10 seconds after the first, ends the machine. With
-d the machine runs in the background, with its output kept for gosv logs.

The status is the program's, or 128 + the signal that ended it; 124 after
--timeout; 125 when the machine itself failed; 126 when PROGRAM cannot be run;
127 when PROGRAM or a library of it does not exist.`,
		Example: `  gosv run /bin/echo hello
  gosv run ls -lR /etc
  seq 1000 | gosv run -m 64M sort -rn
  gosv run -c 2 -e GREETING=hi python3 -c 'import os; print(os.environ["GREETING"])'
  gosv run -v /etc/ssl:/etc/ssl:ro --strace=trace.txt openssl version -a
  gosv run -p 8080:8000 python3 -m http.server
  gosv run -d --name cache -p 127.0.0.1:6379:6379 redis-server --protected-mode no
  gosv run --network tap=tap0 --ip 192.168.1.5/24,192.168.1.1 --dns 192.168.1.1 ping -c 1 192.168.1.1
  gosv run --dry-run --machine q35 /bin/true`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(c, "no PROGRAM is given")
			}
			return runGuest(&o, args)
		},
	}
	f := c.Flags()
	f.SetInterspersed(false)
	f.StringVarP(&o.memory, "memory", "m", "", "`SIZE` of the machine's memory, as 64M or 2G (default 128M)")
	f.StringVarP(&o.cpus, "cpus", "c", "", "`NUMBER` of CPUs, 1 to 8 (default 1)")
	o.guestOptions.register(f)
	o.networkOptions.register(f)
	f.StringVar(&o.accel, "accel", "auto", "`KIND` of CPU: kvm, tcg (emulation), or auto: kvm if the hardware has it")
	f.StringVar(&o.machine, "machine", "microvm", "QEMU machine `TYPE`: microvm, q35 or pc")
	f.StringVar(&o.kernel, "kernel", "", "kernel `FILE` to boot instead of the one in this tool (or $GOSV_KERNEL)")
	f.StringVar(&o.profile, "profile", "", "`KIND` of kernel: full, or minimal, which has no network\n(default: full; minimal with --network none)")
	f.StringVar(&o.strace, "strace", "", "print each system call, on standard error or to a `FILE` (--strace=FILE)")
	f.Lookup("strace").NoOptDefVal = straceStderr
	f.BoolVar(&o.bootchart, "bootchart", false, "print how long each step of the start took")
	f.StringVar(&o.bootOpts, "boot-opts", "", "further `WORDS` for the kernel command line")
	f.StringVar(&o.timeout, "timeout", "", "end the machine after this `TIME`, as 10s or 2m, with status 124")
	f.BoolVarP(&o.detach, "detach", "d", false, "run in the background, and print the machine's name: see gosv ps, logs, stop")
	f.StringVar(&o.machineName, "name", "", "the `NAME` of the machine, with -d (default: made of the program's)")
	f.BoolVar(&o.remove, "rm", false, "with -d, forget the machine and its output when it has ended")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the QEMU command instead, ready to paste into a shell")
	return c
}

// runGuest carries out gosv run.
func runGuest(o *runOptions, args []string) error {
	chart := newChart()
	m := vmm.Machine{Type: o.machine, Memory: defaultMemory, CPUs: 1}
	if err := o.checkDetach(); err != nil {
		return err
	}
	if !slices.Contains(qemu.Machines, o.machine) {
		return fmt.Errorf("--machine %s: it is one of %s", o.machine, strings.Join(qemu.Machines, ", "))
	}
	timeout, err := parseTimeout(o.timeout)
	if err != nil {
		return err
	}
	choice, err := accel.Host{}.Choose(accel.Kind(o.accel))
	if err != nil {
		return err
	}
	m.Accel = choice.Kind
	o.note("using %s: %s", choice.Kind, choice.Reason)

	cache, err := image.OpenCache()
	if err != nil {
		return err
	}
	var term *terminal
	if !o.detach {
		term = openTerminal()
	}
	guest, inImage, err := o.prepare(cache, &m, args, term)
	if err != nil {
		return err
	}
	chart.step("image")
	if m.Kernel, err = o.kernelFile(cache, len(m.Networks) > 0); err != nil {
		return err
	}
	chart.step("kernel file")
	for _, set := range []struct {
		flag, word string
		set        func(string) error
	}{
		{o.memory, option(inImage, "memory"), func(s string) (err error) { m.Memory, err = config.ParseMemory(s); return }},
		{o.cpus, option(inImage, "cpus"), func(s string) (err error) { m.CPUs, err = config.ParseCPUs(s); return }},
	} {
		if s := or(set.flag, set.word); s != "" {
			if err := set.set(s); err != nil {
				return err
			}
		}
	}
	least, err := qemu.LeastMemory(m.Kernel)
	if err != nil {
		return err
	}
	if m.Memory < least {
		return fmt.Errorf("%s of memory is too little: the kernel alone needs %s; try -m %s", memoryText(m.Memory), memoryText(least), memoryText(2*least))
	}
	if !o.dryRun {
		guest.Wall = time.Now().UnixNano()
	}
	m.CommandLine = guest.Format()

	q := qemu.QEMU{Path: os.Getenv("GOSV_QEMU")}
	if o.dryRun {
		command, err := q.Command(m)
		if err == nil {
			_, err = fmt.Println(shellQuote(command))
		}
		return err
	}
	if o.detach {
		return o.startDetached(args, m, q)
	}
	g := &guestRun{opt: o, name: args[0], machine: m, term: term, chart: chart, timeout: timeout}
	g.ownStreams()
	return g.run(q)
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// kernelFile gives the path of the kernel to boot.
func (o *runOptions) kernelFile(cache *image.Cache, network bool) (string, error) {
	profile := kernel.Profile(o.profile)
	switch {
	case profile == "" && network:
		profile = kernel.Full
	case profile == "":
		profile = kernel.Minimal
	case !slices.Contains(kernel.Profiles, profile):
		return "", fmt.Errorf("--profile %s: it is full or minimal", o.profile)
	case profile == kernel.Minimal && network:
		return "", errors.New("--profile minimal: this kernel has no network; add --network none")
	}
	if name := or(o.kernel, os.Getenv("GOSV_KERNEL")); name != "" {
		if _, err := os.Stat(name); err != nil {
			return "", fmt.Errorf("--kernel %s: %w", name, errors.Unwrap(err))
		}
		return name, nil
	}
	b, err := kernel.ELF(profile)
	if err != nil {
		return "", err
	}
	return cache.Put("kernel-", ".elf", b)
}

// prepare finds or makes the image, and gives the kernel's configuration and
// the one that is in the image.
func (o *runOptions) prepare(cache *image.Cache, m *vmm.Machine, args []string, term *terminal) (guest, inImage boot.Config, err error) {
	guest = boot.Config{Hostname: o.hostname, Init: o.init, Strace: o.strace != "", BootChart: o.bootchart, Announce: o.detach, Verbose: o.verbose}
	more, err := boot.Parse(o.bootOpts)
	if err != nil {
		return guest, inImage, fmt.Errorf("--boot-opts: a quote is not closed")
	}
	if len(more.Args) > 0 {
		return guest, inImage, errors.New("--boot-opts: no \"--\" may be in it")
	}
	flags := guest
	guest = more.Merge(flags) // which takes from flags only what an image may say
	guest.Announce = more.Announce || flags.Announce
	guest.Strace, guest.BootChart, guest.Verbose = more.Strace || flags.Strace, more.BootChart || flags.BootChart, more.Verbose || flags.Verbose
	if term != nil {
		guest.Options = append(guest.Options, term.word())
	}
	if word := nullStreams(o.detach); word != "" {
		guest.Options = append(guest.Options, word)
	}
	if isImage(args[0]) {
		inImage, err = o.prepareImage(m, args, &guest, term)
		if err == nil {
			err = o.prepareNetwork(m, &guest, inImage)
		}
		return guest, inImage, err
	}
	if err := o.prepareNetwork(m, &guest, inImage); err != nil {
		return guest, inImage, err
	}
	env, err := o.environment(hostEnv(term != nil))
	if err != nil {
		return guest, inImage, err
	}
	cwd, err := os.Getwd()
	if err != nil {
		return guest, inImage, err
	}
	env = o.programPath(env, args[0], cwd)
	q, err := o.request(args[0], args[1:], env, cwd)
	if err != nil {
		return guest, inImage, err
	}
	guest.Workdir = q.Workdir
	long := guest
	long.Env, long.Args = env, append([]string{strings.Repeat("x", 256)}, args...)
	var inside boot.Config
	if len(long.Format())+64 > qemu.MaxCommandLine {
		// What does not fit on the command line stands in the image.
		inside.Env, inside.Args = env, args
	} else {
		guest.Env = env
	}
	var program boot.Config
	if m.Image, program, err = cachedImage(cache, q, inside); err != nil {
		return guest, inImage, err
	}
	if len(inside.Args) == 0 {
		guest.Args, guest.Argv0 = program.Args, program.Argv0
	}
	return guest, inImage, nil
}

// prepareNetwork gives the machine its interfaces.
func (o *runOptions) prepareNetwork(m *vmm.Machine, guest *boot.Config, inImage boot.Config) error {
	networks, words, err := o.resolve(inImage, o.machineName)
	if err != nil {
		return err
	}
	chosen, err := choosePorts(networks)
	if err != nil {
		return err
	}
	for _, p := range chosen {
		o.warn("port %d/%s is port %d of this machine", p.GuestPort, p.Proto(), p.HostPort)
	}
	m.Networks = networks
	guest.Options = append(guest.Options, words...)
	return nil
}

// prepareImage makes ready to run an image: what the command line says goes
// before what the image says, arguments replace the image's.
func (o *runOptions) prepareImage(m *vmm.Machine, args []string, guest *boot.Config, term *terminal) (boot.Config, error) {
	if len(o.volumes) > 0 {
		return boot.Config{}, errors.New("--volume: files cannot be copied into a finished image; give it to gosv build")
	}
	img, err := openImage(args[0])
	if err != nil {
		return boot.Config{}, err
	}
	defer img.Close()
	inImage, err := img.Config()
	if err != nil {
		return inImage, fmt.Errorf("%s: its configuration is damaged: %w", args[0], err)
	}
	if len(inImage.Args) == 0 && o.entrypoint == "" {
		return inImage, fmt.Errorf("%s: the image does not say what to run; give it with --entrypoint", args[0])
	}
	m.Image = args[0]
	guest.Workdir = o.workdir
	var base []string
	if term != nil {
		if t := os.Getenv("TERM"); t != "" {
			base = append(base, "TERM="+t)
		}
	}
	if guest.Env, err = o.environment(base); err != nil {
		return inImage, err
	}
	switch {
	case o.entrypoint != "":
		guest.Args = append([]string{o.entrypoint}, args[1:]...)
	case len(args) > 1:
		guest.Args = append([]string{inImage.Args[0]}, args[1:]...)
		guest.Argv0 = inImage.Argv0
	}
	return inImage, nil
}

// parseTimeout reads a duration; a number alone is seconds.
func parseTimeout(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if n, nerr := strconv.ParseFloat(s, 64); nerr == nil && n < 1e9 {
		d, err = time.Duration(n*float64(time.Second)), nil
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("--timeout %s: it is not a time; write for example 10s or 2m", s)
	}
	return d, nil
}

// shellQuote writes a command so that a shell reads the same words.
func shellQuote(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%"
		if w != "" && strings.Trim(w, safe) == "" {
			out[i] = w
			continue
		}
		out[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(out, " ")
}
