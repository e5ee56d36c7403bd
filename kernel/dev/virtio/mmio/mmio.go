// Package mmio is the virtio transport of machines without PCI: one block of registers and one interrupt per device
// (VIRTIO 1.2, section 4.2). Devices are found by the virtio_mmio.device= words of the command line, or by looking at
// the places where the machine has them.
package mmio

import (
	"strconv"
	"strings"

	"gosv/kernel/dev/iomem"
	"gosv/kernel/dev/virtio"
	"gosv/kernel/goport"
)

// Offsets of the registers, with the names of section 4.2.2.
const (
	MagicValue        = 0x000
	Version           = 0x004
	DeviceID          = 0x008
	VendorID          = 0x00c
	DeviceFeatures    = 0x010
	DeviceFeaturesSel = 0x014
	DriverFeatures    = 0x020
	DriverFeaturesSel = 0x024
	QueueSel          = 0x030
	QueueNumMax       = 0x034
	QueueNum          = 0x038
	QueueReady        = 0x044
	QueueNotify       = 0x050
	InterruptStatus   = 0x060
	InterruptACK      = 0x064
	Status            = 0x070
	QueueDescLow      = 0x080
	QueueDescHigh     = 0x084
	QueueDriverLow    = 0x090
	QueueDriverHigh   = 0x094
	QueueDeviceLow    = 0x0a0
	QueueDeviceHigh   = 0x0a4
	ConfigGeneration  = 0x0fc
	Config            = 0x100
)

const (
	magic   = 0x74726976 // "virt"
	version = 2
)

// A Slot is a place where a device may be.
type Slot struct {
	Base, Size uint64
	GSI        int
}

// Parse finds the slots that words of the command line name, as Linux does:
// virtio_mmio.device=SIZE@BASE:IRQ[:ID]. Malformed words are skipped.
func Parse(words []string) []Slot {
	var slots []Slot
	for _, w := range words {
		w, ok := strings.CutPrefix(w, "virtio_mmio.device=")
		if !ok {
			continue
		}
		size, rest, ok := strings.Cut(w, "@")
		f := strings.Split(rest, ":")
		if !ok || len(f) < 2 {
			continue
		}
		n, err := parseSize(size)
		base, err2 := strconv.ParseUint(f[0], 0, 52)
		gsi, err3 := strconv.ParseUint(f[1], 0, 16)
		if err != nil || err2 != nil || err3 != nil || n <= Config || n > 1<<20 || base&3 != 0 {
			continue
		}
		slots = append(slots, Slot{base, n, int(gsi)})
	}
	return slots
}

// parseSize reads a number that may end in K, M or G.
func parseSize(s string) (uint64, error) {
	shift := 0
	if s != "" {
		switch s[len(s)-1] | 0x20 {
		case 'k':
			shift = 10
		case 'm':
			shift = 20
		case 'g':
			shift = 30
		}
	}
	if shift != 0 {
		s = s[:len(s)-1]
	}
	n, err := strconv.ParseUint(s, 0, 32)
	return n << shift, err
}

// Slots of QEMU's microvm machine: 512 bytes each from 0xfeb00000. Without
// ACPI there are 8, from GSI 5; with it 24, whose interrupts are those of the
// second I/O APIC; with it and ioapic2=off 8, from GSI 16.
const (
	microvmBase = 0xfeb00000
	slotSize    = 0x200
)

// Microvm returns the slots of QEMU's microvm machine with the given number of
// I/O APICs.
func Microvm(acpi bool, ioapics int) []Slot {
	n, gsi := 8, 5
	switch {
	case acpi && ioapics > 1:
		n, gsi = 24, 24
	case acpi:
		gsi = 16
	}
	slots := make([]Slot, n)
	for i := range slots {
		slots[i] = Slot{microvmBase + uint64(i)*slotSize, slotSize, gsi + i}
	}
	return slots
}

// Probe returns the devices in the slots. They are in the order of the slots;
// QEMU fills its own from the last one down, in the order of its command line.
func Probe(slots []Slot) []*Device {
	var found []*Device
	var page iomem.Window
	var at uint64
	for _, s := range slots {
		// Slots of one page share a mapping.
		if base := s.Base &^ 0xfff; page == nil || base != at || s.Base&0xfff+s.Size > 0x1000 {
			at = base
			page = iomem.Map(base, (s.Base&0xfff+s.Size+0xfff)&^0xfff)
		}
		if d := New(iomem.Sub(page, uint32(s.Base-at)), uint32(s.Size)); d != nil {
			d.gsi = s.GSI
			found = append(found, d)
		}
	}
	return found
}

