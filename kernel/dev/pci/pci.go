// Package pci finds the devices of the PCI and PCI Express buses and gives drivers their configuration space, registers and
// interrupts (PCI Local Bus 3.0, chapter 6; PCI Express Base 4.0, section 7).
//
// Addresses and bridges are as the firmware set them up. Interrupts are MSI-X where the device has it, else the line that
// the firmware routed.
package pci

import "gosv/kernel/dev/iomem"

// Offsets in the configuration space, and what is there (section 6.1).
const (
	regID         = 0x00
	regCommand    = 0x04 // and status in the upper half
	regClass      = 0x08
	regHeader     = 0x0c // the type in bits 16 to 22, multi-function in 23
	regBAR        = 0x10
	regBus        = 0x18 // of a bridge: primary, secondary, subordinate
	regSubsystem  = 0x2c
	regCapability = 0x34
	regInterrupt  = 0x3c // line, pin

	commandIO          = 1 << 0
	commandMemory      = 1 << 1
	commandMaster      = 1 << 2
	commandINTxDisable = 1 << 10
	statusCapabilities = 1 << 20

	headerMask   = 0x7f
	headerBridge = 1
	headerMulti  = 0x80
)

// Capability identifiers (PCI Code and ID Assignment).
const (
	CapMSI    = 0x05
	CapVendor = 0x09
	CapMSIX   = 0x11
)

// An Address is a bus, device and function number: bus<<8 | device<<3 | function.
type Address uint16

// Access reaches configuration spaces. Offsets are multiples of 4.
type Access interface {
	Read(a Address, off uint32) uint32
	Write(a Address, off uint32, v uint32)
}

// A Device is one function.
type Device struct {
	Address           Address
	Vendor, ID        uint16
	Subvendor, Subsys uint16
	Class             uint32 // class, subclass, programming interface

	Capabilities []Capability

	access Access
	msix   *msix

	// MapMemory is iomem.Map; a test plays the registers.
	MapMemory func(pa, n uint64) iomem.Window
}

// A Capability is an entry of the capability list.
type Capability struct {
	ID  uint8
	Off uint32 // in the configuration space
}

// Scan returns the functions on all buses that can be reached from bus 0. The
// bound on what it reads holds for any contents of the configuration spaces.
func Scan(access Access) []*Device {
	var found []*Device
	var seen [256]bool
	buses := []uint8{0}
	seen[0] = true
	for len(buses) > 0 {
		bus := buses[0]
		buses = buses[1:]
		for dev := range Address(32) {
			functions := Address(1)
			for fn := Address(0); fn < functions; fn++ {
				a := Address(bus)<<8 | dev<<3 | fn
				id := access.Read(a, regID)
				if id&0xffff == 0xffff || id&0xffff == 0 {
					if fn == 0 {
						break
					}
					continue
				}
				header := access.Read(a, regHeader) >> 16
				if fn == 0 && header&headerMulti != 0 {
					functions = 8
				}
				switch header & headerMask {
				case 0:
					found = append(found, newDevice(access, a, id))
				case headerBridge:
					if b := uint8(access.Read(a, regBus) >> 8); !seen[b] {
						seen[b] = true
						buses = append(buses, b)
					}
				}
			}
		}
	}
	return found
}

func newDevice(access Access, a Address, id uint32) *Device {
	sub := access.Read(a, regSubsystem)
	return &Device{
		Address: a, Vendor: uint16(id), ID: uint16(id >> 16),
		Subvendor: uint16(sub), Subsys: uint16(sub >> 16),
		Class:  access.Read(a, regClass) >> 8,
		access: access, MapMemory: iomem.Map,
	}
}

// Read reads the configuration space; off is a multiple of 4.
func (d *Device) Read(off uint32) uint32 { return d.access.Read(d.Address, off&0xffc) }

// Write writes the configuration space.
func (d *Device) Write(off uint32, v uint32) { d.access.Write(d.Address, off&0xffc, v) }

// Read8 reads a byte of the configuration space.
func (d *Device) Read8(off uint32) uint8 { return uint8(d.Read(off) >> (off & 3 * 8)) }

// Read16 reads an aligned half word of the configuration space.
func (d *Device) Read16(off uint32) uint16 { return uint16(d.Read(off) >> (off & 2 * 8)) }

// LoadCapabilities reads the capability list into d.Capabilities. A list that
// loops or leaves the space is cut there.
func (d *Device) LoadCapabilities() {
	d.Capabilities = nil
	if d.Read(regCommand)&statusCapabilities == 0 {
		return
	}
	var seen [64]bool
	for off := uint32(d.Read8(regCapability)) &^ 3; off >= 0x40 && !seen[off/4]; {
		seen[off/4] = true
		v := d.Read(off)
		d.Capabilities = append(d.Capabilities, Capability{uint8(v), off})
		off = v >> 8 & 0xfc
	}
}

// Find returns the offset of the first capability with the ID, 0 if there is none.
func (d *Device) Find(id uint8) uint32 {
	for _, c := range d.Capabilities {
		if c.ID == id {
			return c.Off
		}
	}
	return 0
}

// Enable switches on memory decoding and bus mastering.
func (d *Device) Enable() {
	const on = commandMemory | commandMaster
	if c := d.Read(regCommand) & 0xffff; c&on != on {
		d.Write(regCommand, c|on)
	}
}

// DisableMaster takes the right to access memory from the function, and reports whether the function has none now.
func (d *Device) DisableMaster() bool {
	d.Write(regCommand, d.Read(regCommand)&0xffff&^commandMaster)
	return d.Read(regCommand)&commandMaster == 0
}

// BAR returns the address of memory region i; 0 if there is none or the firmware
// gave it no address. A 64-bit region also uses the register after it.
func (d *Device) BAR(i int) uint64 {
	if i < 0 || i > 5 {
		return 0
	}
	wide := false
	for j := range i { // is it the upper half of the one before?
		wide = !wide && d.Read(regBAR+4*uint32(j))&7 == 4
	}
	low := d.Read(regBAR + 4*uint32(i))
	if wide || low&1 != 0 {
		return 0 // or I/O ports
	}
	pa := uint64(low &^ 0xf)
	if low>>1&3 == 2 {
		if i == 5 {
			return 0
		}
		pa |= uint64(d.Read(regBAR+4*uint32(i)+4)) << 32
	}
	if pa >= 1<<51 {
		return 0
	}
	return pa
}

// maxMap is more than the registers of any virtio device.
const maxMap = 1 << 20

// Map maps n bytes at offset off of memory region bar; nil without such a
// region.
//
// Its size is not looked at: to find it out, decoding must be off for a moment,
// and on and off cost a hypervisor a new map of the machine's memory, about a
// millisecond for each region of each device. A device that lies about offsets
// could lie about its size too.
func (d *Device) Map(bar int, off, n uint32) iomem.Window {
	pa := d.BAR(bar)
	if pa == 0 || n == 0 || n > maxMap {
		return nil
	}
	return d.MapMemory(pa+uint64(off), uint64(n))
}
