// Package virtio is the driver side of virtio devices, whatever bus they are on: feature negotiation, the split
// virtqueue, and the interface that a bus gives to the drivers (VIRTIO 1.2, chapters 2 and 3).
//
// A driver opens its device with [Open], makes its queues with [Device.NewQueue] and starts with [Device.Start]; from
// then on its handlers run on the goroutines that serve the device's interrupts. Only devices that offer VIRTIO_F_VERSION_1
// are driven. Everything that comes from the device is untrusted: what the specification forbids is counted in [Counters]
// and dropped.
//
// A [Queue] has no lock of its own: its driver serialises the calls.
package virtio

import (
	"cmp"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
)

// Device types (VIRTIO 1.2, section 5).
const (
	IDNet     = 1
	IDBlock   = 2
	IDConsole = 3
	IDEntropy = 4
	IDBalloon = 5
	IDFS      = 26
	IDVsock   = 19
)

// Device status bits (section 2.1).
const (
	StatusAcknowledge = 1
	StatusDriver      = 2
	StatusDriverOK    = 4
	StatusFeaturesOK  = 8
	StatusNeedsReset  = 64
	StatusFailed      = 128
)

// Feature bits that are not of one device type (section 6).
const (
	FeatureIndirectDesc   = 1 << 28
	FeatureEventIdx       = 1 << 29
	FeatureVersion1       = 1 << 32
	FeatureAccessPlatform = 1 << 33
)

// Cause says why a device interrupted; the bits of the ISR status field
// (sections 4.1.4.5 and 4.2.2).
type Cause uint8

// The causes of an interrupt.
const (
	CauseQueue  Cause = 1
	CauseConfig Cause = 2
)

// Rings is where a queue's three parts are, as physical addresses.
type Rings struct {
	Size                 uint16
	Desc, Driver, Device uint64
}

// A Transport is a virtio device as its bus shows it. Its methods are not safe
// for concurrent use, except Notify and the configuration accesses.
type Transport interface {
	// DeviceID is the device type, IDNet and so on.
	DeviceID() uint32

	// Status and SetStatus access the device status. SetStatus(0) resets the
	// device and returns when that is complete.
	Status() uint8
	SetStatus(uint8)

	// Features are those that the device offers; SetFeatures accepts some.
	Features() uint64
	SetFeatures(uint64)

	// QueueSize is the largest size of queue i, 0 if there is no such queue.
	QueueSize(i int) uint16

	// Vectors prepares up to want interrupt vectors and returns how many
	// there are, at least 1. Vector 0 is also for configuration changes.
	Vectors(want int) int

	// SetQueue enables queue i; it interrupts by the given vector.
	SetQueue(i int, r Rings, vector int) error

	// Notify tells the device that queue i has new buffers.
	Notify(i int)

	// Serve starts a goroutine that calls f for each interrupt of the vector.
	Serve(vector int, f func(Cause)) error

	// ReadConfig and WriteConfig access the device-specific configuration,
	// with the widths that section 4.2.2.2 wants when b is 1, 2, 4 or 8
	// bytes. What lies behind the end reads as zero.
	ReadConfig(off uint32, b []byte)
	WriteConfig(off uint32, b []byte)

	// ConfigGeneration changes whenever the configuration does.
	ConfigGeneration() uint32
}

// A Device is a virtio device under a driver.
type Device struct {
	Transport

	// WantVectors is how many interrupt vectors Start asks for; 0 means two: one
	// for configuration changes, one for the queues.
	WantVectors int

	// Failed, if it is set before Start, is called once when the device is given up, after its reset and on a goroutine of
	// its own. quiet says that the device cannot touch memory any more; otherwise the driver keeps what the device has.
	Failed func(quiet bool)

	accepted uint64
	queues   []*Queue
	mem      ringMemory
	broken   atomic.Bool
}

// Open resets the device and negotiates features (section 3.1.1, steps 1 to
// 6): those in want that the device offers, and those that this package uses.
// ENODEV: a legacy device; EINVAL: the device refuses the features.
func Open(t Transport, want uint64) (*Device, error) {
	t.SetStatus(0)
	t.SetStatus(StatusAcknowledge)
	t.SetStatus(StatusAcknowledge | StatusDriver)
	offered := t.Features()
	if offered&FeatureVersion1 == 0 {
		t.SetStatus(StatusFailed)
		return nil, unix.ENODEV
	}
	d := &Device{Transport: t}
	d.accepted = offered & (want | FeatureVersion1 | FeatureEventIdx | FeatureIndirectDesc | FeatureAccessPlatform)
	t.SetFeatures(d.accepted)
	t.SetStatus(StatusAcknowledge | StatusDriver | StatusFeaturesOK)
	if t.Status()&StatusFeaturesOK == 0 {
		t.SetStatus(StatusFailed)
		return nil, unix.EINVAL
	}
	return d, nil
}

