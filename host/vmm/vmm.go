// Package vmm is what the tool asks of a hypervisor: to run one machine, with the program's streams and the kernel's
// log apart from each other. Each hypervisor has a folder below.
package vmm

import (
	"errors"
	"io"

	"gosv/abi/boot"
	"gosv/host/accel"
)

// Machine is what to run.
type Machine struct {
	Type        string     // the hypervisor's machine type
	Accel       accel.Kind // KVM or TCG
	Memory      int64      // bytes
	CPUs        int
	Kernel      string // path of the kernel's ELF file
	Image       string // path of the image; "" for none
	CommandLine string // boot.Config as text
	Networks    []Network
}

// Streams are the ends of a machine's streams on the host.
type Streams struct {
	Stdin  io.Reader         // nil: at its end from the start
	Stdout io.Writer         // nil: thrown away
	Stderr io.Writer         // nil: thrown away
	Log    func(line string) // called for each line of the kernel's log, without its end
}

// VMM starts machines.
type VMM interface {
	// Command gives a command that runs the machine on the terminal it is
	// pasted to.
	Command(Machine) ([]string, error)
	// Start starts the machine. It does not outlive this process.
	Start(Machine, Streams) (Process, error)
}

// Process is a running machine.
type Process interface {
	// Wait waits for the end of the machine, until all of its output has been
	// written.
	Wait() Exit
	// Kill ends the machine at once.
	Kill()
	// PID is the hypervisor's process.
	PID() int
	// Control sends a request to the kernel. It does not wait, and a machine
	// that does not read its requests is an error.
	Control(boot.Request) error
	// Pause stops all of the machine, or lets it go on.
	Pause(bool)
}

// Exit is how the hypervisor ended.
type Exit struct {
	Said string // what it wrote as its own messages
	Err  error  // *exec.ExitError and the like, nil for status 0
	Lost error  // the first failure to write to Streams.Stdout or Stderr: output was thrown away
}

// ErrNotInstalled says that the hypervisor is not on this machine; it is
// wrapped with how to install it.
var ErrNotInstalled = errors.New("is not installed")
