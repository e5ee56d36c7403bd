// Package board is what the machine says about itself when the kernel starts: command line, memory, modules, processors.
// One small file per boot protocol fills it in.
package board

import "gosv/kernel/dev/acpi"

// A Module is a file that the boot loader left in memory: module 0 is the root file system.
type Module struct {
	Phys, Size uint64
}

// A Range is a piece of physical memory.
type Range struct {
	Base, Size uint64
}

// Information is the boot information. Its strings and slices are not Go memory, and stay valid.
type Information struct {
	Cmdline string
	Modules []Module
	Memory  []Range // usable memory that was free when the kernel started
	Total   uint64  // bytes of usable memory, the kernel's own included
	Top     uint64  // end of the highest usable memory
	RSDP    uint64  // physical address of ACPI's root pointer, 0: not given
	ACPI    acpi.Tables

	line Range // the command line in physical memory
}

// Info describes this machine.
var Info Information
