// Package qemu runs machines with QEMU.
//
// The program's streams are virtio-serial ports, whose back ends are pipes to this process: bytes pass as they are,
// and QEMU stops taking the guest's data while a pipe is full. Standard input is a port of its own, since QEMU closes
// a port at the end of its input and then discards what the guest writes to it. The first serial line is the kernel's
// log. Requests to the kernel go through the device's port 0, which QEMU keeps for a console: a port that the guest has
// queues for anyway.
package qemu

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gosv/abi/boot"
	"gosv/host/accel"
	"gosv/host/kernel"
	"gosv/host/vmm"
)

// Machines are the machine types that the kernel knows.
var Machines = []string{"microvm", "q35", "pc"}

// Limits.
const (
	// MaxCommandLine is what QEMU's PVH loader passes of a kernel command line.
	MaxCommandLine = 4095
	// maxInitrd is the largest image that is handed over in memory; larger ones are disks.
	maxInitrd = 32 << 20
	// kernelNeeds is the memory that the kernel takes beside its file before a program can run.
	kernelNeeds = 2 << 20
	// firmware is the part of the first megabyte that is not memory, or not free.
	firmware = 512 << 10
)

// files are where the back ends of a machine's streams are.
type files struct {
	stdout, stderr, log string
	control             string  // a character device; "" for none
	taps                [][]int // by network interface
}

var (
	// terminal is for a command that a person pastes: the log goes with standard error. Appended to, files that these
	// lead to keep what is there, and both streams may lead to the same one.
	terminal = files{stdout: "/dev/stdout,append=on", stderr: "/dev/stderr,append=on", log: "/dev/stderr,append=on"}
	// inherited are the descriptors that Start gives to QEMU, and firstTap those after them.
	inherited = files{stdout: "/proc/self/fd/3", stderr: "/proc/self/fd/4", log: "/proc/self/fd/5", control: "socket,id=control,fd=6"}
)

const firstTap = 7

// inMemory tells whether an image of a size is handed over in memory, behind a
// kernel that ends at an address. QEMU puts it at memory's end, below the
// firmware's tables, and does not look what is there.
func inMemory(image, memory, kernelEnd int64) bool {
	const tables = 256 << 10
	return image <= maxInitrd && image <= memory/4 && kernelEnd+image+tables <= memory
}

// LeastMemory is the memory below which a machine with this kernel and image
// cannot start.
func LeastMemory(kernelFile string) (int64, error) {
	size, end, err := kernel.Memory(kernelFile)
	if err != nil {
		return 0, err
	}
	const mib = 1 << 20
	return (int64(max(end, size+firmware+kernelNeeds)) + mib - 1) / mib * mib, nil
}

// args makes QEMU's arguments, without the program's name.
func args(m vmm.Machine, f files) ([]string, error) {
	bus := "pci,disable-legacy=on"
	machine := m.Type
	switch m.Type {
	case "microvm":
		// What QEMU would add to the command line would stand among the program's arguments. (Leaving out more of
		// the few devices of this machine was measured to gain nothing.)
		machine = "microvm,auto-kernel-cmdline=off"
		bus = "device"
	case "q35", "pc":
		machine += map[string]string{"q35": ",vmport=off,sata=off,smbus=off", "pc": ",vmport=off"}[m.Type]
	default:
		return nil, fmt.Errorf("machine %q: it is one of %s", m.Type, strings.Join(Machines, ", "))
	}
	if len(m.CommandLine) > MaxCommandLine {
		return nil, fmt.Errorf("the kernel command line has %d bytes, QEMU passes %d", len(m.CommandLine), MaxCommandLine)
	}
	a := []string{"-M", machine}
	if m.Accel == accel.KVM {
		a = append(a, "-accel", "kvm", "-cpu", "host")
	} else {
		a = append(a, "-accel", "tcg,thread=multi", "-cpu", "max")
	}
	a = append(a, "-m", memorySize(m.Memory), "-smp", strconv.Itoa(m.CPUs),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
		"-kernel", m.Kernel)
	if m.CommandLine != "" {
		a = append(a, "-append", m.CommandLine)
	}
	if m.Type == "microvm" {
		a = append(a, "-global", "virtio-mmio.force-legacy=false")
	}
	if m.Image != "" {
		st, err := os.Stat(m.Image)
		if err != nil {
			return nil, err
		}
		_, end, _ := kernel.Memory(m.Kernel) // what is not a kernel QEMU refuses
		if inMemory(st.Size(), m.Memory, int64(end)) {
			a = append(a, "-initrd", m.Image)
		} else {
			name, err := filepath.Abs(m.Image) // a name with a colon would be a protocol
			if err != nil {
				return nil, err
			}
			a = append(a, "-drive", "if=none,id=root,format=raw,readonly=on,file="+strings.ReplaceAll(name, ",", ",,"),
				"-device", "virtio-blk-"+bus+",drive=root")
		}
	}
	port := func(id, name string) {
		a = append(a, "-device", "virtserialport,chardev="+id+",name="+name)
	}
	a = append(a,
		"-chardev", "file,id=log,path="+f.log, "-serial", "chardev:log",
		"-device", "virtio-serial-"+bus,
		"-chardev", "stdio,id=stdin,signal=off", "-chardev", "file,id=stdout,path="+f.stdout, "-chardev", "file,id=stderr,path="+f.stderr)
	if f.control != "" {
		a = append(a, "-chardev", f.control, "-device", "virtconsole,nr=0,chardev=control,name="+boot.PortControl)
	}
	port("stdin", boot.PortStdin)
	port("stdout", boot.PortStdio)
	port("stderr", boot.PortStderr)
	a = append(a, "-device", "virtio-rng-"+bus)
	for i := range m.Networks {
		var taps []int
		if i < len(f.taps) {
			taps = f.taps[i]
		}
		n, err := networkArgs(m, i, taps)
		if err != nil {
			return nil, err
		}
		a = append(a, n...)
	}
	return a, nil
}

// memorySize writes a number of bytes as QEMU reads it.
func memorySize(n int64) string {
	switch {
	case n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + "M"
	case n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + "K"
	}
	return strconv.FormatInt(n, 10) + "B"
}
