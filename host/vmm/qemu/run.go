package qemu

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"gosv/abi/boot"
	"gosv/host/vmm"
)

// QEMU runs machines with qemu-system-x86_64.
type QEMU struct {
	Path string // of the program; "" to search $PATH
}

const program = "qemu-system-x86_64"

// find gives the program's path.
func (q QEMU) find() (string, error) {
	name := q.Path
	if name == "" {
		name = program
	}
	p, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("QEMU (%s) %w; %s", name, vmm.ErrNotInstalled, howToInstall("/etc/os-release"))
	}
	return p, nil
}

// howToInstall names the command of this distribution.
func howToInstall(osRelease string) string {
	commands := []struct{ id, command string }{
		{"debian", "apt-get install qemu-system-x86"}, {"ubuntu", "apt-get install qemu-system-x86"},
		{"alpine", "apk add qemu-system-x86_64"}, {"arch", "pacman -S qemu-system-x86"},
		{"suse", "zypper install qemu-x86"}, {"opensuse", "zypper install qemu-x86"},
		{"fedora", "dnf install qemu-system-x86-core"}, {"rhel", "dnf install qemu-kvm"},
	}
	b, _ := os.ReadFile(osRelease)
	for _, key := range []string{"ID=", "ID_LIKE="} {
		for _, line := range strings.Split(string(b), "\n") {
			v, ok := strings.CutPrefix(line, key)
			if !ok {
				continue
			}
			for _, id := range strings.Fields(strings.Trim(v, `"'`)) {
				for _, c := range commands {
					if id == c.id {
						return "install it with: " + c.command
					}
				}
			}
		}
	}
	return "install it with your package manager"
}

// Command implements vmm.VMM.
func (q QEMU) Command(m vmm.Machine) ([]string, error) {
	a, err := args(m, terminal)
	if err != nil {
		return nil, err
	}
	name := q.Path
	if name == "" {
		name = program
	}
	return append([]string{name}, a...), nil
}

type process struct {
	cmd     *exec.Cmd
	done    chan struct{} // closed when QEMU has ended
	err     error         // of QEMU, after done
	copies  sync.WaitGroup
	lost    chan error // what drain could not write; room for one
	said    lastBytes
	control *os.File
}

// Start implements vmm.VMM.
func (q QEMU) Start(m vmm.Machine, s vmm.Streams) (vmm.Process, error) {
	path, err := q.find()
	if err != nil {
		return nil, err
	}
	if err := checkDevices(m.Networks); err != nil {
		return nil, err
	}
	var open []*os.File // to close on failure, and QEMU's ends after the start
	pipe := func() (r, w *os.File, err error) {
		if r, w, err = os.Pipe(); err == nil {
			open = append(open, r, w)
			// A larger pipe than usual means fewer turns between QEMU and this process; not getting it is no harm.
			unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 1<<20) //nolint:errcheck
		}
		return r, w, err
	}
	give := inherited
	var taps []*os.File
	for _, n := range m.Networks {
		var fds []int
		if n.Kind == vmm.NetworkBridge {
			list, err := openTaps(n.Device, tapQueues(m))
			if err != nil {
				closeAll(open)
				return nil, err
			}
			open = append(open, list...)
			for _, f := range list {
				fds = append(fds, firstTap+len(taps))
				taps = append(taps, f)
			}
		}
		give.taps = append(give.taps, fds)
	}
	a, err := args(m, give)
	if err != nil {
		closeAll(open)
		return nil, err
	}
	inR, inW, err1 := pipe()
	outR, outW, err2 := pipe()
	errR, errW, err3 := pipe()
	logR, logW, err4 := pipe()
	control, controlQEMU, err5 := socketPair()
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		closeAll(open)
		return nil, err
	}
	open = append(open, control, controlQEMU)
	p := &process{done: make(chan struct{}), lost: make(chan error, 1), control: control}
	p.cmd = exec.Command(path, a...)
	p.cmd.Stdin = inR
	p.cmd.Stderr = &p.said
	p.cmd.ExtraFiles = append([]*os.File{outW, errW, logW, controlQEMU}, taps...)
	// Not in this process's group, so that the terminal's signals reach this process alone.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}

	started := make(chan error)
	go func() {
		// The kernel sends Pdeathsig when the thread that started QEMU ends: this one stays.
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		closeAll(open)
		return nil, fmt.Errorf("starting QEMU: %w", err)
	}
	closeAll(append([]*os.File{inR, outW, errW, logW, controlQEMU}, taps...))
	go feed(inW, s.Stdin)
	go raiseBacklogs(p.cmd.Process.Pid, m.Networks, p.done)
	p.copies.Add(3)
	go p.drain(outR, s.Stdout)
	go p.drain(errR, s.Stderr)
	go p.lines(logR, s.Log)
	return p, nil
}