// A Device is a virtio.Transport over a block of registers.
type Device struct {
	w    iomem.Window
	size uint32 // of w
	id   uint32
	gsi  int

	// wait replaces the interrupt in tests.
	wait func()
}

// New returns the device behind w, or nil if there is none, or a legacy one.
func New(w iomem.Window, size uint32) *Device {
	// The ID first: most places of a microvm are empty, and each access is an
	// exit to the hypervisor.
	id := w.Load32(DeviceID)
	if id == 0 || w.Load32(MagicValue) != magic || w.Load32(Version) != version {
		return nil
	}
	return &Device{w: w, size: size, id: id}
}

// DeviceID is the device type.
func (d *Device) DeviceID() uint32 { return d.id }

// Status reads the device status.
func (d *Device) Status() uint8 { return uint8(d.w.Load32(Status)) }

// SetStatus writes the device status.
func (d *Device) SetStatus(s uint8) {
	d.w.Store32(Status, uint32(s))
	if s == 0 {
		// Section 4.2.3.1 does not ask for it, but a device that resets in its
		// own time is then waited for. The bound is for one that never does.
		for n := 0; n < 1e6 && d.w.Load32(Status) != 0; n++ {
		}
	}
}

// Features reads what the device offers.
func (d *Device) Features() uint64 {
	d.w.Store32(DeviceFeaturesSel, 0)
	f := uint64(d.w.Load32(DeviceFeatures))
	d.w.Store32(DeviceFeaturesSel, 1)
	return f | uint64(d.w.Load32(DeviceFeatures))<<32
}

// SetFeatures tells the device what the driver accepts.
func (d *Device) SetFeatures(f uint64) {
	d.w.Store32(DriverFeaturesSel, 0)
	d.w.Store32(DriverFeatures, uint32(f))
	d.w.Store32(DriverFeaturesSel, 1)
	d.w.Store32(DriverFeatures, uint32(f>>32))
}

// QueueSize is the largest size of queue i.
func (d *Device) QueueSize(i int) uint16 {
	d.w.Store32(QueueSel, uint32(i))
	return uint16(min(d.w.Load32(QueueNumMax), 1<<15))
}

// Vectors is 1: everything comes by one interrupt.
func (d *Device) Vectors(int) int { return 1 }

// SetQueue enables queue i.
func (d *Device) SetQueue(i int, r virtio.Rings, vector int) error {
	d.w.Store32(QueueSel, uint32(i))
	d.w.Store32(QueueNum, uint32(r.Size))
	d.w.Store32(QueueDescLow, uint32(r.Desc))
	d.w.Store32(QueueDescHigh, uint32(r.Desc>>32))
	d.w.Store32(QueueDriverLow, uint32(r.Driver))
	d.w.Store32(QueueDriverHigh, uint32(r.Driver>>32))
	d.w.Store32(QueueDeviceLow, uint32(r.Device))
	d.w.Store32(QueueDeviceHigh, uint32(r.Device>>32))
	d.w.Store32(QueueReady, 1)
	return nil
}

// Notify writes the number of the queue.
func (d *Device) Notify(i int) { d.w.Store32(QueueNotify, uint32(i)) }

// Serve calls f for each interrupt, with its causes acknowledged.
func (d *Device) Serve(vector int, f func(virtio.Cause)) error {
	wait := d.wait
	if wait == nil {
		// An edge: the register says what happened until it is acknowledged, and
		// whatever happens after that raises the line anew.
		irq, err := goport.NewInterrupt(d.gsi, false)
		if err != nil {
			return err
		}
		irq.SetName("virtio-mmio")
		wait = irq.Wait
	}
	go func() {
		for {
			wait()
			s := d.w.Load32(InterruptStatus)
			if s != 0 {
				d.w.Store32(InterruptACK, s)
			}
			f(virtio.Cause(s) & (virtio.CauseQueue | virtio.CauseConfig))
		}
	}()
	return nil
}

// ReadConfig reads the device's configuration.
func (d *Device) ReadConfig(off uint32, b []byte) {
	if off > d.size || uint64(off)+uint64(len(b)) > uint64(d.size-Config) {
		clear(b)
		return
	}
	iomem.Read(d.w, Config+off, b)
}

// WriteConfig writes the device's configuration.
func (d *Device) WriteConfig(off uint32, b []byte) {
	if off > d.size || uint64(off)+uint64(len(b)) > uint64(d.size-Config) {
		return
	}
	iomem.Write(d.w, Config+off, b)
}

// ConfigGeneration changes with the configuration.
func (d *Device) ConfigGeneration() uint32 { return d.w.Load32(ConfigGeneration) }
