// Package pci is the virtio transport over PCI, of devices with the modern interface: transitional ones are driven through
// it too (VIRTIO 1.2, section 4.1).
package pci

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/dev/iomem"
	"gosv/kernel/dev/pci"
	"gosv/kernel/dev/virtio"
)

const vendor = 0x1af4

// Fields of struct virtio_pci_cap (section 4.1.4), and of cfg_type.
const (
	capType     = 3
	capBAR      = 4
	capOffset   = 8
	capLength   = 12
	capMultiply = 16 // of the notification capability

	typeCommon = 1
	typeNotify = 2
	typeISR    = 3
	typeDevice = 4
)

// Fields of struct virtio_pci_common_cfg (section 4.1.4.3).
const (
	deviceFeatureSelect = 0x00
	deviceFeature       = 0x04
	driverFeatureSelect = 0x08
	driverFeature       = 0x0c
	configMSIXVector    = 0x10
	numQueues           = 0x12
	deviceStatus        = 0x14
	configGeneration    = 0x15
	queueSelect         = 0x16
	queueSize           = 0x18
	queueMSIXVector     = 0x1a
	queueEnable         = 0x1c
	queueNotifyOff      = 0x1e
	queueDesc           = 0x20
	queueDriver         = 0x28
	queueDevice         = 0x30
	commonSize          = 0x38
)

// A Device is a virtio.Transport over a PCI function.
type Device struct {
	f        *pci.Device
	id       uint32
	common   iomem.Window
	notify   iomem.Window
	notifyN  uint32 // bytes of notify
	multiply uint32
	isr      iomem.Window
	config   iomem.Window // nil without device configuration
	configN  uint32

	msix     bool
	doorbell []uint32 // offset in notify of each queue, noBell if it has none
}

const noBell = 1<<32 - 1

// Probe returns the virtio devices among the functions. Legacy-only devices
// and malformed ones are left out.
func Probe(functions []*pci.Device) []*Device {
	var found []*Device
	for _, f := range functions {
		if d := New(f); d != nil {
			found = append(found, d)
		}
	}
	return found
}

// New returns the virtio device behind a function, nil if it is none.
func New(f *pci.Device) *Device {
	d := &Device{f: f}
	switch {
	case f.Vendor != vendor:
		return nil
	case f.ID >= 0x1040 && f.ID < 0x1080:
		d.id = uint32(f.ID - 0x1040)
	case f.ID >= 0x1000 && f.ID < 0x1040: // transitional (section 4.1.2.3)
		d.id = uint32(f.Subsys)
	default:
		return nil
	}
	f.LoadCapabilities()
	for _, c := range f.Capabilities {
		if c.ID != pci.CapVendor || c.Off > 0x100-20 {
			continue
		}
		bar, off, n := int(f.Read8(c.Off+capBAR)), f.Read(c.Off+capOffset), f.Read(c.Off+capLength)
		// The first capability of a type that the driver can use counts.
		switch f.Read8(c.Off + capType) {
		case typeCommon:
			if d.common == nil && n >= commonSize {
				d.common = f.Map(bar, off, commonSize)
			}
		case typeNotify:
			if d.notify == nil && n >= 2 {
				d.notify, d.notifyN = f.Map(bar, off, n), n
				d.multiply = f.Read(c.Off + capMultiply)
			}
		case typeISR:
			if d.isr == nil && n >= 1 {
				d.isr = f.Map(bar, off, 1)
			}
		case typeDevice:
			if d.config == nil && n >= 1 {
				d.config, d.configN = f.Map(bar, off, n), n
			}
		}
	}
	if d.common == nil || d.notify == nil || d.isr == nil {
		return nil
	}
	f.Enable()
	return d
}

// DeviceID is the device type.
func (d *Device) DeviceID() uint32 { return d.id }

// Status reads the device status.
func (d *Device) Status() uint8 { return d.common.Load8(deviceStatus) }

// SetStatus writes the device status; after a reset it waits until the device
// says that it is done (section 4.1.4.3.2).
func (d *Device) SetStatus(s uint8) {
	d.common.Store8(deviceStatus, s)
	if s == 0 {
		for n := 0; n < 1e6 && d.common.Load8(deviceStatus) != 0; n++ {
		}
	}
}

