package pci

import (
	"gosv/kernel/cpu"
	"gosv/kernel/dev/iomem"
)

// The ports of the configuration mechanism (PCI Local Bus 3.0, section 3.2.2.3.2).
const (
	portAddress = 0xcf8
	portData    = 0xcfc
)

// Ports is access by I/O ports, of a PC's first 256 bytes per function.
type Ports struct {
	lock cpu.SpinLock
}

// Present reports whether the machine has the mechanism.
func (p *Ports) Present() bool {
	flags := p.lock.Lock()
	cpu.Outl(portAddress, 1<<31)
	v := cpu.Inl(portAddress)
	p.lock.Unlock(flags)
	return v == 1<<31
}

// Read reads a word of a function's configuration space.
func (p *Ports) Read(a Address, off uint32) uint32 {
	if off > 0xfc {
		return 0xffffffff
	}
	flags := p.lock.Lock()
	cpu.Outl(portAddress, 1<<31|uint32(a)<<8|off&0xfc)
	v := cpu.Inl(portData)
	p.lock.Unlock(flags)
	return v
}

// Write writes a word of a function's configuration space.
func (p *Ports) Write(a Address, off uint32, v uint32) {
	if off > 0xfc {
		return
	}
	flags := p.lock.Lock()
	cpu.Outl(portAddress, 1<<31|uint32(a)<<8|off&0xfc)
	cpu.Outl(portData, v)
	p.lock.Unlock(flags)
}

// ECAM is access through memory: a page per function (PCI Express Base 4.0,
// section 7.2.2). Pages of a bus are mapped when it is first looked at.
type ECAM struct {
	base       uint64
	start, end uint8
	buses      [256]iomem.Window
	mapMemory  func(pa, n uint64) iomem.Window
}

// NewECAM describes the region at base, which holds the buses start to end, as
// the ACPI table MCFG has it: base is that of bus 0.
func NewECAM(base uint64, start, end uint8) *ECAM {
	return &ECAM{base: base, start: start, end: end, mapMemory: iomem.Map}
}

func (e *ECAM) at(a Address) (iomem.Window, uint32) {
	bus := uint8(a >> 8)
	if bus < e.start || bus > e.end {
		return nil, 0
	}
	if e.buses[bus] == nil {
		e.buses[bus] = e.mapMemory(e.base+uint64(bus)<<20, 1<<20)
	}
	return e.buses[bus], uint32(a&0xff) << 12
}

// Read reads a word of a function's configuration space.
func (e *ECAM) Read(a Address, off uint32) uint32 {
	w, at := e.at(a)
	if w == nil || off > 0xffc {
		return 0xffffffff
	}
	return w.Load32(at + off&0xffc)
}

// Write writes a word of a function's configuration space.
func (e *ECAM) Write(a Address, off uint32, v uint32) {
	if w, at := e.at(a); w != nil && off <= 0xffc {
		w.Store32(at+off&0xffc, v)
	}
}

// Machine returns the access of a PC: through the ECAM that the ACPI tables
// name, if it is not 0, else by ports if they are present; nil without PCI.
func Machine(ecam uint64, ports bool) Access {
	if ecam != 0 {
		return NewECAM(ecam, 0, 255)
	}
	if ports {
		return new(Ports)
	}
	return nil
}