// feed copies standard input until its end, or QEMU's.
func feed(w *os.File, r io.Reader) {
	defer w.Close()
	if r != nil {
		io.Copy(w, r) //nolint:errcheck // input that the guest does not take has no one to be told
	}
}

// drain copies an output stream to its end. When its target fails, the rest is
// thrown away so that the guest goes on, as a program does that ignores SIGPIPE;
// a closed standard output ends this process by SIGPIPE before.
func (p *process) drain(r *os.File, w io.Writer) {
	defer p.copies.Done()
	defer r.Close()
	if w != nil {
		_, err := io.Copy(w, r)
		if err == nil {
			return
		}
		select {
		case p.lost <- err:
		default: // there was one before
		}
	}
	io.Copy(io.Discard, r) //nolint:errcheck // nothing is kept
}

// maxLine is where a line of the log is cut.
const maxLine = 64 << 10

func (p *process) lines(r *os.File, f func(string)) {
	defer p.copies.Done()
	defer r.Close()
	b := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := b.ReadSlice('\n')
		if len(line) > 0 && f != nil {
			f(string(bytes.TrimRight(line, "\r\n")))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// socketPair gives our end and QEMU's of the control port.
func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control"), nil
}

// PID implements vmm.Process.
func (p *process) PID() int { return p.cmd.Process.Pid }

// Control implements vmm.Process. What the guest has not read yet waits in the
// socket.
func (p *process) Control(r boot.Request) error {
	c, err := p.control.SyscallConn()
	if err != nil {
		return err
	}
	cerr := c.Control(func(fd uintptr) {
		err = unix.Sendto(int(fd), []byte(r.Format()+"\n"), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
	})
	return errors.Join(err, cerr)
}

// Wait implements vmm.Process.
func (p *process) Wait() vmm.Exit {
	<-p.done
	p.copies.Wait()
	p.control.Close()
	e := vmm.Exit{Said: p.said.String(), Err: p.err}
	select {
	case e.Lost = <-p.lost:
	default:
	}
	return e
}

// Kill implements vmm.Process.
func (p *process) Kill() {
	select {
	case <-p.done:
	default:
		p.cmd.Process.Kill() //nolint:errcheck // it has ended by itself
	}
}

// Pause implements vmm.Process.
func (p *process) Pause(stop bool) {
	sig := syscall.SIGCONT
	if stop {
		sig = syscall.SIGSTOP
	}
	select {
	case <-p.done:
	default:
		p.cmd.Process.Signal(sig) //nolint:errcheck // it has ended by itself
	}
}

// lastBytes keeps the last few kilobytes that were written to it.
type lastBytes struct {
	mu sync.Mutex // b
	b  []byte
}

const keepBytes = 8 << 10

// Write implements io.Writer.
func (l *lastBytes) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, p...)
	if n := len(l.b) - keepBytes; n > 0 {
		l.b = append(l.b[:0], l.b[n:]...)
	}
	return len(p), nil
}

// String gives what was kept.
func (l *lastBytes) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}