// DisableDMA takes the right to access memory from a device that does not complete its reset. It reports whether that held.
func (d *Device) DisableDMA() bool { return d.f.DisableMaster() }

// Features reads what the device offers.
func (d *Device) Features() uint64 {
	d.common.Store32(deviceFeatureSelect, 0)
	f := uint64(d.common.Load32(deviceFeature))
	d.common.Store32(deviceFeatureSelect, 1)
	return f | uint64(d.common.Load32(deviceFeature))<<32
}

// SetFeatures tells the device what the driver accepts.
func (d *Device) SetFeatures(f uint64) {
	d.common.Store32(driverFeatureSelect, 0)
	d.common.Store32(driverFeature, uint32(f))
	d.common.Store32(driverFeatureSelect, 1)
	d.common.Store32(driverFeature, uint32(f>>32))
}

// QueueSize is the largest size of queue i.
func (d *Device) QueueSize(i int) uint16 {
	if i < 0 || i >= int(d.common.Load16(numQueues)) {
		return 0
	}
	d.common.Store16(queueSelect, uint16(i))
	return min(d.common.Load16(queueSize), 1<<15)
}

// Vectors sets MSI-X messages up, or without MSI-X the interrupt line.
func (d *Device) Vectors(want int) int {
	if n := d.f.EnableMSIX(want); n > 0 {
		d.common.Store16(configMSIXVector, 0)
		if d.common.Load16(configMSIXVector) == 0 {
			d.msix = true
			return n
		}
		return 0
	}
	if !d.f.HasLine() {
		return 0
	}
	return 1
}

// SetQueue enables queue i.
func (d *Device) SetQueue(i int, r virtio.Rings, vector int) error {
	c := d.common
	c.Store16(queueSelect, uint16(i))
	c.Store16(queueSize, r.Size)
	if d.msix {
		c.Store16(queueMSIXVector, uint16(vector))
		if c.Load16(queueMSIXVector) != uint16(vector) {
			return unix.EIO
		}
	}
	store64(c, queueDesc, r.Desc)
	store64(c, queueDriver, r.Driver)
	store64(c, queueDevice, r.Device)
	at := uint64(c.Load16(queueNotifyOff)) * uint64(d.multiply)
	if at+2 > uint64(d.notifyN) {
		return unix.EIO
	}
	for len(d.doorbell) <= i {
		d.doorbell = append(d.doorbell, noBell)
	}
	d.doorbell[i] = uint32(at)
	c.Store16(queueEnable, 1)
	return nil
}

func store64(w iomem.Window, off uint32, v uint64) {
	w.Store32(off, uint32(v))
	w.Store32(off+4, uint32(v>>32))
}

// Notify writes the number of the queue to its notification address (section 4.1.5.2).
func (d *Device) Notify(i int) {
	if i < len(d.doorbell) && d.doorbell[i] != noBell {
		d.notify.Store16(d.doorbell[i], uint16(i))
	}
}

// Serve calls f for each interrupt of the vector.
func (d *Device) Serve(vector int, f func(virtio.Cause)) error {
	if !d.msix {
		return d.f.ServeLine(func() {
			// Reading the ISR lowers the line (section 4.1.4.5); 0 is another device's interrupt.
			if s := virtio.Cause(d.isr.Load8(0)) & (virtio.CauseQueue | virtio.CauseConfig); s != 0 {
				f(s)
			}
		})
	}
	// Vector 0 is the configuration's, and the queues' when there is no other.
	cause := virtio.CauseQueue
	if vector == 0 {
		cause |= virtio.CauseConfig
	}
	d.f.ServeMSIX(vector, func() { f(cause) })
	return nil
}

// ReadConfig reads the device's configuration.
func (d *Device) ReadConfig(off uint32, b []byte) {
	if d.config == nil || uint64(off)+uint64(len(b)) > uint64(d.configN) {
		clear(b)
		return
	}
	iomem.Read(d.config, off, b)
}

// WriteConfig writes the device's configuration.
func (d *Device) WriteConfig(off uint32, b []byte) {
	if d.config != nil && uint64(off)+uint64(len(b)) <= uint64(d.configN) {
		iomem.Write(d.config, off, b)
	}
}

// ConfigGeneration changes with the configuration.
func (d *Device) ConfigGeneration() uint32 { return uint32(d.common.Load8(configGeneration)) }
