package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"gosv/abi/boot"
	"gosv/host/accel"
	"gosv/host/image"
	"gosv/host/rootfs"
	"gosv/host/vmm"
	"gosv/host/vmm/qemu"
	"gosv/test/debian"
)

// machine is one to start.
type machine struct {
	typ     string // microvm or q35
	memory  int64  // MiB
	program string // first, ubench, or what hold was told
	args    []string
	env     []string // gosv's; the first process of Linux has its own
	cpu     string   // what to add to the CPU model of an emulated machine
	kernel  string   // gosv's, if it is not the usual one
}

// system is an operating system that runs the program.
type system interface {
	name() string
	kernel() string // its file
	command(m machine) ([]string, error)
	serve(s service, cpus int, w wire) ([]string, error) // a machine with a server
	hold(name string, tree *rootfs.Tree) error           // makes the tree, which has an /init, what machines run whose program has the name
}

// compile builds the measuring programs, static, and gives their paths.
func compile(work string) (map[string]string, error) {
	if _, err := exec.LookPath("gcc"); err != nil {
		return nil, errors.New("no gcc here: sh test/setup.sh installs it")
	}
	paths := map[string]string{}
	for _, name := range []string{"first", "ubench", "net"} {
		paths[name] = filepath.Join(work, name)
		cmd := exec.Command("gcc", "-O2", "-static", "-pthread", "-o", paths[name], filepath.Join("bench/guest", name+".c"))
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("compiling %s: %w\n%s", name, err, out)
		}
	}
	return paths, nil
}

// gosv boots the kernel of this repository with an image of one program.
type gosv struct {
	o       options
	file    string
	program map[string]string
	images  map[string]string
}

func newGosv(o options, programs map[string]string) (*gosv, error) {
	g := &gosv{o: o, file: o.file, program: programs, images: map[string]string{}}
	if _, err := os.Stat(g.file); err != nil {
		return nil, fmt.Errorf("%s is missing: make build", g.file)
	}
	for _, name := range []string{"first", "ubench"} {
		path := programs[name]
		r, err := rootfs.Collect(rootfs.Request{Program: path, Cwd: "/", SearchPath: "/bin"})
		if err != nil {
			return nil, err
		}
		g.images[name] = filepath.Join(o.work, name+".img")
		if _, err := image.WriteFile(g.images[name], r.Tree); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *gosv) hold(name string, tree *rootfs.Tree) error {
	g.program[name], g.images[name] = "/init", filepath.Join(g.o.work, name+".img")
	_, err := image.WriteFile(g.images[name], tree)
	return err
}

func (g *gosv) name() string   { return "gosv" }
func (g *gosv) kernel() string { return g.file }

// minimal is the file of the kernel without network, which make build leaves beside the other.
func (g *gosv) minimal() string { return strings.TrimSuffix(g.file, ".elf") + "-minimal.elf" }

func (g *gosv) command(m machine) ([]string, error) {
	c := boot.Config{Args: append([]string{g.program[m.program]}, m.args...), Env: m.env}
	argv, err := qemu.QEMU{}.Command(vmm.Machine{Type: m.typ, Accel: g.o.accel, Memory: m.memory << 20, CPUs: 1,
		Kernel: cmp.Or(m.kernel, g.file), Image: g.images[m.program], CommandLine: c.Format()})
	if err != nil {
		return nil, err
	}
	for i := range argv {
		if argv[i] == "-cpu" && m.cpu != "" && g.o.accel == accel.TCG {
			argv[i+1] += m.cpu
		}
	}
	return argv, nil
}

// linux boots Debian's cloud kernel with an initial RAM file system that holds
// the program as /init.
type linux struct {
	o options
	*debian.Kernel
	initrd map[string]string
}

func newLinux(o options, programs map[string]string) (*linux, error) {
	k, err := debian.Fetch(filepath.Join(o.work, "linux"))
	if err != nil {
		return nil, fmt.Errorf("the cloud kernel of Debian: %w", err)
	}
	l := &linux{o: o, Kernel: k, initrd: map[string]string{}}
	for _, name := range []string{"first", "ubench"} {
		b, err := os.ReadFile(programs[name])
		if err != nil {
			return nil, err
		}
		l.initrd[name] = filepath.Join(o.work, name+".cpio")
		if err := os.WriteFile(l.initrd[name], debian.Initramfs(b), 0o644); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *linux) hold(name string, tree *rootfs.Tree) error {
	archive, err := debian.Archive(tree)
	if err != nil {
		return err
	}
	l.initrd[name] = filepath.Join(l.o.work, name+".cpio")
	return os.WriteFile(l.initrd[name], archive, 0o644)
}

func (l *linux) name() string   { return "Linux" }
func (l *linux) kernel() string { return l.File }

func (l *linux) command(m machine) ([]string, error) {
	typ := m.typ
	if typ == "microvm" {
		typ = "microvm,rtc=on" // with its timer and interrupt controller, which this kernel wants
	}
	line := debian.CommandLine
	if len(m.args) > 0 {
		line += " -- " + strings.Join(m.args, " ")
	}
	argv := []string{"qemu-system-x86_64", "-M", typ}
	if l.o.accel == accel.KVM {
		argv = append(argv, "-accel", "kvm", "-cpu", "host")
	} else {
		argv = append(argv, "-accel", "tcg,thread=multi", "-cpu", "max"+m.cpu)
	}
	return append(argv, "-m", strconv.FormatInt(m.memory, 10)+"M", "-smp", "1", "-nodefaults", "-no-user-config", "-display", "none",
		"-no-reboot", "-kernel", l.File, "-initrd", l.initrd[m.program], "-append", line, "-serial", "stdio"), nil
}
