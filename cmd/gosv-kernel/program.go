//go:build metal

package main

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"gosv/abi/boot"
	"gosv/kernel/cpu"
	"gosv/kernel/mm"
	"gosv/kernel/task"
	"gosv/kernel/tty"
	"gosv/kernel/vfs"
)

// defaultFiles is RLIMIT_NOFILE's soft limit.
const defaultFiles = 1024

// start runs the program that the configuration names as process 1, or below it.
func start(config boot.Config, console *tty.Console) (*task.Process, error) {
	if len(config.Args) == 0 {
		return nil, errors.New("no program: the command line has nothing after --, and the image names none")
	}
	creds, err := user(config.User)
	if err != nil {
		return nil, err
	}
	fs := vfs.NewFSContext()
	if dir := config.Workdir; dir != "" {
		if err := fs.Chdir(vfs.Kernel(), dir); err != nil {
			return nil, errors.New("working directory " + dir + ": " + err.Error())
		}
	}
	files := vfs.NewFDTable(defaultFiles)
	std, err := console.Files(func(path string, flags uint32) (*vfs.File, error) {
		return fs.Open(vfs.Kernel(), nil, path, flags, 0)
	})
	if err != nil {
		return nil, errors.New("standard streams: " + err.Error())
	}
	for _, f := range std {
		if _, err := files.Install(f, false); err != nil {
			return nil, err
		}
	}
	args := append([]string(nil), config.Args...)
	if config.Argv0 != "" {
		args[0] = config.Argv0
	}
	run := task.Start
	if config.Init {
		run = task.StartUnderInit
	}
	p, err := run(task.StartArgs{Path: config.Args[0], Args: args, Env: config.Env, FS: fs, Files: files, Creds: creds})
	if err != nil {
		return nil, &startError{config.Args[0], err}
	}
	if console.Terminal != nil {
		leader := p.Program().PID
		console.Terminal.SetSession(leader, leader)
	}
	return p, nil
}

// A startError keeps the errno, which decides the exit status.
type startError struct {
	path string
	err  error
}

func (e *startError) Error() string { return e.path + ": " + e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// user reads uid[:gid].
func user(s string) (*vfs.Creds, error) {
	if s == "" {
		return &vfs.RootCreds, nil
	}
	u, g, both := strings.Cut(s, ":")
	uid, err := strconv.ParseUint(u, 10, 32)
	gid := uid
	if err == nil && both {
		gid, err = strconv.ParseUint(g, 10, 32)
	}
	if err != nil {
		return nil, errors.New("user " + s + ": want uid[:gid], in numbers")
	}
	c := vfs.RootCreds
	c.UID, c.EUID, c.SUID, c.FSUID = uint32(uid), uint32(uid), uint32(uid), uint32(uid)
	c.GID, c.EGID, c.SGID, c.FSGID = uint32(gid), uint32(gid), uint32(gid), uint32(gid)
	if uid != 0 {
		c.Effective, c.Permitted = 0, 0
	}
	return &c, nil
}

// setHostname gives the machine its name, through the file that programs use.
func setHostname(config boot.Config) error {
	name := config.Hostname
	if name == "" {
		name = "gosv"
	}
	if len(name) > 64 {
		return errors.New("hostname is longer than 64 bytes: " + name)
	}
	task.SetHostname(name)
	return nil
}

// mergeImageConfig joins the command line and the file in the image.
func mergeImageConfig(config boot.Config) (boot.Config, error) {
	text, err := readFile(boot.ConfigPath)
	if errors.Is(err, unix.ENOENT) {
		return config, nil
	}
	if err != nil {
		return config, errors.New(boot.ConfigPath + ": " + err.Error())
	}
	image, err := boot.Parse(string(text))
	if err != nil {
		return config, errors.New(boot.ConfigPath + ": " + err.Error())
	}
	return config.Merge(image), nil
}

// maxConfig bounds the files that the kernel itself reads.
const maxConfig = 4 << 20

func readFile(path string) ([]byte, error) {
	f, err := vfs.NewFSContext().Open(vfs.Kernel(), nil, path, unix.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Release()
	var text []byte
	chunk := make([]byte, 4096)
	for {
		buf := mm.KernelBuf(chunk)
		n, err := f.Read(nil, &buf)
		if err != nil || n == 0 {
			return text, err
		}
		if text = append(text, chunk[:n]...); len(text) > maxConfig {
			return nil, unix.EFBIG
		}
	}
}

// runBatch runs the command lines of a file, one new process after the other,
// and ends with the status of the last.
func runBatch(config boot.Config, console *tty.Console) {
	text, err := readFile(config.Batch)
	if err != nil {
		fail(boot.StatusError, errors.New(config.Batch+": "+err.Error()))
	}
	last := task.ExitInfo{}
	n := 0
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		mark := boot.BatchPrefix + strconv.Itoa(n)
		writeAll(console, mark+"\n")
		c, err := boot.Parse(string(line))
		if err == nil {
			c = c.Merge(boot.Config{Env: config.Env, Workdir: config.Workdir, User: config.User})
			var p *task.Process
			if p, err = start(c, console); err == nil {
				last = p.Wait()
			}
		}
		var fields []string
		if err != nil {
			last = task.ExitInfo{Status: startStatus(err)}
			fields = []string{"error", err.Error()}
		} else {
			fields = reportFields(last)
		}
		console.Flush()
		words := strings.TrimPrefix(boot.FormatReport(last.Status, fields...), boot.ReportPrefix)
		cpu.Log(mark + " " + words + "\n")
		n++
	}
	report(last)
}

// writeAll writes to the program's standard output, from the kernel.
func writeAll(console *tty.Console, s string) {
	files, err := console.Files(func(path string, flags uint32) (*vfs.File, error) {
		return vfs.NewFSContext().Open(vfs.Kernel(), nil, path, flags, 0)
	})
	if err != nil {
		return
	}
	buf := mm.KernelBuf([]byte(s))
	files[1].Write(nil, &buf) //nolint:errcheck // a full ring: flushed before, so there is room
	for _, f := range files {
		f.Release()
	}
}