// Has reports whether all of the features were negotiated.
func (d *Device) Has(features uint64) bool { return d.accepted&features == features }

// Start enables the queues and lets the device run (section 3.1.1, steps 7 and
// 8). config, which may be nil, is called when the configuration changed.
func (d *Device) Start(config func()) error {
	vectors := d.Vectors(min(cmp.Or(d.WantVectors, 2), 1+len(d.queues)))
	if vectors < 1 {
		d.SetStatus(StatusFailed)
		return unix.EIO
	}
	served := make([][]*Queue, vectors)
	for n, q := range d.queues {
		v := 0
		if vectors > 1 {
			v = 1 + n%(vectors-1)
		}
		served[v] = append(served[v], q)
		if err := d.SetQueue(q.index, q.rings, v); err != nil {
			d.SetStatus(StatusFailed)
			return err
		}
	}
	for v, queues := range served {
		err := d.Serve(v, func(c Cause) {
			if d.Broken() {
				return
			}
			if c&CauseConfig != 0 {
				if d.CheckStatus() {
					return
				}
				if config != nil {
					config()
				}
			}
			if c&CauseQueue != 0 {
				for _, q := range queues {
					if q.handler != nil {
						q.handler()
					}
				}
			}
		})
		if err != nil {
			d.SetStatus(StatusFailed)
			return err
		}
	}
	d.SetStatus(StatusAcknowledge | StatusDriver | StatusFeaturesOK | StatusDriverOK)
	return nil
}

// Broken reports whether the device was given up: it answers no more.
func (d *Device) Broken() bool { return d.broken.Load() }

// CheckStatus gives the device up if it says that it needs a reset (section 2.1.1), and reports whether it did.
func (d *Device) CheckStatus() bool {
	if d.Status()&StatusNeedsReset == 0 {
		return false
	}
	d.Fail("it asks for a reset")
	return true
}

// Fail gives the device up, for instance because it does not answer. It is reset, and Failed is called; why is for the log.
// The caller may hold locks of the driver.
func (d *Device) Fail(why string) {
	if d.broken.Swap(true) {
		return
	}
	go func() {
		d.SetStatus(0)
		quiet := d.Status() == 0
		if bus, ok := d.Transport.(interface{ DisableDMA() bool }); ok && !quiet {
			quiet = bus.DisableDMA()
		}
		line := "gosv: " + Name(d.DeviceID()) + " failed: " + why
		if !quiet {
			line += ", and does not complete it: its memory is not used again"
		}
		cpu.Log(line + "\n")
		if d.Failed != nil {
			d.Failed(quiet)
		}
	}()
}

// Name is what the log calls a type of device.
func Name(id uint32) string {
	switch id {
	case IDNet:
		return "virtio-net"
	case IDBlock:
		return "virtio-blk"
	case IDConsole:
		return "virtio-console"
	case IDEntropy:
		return "virtio-rng"
	}
	return "virtio device"
}

// Close resets the device: it no longer touches memory. The rings are freed.
func (d *Device) Close() {
	d.SetStatus(0)
	d.mem.free()
}

// Config8 to Config64 read one field of the configuration.
func (d *Device) Config8(off uint32) uint8 {
	var b [1]byte
	d.ReadConfig(off, b[:])
	return b[0]
}

// Config16 reads a 16-bit field.
func (d *Device) Config16(off uint32) uint16 {
	var b [2]byte
	d.ReadConfig(off, b[:])
	return uint16(b[0]) | uint16(b[1])<<8
}

// Config32 reads a 32-bit field.
func (d *Device) Config32(off uint32) uint32 {
	var b [4]byte
	d.ReadConfig(off, b[:])
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// Config64 reads a 64-bit field, which is not atomic: it repeats until the
// generation stood still (section 2.5.1), a bounded number of times.
func (d *Device) Config64(off uint32) uint64 {
	for n := 0; ; n++ {
		g := d.ConfigGeneration()
		v := uint64(d.Config32(off)) | uint64(d.Config32(off+4))<<32
		if d.ConfigGeneration() == g || n == 100 {
			return v
		}
	}
}
