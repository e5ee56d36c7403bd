package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"gosv/abi/boot"
	"gosv/host/accel"
	"gosv/host/image"
	"gosv/host/rootfs"
	"gosv/host/vmm"
	"gosv/host/vmm/qemu"
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
	o       options
	version string
	file    string
	initrd  map[string]string
}

func newLinux(o options, programs map[string]string) (*linux, error) {
	l := &linux{o: o, initrd: map[string]string{}}
	if err := l.fetch(filepath.Join(o.work, "linux")); err != nil {
		return nil, fmt.Errorf("the cloud kernel of Debian: %w", err)
	}
	for _, name := range []string{"first", "ubench"} {
		b, err := os.ReadFile(programs[name])
		if err != nil {
			return nil, err
		}
		l.initrd[name] = filepath.Join(o.work, name+".cpio")
		if err := os.WriteFile(l.initrd[name], initramfs(b), 0o644); err != nil {
			return nil, err
		}
	}
	return l, nil
}

var kernelPackage = regexp.MustCompile(`linux-image-\S+-cloud-amd64`)

// fetch downloads and unpacks the kernel package with apt, unless it is there.
func (l *linux) fetch(dir string) error {
	find := func() bool {
		found, _ := filepath.Glob(filepath.Join(dir, "boot/vmlinuz-*"))
		drivers, _ := filepath.Glob(filepath.Join(dir, "lib/modules/*/kernel/drivers/net/virtio_net.ko"))
		if len(found) == 0 || len(drivers) == 0 {
			return false
		}
		l.file = found[len(found)-1]
		l.version = strings.TrimPrefix(filepath.Base(l.file), "vmlinuz-")
		return true
	}
	if find() {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	depends := func() string {
		out, _ := exec.Command("apt-cache", "depends", "linux-image-cloud-amd64").Output()
		_, rest, _ := strings.Cut(string(out), "Depends:")
		return kernelPackage.FindString(rest)
	}
	name := depends()
	if name == "" {
		if out, err := exec.Command("apt-get", "update").CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get update: %w\n%s", err, out)
		}
		if name = depends(); name == "" {
			return errors.New("apt knows no package linux-image-cloud-amd64: it needs a Debian machine")
		}
	}
	get := exec.Command("apt-get", "download", name)
	get.Dir = dir
	if out, err := get.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get download %s: %w\n%s", name, err, out)
	}
	packages, _ := filepath.Glob(filepath.Join(dir, "*.deb"))
	if len(packages) == 0 {
		return fmt.Errorf("apt-get download %s left no package", name)
	}
	if out, err := exec.Command("dpkg-deb", "-x", packages[0], dir).CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg-deb: %w\n%s", err, out)
	}
	os.Remove(packages[0])
	os.RemoveAll(filepath.Join(dir, "usr"))
	if !find() {
		return fmt.Errorf("package %s has no kernel", name)
	}
	return nil
}

func (l *linux) hold(name string, tree *rootfs.Tree) error {
	archive, err := treeArchive(tree)
	if err != nil {
		return err
	}
	l.initrd[name] = filepath.Join(l.o.work, name+".cpio")
	return os.WriteFile(l.initrd[name], archive, 0o644)
}

func (l *linux) name() string   { return "Linux" }
func (l *linux) kernel() string { return l.file }

func (l *linux) command(m machine) ([]string, error) {
	typ := m.typ
	if typ == "microvm" {
		typ = "microvm,rtc=on" // with its timer and interrupt controller, which this kernel wants
	}
	// no_timer_check: under emulation the check of the timer fails on a busy host, and the boot stalls.
	line := "console=ttyS0 quiet no_timer_check panic=-1 reboot=t"
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
		"-no-reboot", "-kernel", l.file, "-initrd", l.initrd[m.program], "-append", line, "-serial", "stdio"), nil
}
