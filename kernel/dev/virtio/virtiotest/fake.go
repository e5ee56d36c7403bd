// Package virtiotest plays virtio devices: a transport without hardware, and the device's side of the split virtqueue,
// written from the specification and not from the driver's code. Only tests use it.
package virtiotest

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"gosv/kernel/dev/virtio"
	"gosv/kernel/frame"
)

// A Device is a virtio.Transport in memory.
type Device struct {
	ID         uint32
	Offer      uint64 // features; VERSION_1 is added
	Config     []byte
	QueueMax   []uint16 // a queue's largest size
	MaxVectors int      // 0: one, as virtio-mmio has

	// OnNotify is called on the goroutine that notifies.
	OnNotify func(q int)

	// RefuseFeatures makes negotiation fail.
	RefuseFeatures bool

	// StuckReset is for a device that does not complete a reset.
	StuckReset bool

	// Hostile is for a device that breaks the rules itself: chains that make no
	// sense are then not the driver's fault, and end Pop instead of the test.
	Hostile bool

	mu       sync.Mutex
	Accepted uint64
	status   uint8
	gen      uint32
	rings    map[int]*Ring
	vectors  map[int]chan virtio.Cause
	reset    chan struct{} // ends the goroutines of Serve
}

// DeviceID is the device type.
func (d *Device) DeviceID() uint32 { return d.ID }

// Status is the device status.
func (d *Device) Status() uint8 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}

// SetStatus sets the status; 0 forgets the queues.
func (d *Device) SetStatus(s uint8) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s == 0 {
		d.rings = nil
		if d.reset != nil {
			close(d.reset)
			d.reset = nil
		}
	}
	if d.RefuseFeatures {
		s &^= virtio.StatusFeaturesOK
	}
	if s == 0 && d.StuckReset {
		return
	}
	d.status = s
}

// Break makes the device ask for a reset, with an interrupt that says so or without.
func (d *Device) Break(interrupt bool) {
	d.mu.Lock()
	d.status |= virtio.StatusNeedsReset
	d.mu.Unlock()
	if interrupt {
		d.Interrupt(0, virtio.CauseConfig)
	}
}

// Features is what the device offers.
func (d *Device) Features() uint64 { return d.Offer | virtio.FeatureVersion1 }

// SetFeatures accepts features.
func (d *Device) SetFeatures(f uint64) { d.Accepted = f }

// QueueSize is the largest size of queue i.
func (d *Device) QueueSize(i int) uint16 {
	if i >= len(d.QueueMax) {
		return 0
	}
	return d.QueueMax[i]
}

// Vectors is how many interrupts the driver gets.
func (d *Device) Vectors(want int) int { return max(1, min(want, d.MaxVectors)) }

// SetQueue enables queue i.
func (d *Device) SetQueue(i int, r virtio.Rings, vector int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rings == nil {
		d.rings = map[int]*Ring{}
	}
	d.rings[i] = newRing(d, i, r, vector)
	return nil
}

// Notify calls OnNotify.
func (d *Device) Notify(i int) {
	if r := d.Ring(i); r != nil {
		r.Notified.Add(1)
	}
	if d.OnNotify != nil {
		d.OnNotify(i)
	}
}

// Serve starts the goroutine of a vector.
func (d *Device) Serve(vector int, f func(virtio.Cause)) error {
	c := d.line(vector)
	d.mu.Lock()
	if d.reset == nil {
		d.reset = make(chan struct{})
	}
	reset := d.reset
	d.mu.Unlock()
	go func() {
		for {
			select {
			case cause := <-c:
				f(cause)
			case <-reset:
				return
			}
		}
	}()
	return nil
}

func (d *Device) line(vector int) chan virtio.Cause {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.vectors == nil {
		d.vectors = map[int]chan virtio.Cause{}
	}
	c := d.vectors[vector]
	if c == nil {
		c = make(chan virtio.Cause, 1000)
		d.vectors[vector] = c
	}
	return c
}

// Interrupt raises a vector. After a reset nobody may serve it.
func (d *Device) Interrupt(vector int, c virtio.Cause) {
	line := d.line(vector)
	select {
	case line <- c:
		return
	default:
	}
	d.mu.Lock()
	reset := d.reset
	d.mu.Unlock()
	go func() {
		select {
		case line <- c:
		case <-reset:
		}
	}()
}

// ReadConfig reads Config.
func (d *Device) ReadConfig(off uint32, b []byte) {
	clear(b)
	if int(off) < len(d.Config) {
		copy(b, d.Config[off:])
	}
}

// WriteConfig writes Config.
func (d *Device) WriteConfig(off uint32, b []byte) {
	if int(off) < len(d.Config) {
		copy(d.Config[off:], b)
	}
}

// ConfigGeneration counts SetConfig.
func (d *Device) ConfigGeneration() uint32 { return atomic.LoadUint32(&d.gen) }

// Ring returns queue i once the driver has enabled it.
func (d *Device) Ring(i int) *Ring {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rings[i]
}

// A Ring is the device's side of a queue. One goroutine uses it at a time.
type Ring struct {
	virtio.Rings
	Vector   int
	Notified atomic.Int64

	dev   *Device
	index int
	avail uint16 // next to look at
	used  uint16 // next to write
	told  uint16 // used at the last interrupt decision

	Desc, Driver, Dev []byte // the three parts, raw
}

// A Chain is what the driver made available.
type Chain struct {
	Head uint16
	Out  [][]byte
	In   [][]byte
}

func newRing(d *Device, i int, r virtio.Rings, vector int) *Ring {
	n := int(r.Size)
	return &Ring{Rings: r, Vector: vector, dev: d, index: i,
		Desc: Memory(r.Desc, 16*n), Driver: Memory(r.Driver, 6+2*n+2), Dev: Memory(r.Device, 6+8*n+2)}
}

// Memory is the n bytes at a physical address.
func Memory(pa uint64, n int) []byte {
	f := frame.Frame(pa &^ 4095)
	base := unsafe.Slice(unsafe.SliceData(f.Bytes()), int(pa&4095)+n)
	return base[pa&4095:]
}

func word(b []byte, off int) *uint32 { return (*uint32)(unsafe.Pointer(&b[off])) }

func le16(b []byte) uint16 { return uint16(b[0]) | uint16(b[1])<<8 }
func le32(b []byte) uint32 { return uint32(le16(b)) | uint32(le16(b[2:]))<<16 }
func le64(b []byte) uint64 { return uint64(le32(b)) | uint64(le32(b[4:]))<<32 }

// Pop takes the next chain. It panics on a chain that the specification does
// not allow: the driver under test is wrong then.
func (r *Ring) Pop() (Chain, bool) {
	if r == nil {
		return Chain{}, false // the device was reset
	}
	idx := uint16(atomic.LoadUint32(word(r.Driver, 0)) >> 16)
	if idx == r.avail {
		// Section 2.7.7: ask for a notification at the next one, then look again.
		r.setAvailEvent(r.avail)
		idx = uint16(atomic.LoadUint32(word(r.Driver, 0)) >> 16)
		if idx == r.avail {
			return Chain{}, false
		}
	}
	if idx-r.avail > r.Size {
		return r.bad("available index moved by more than the queue has")
	}
	head := le16(r.Driver[4+2*int(r.avail%r.Size):])
	r.avail++
	c := Chain{Head: head}
	table, size, i := r.Desc, int(r.Size), int(head)
	for n := 0; ; n++ {
		if i >= size || n > size {
			return r.bad("descriptor chain leaves its table or loops")
		}
		d := table[16*i:]
		addr, length, flags, next := le64(d), le32(d[8:]), le16(d[12:]), le16(d[14:])
		if flags&4 != 0 {
			if r.dev.Accepted&virtio.FeatureIndirectDesc == 0 || size != int(r.Size) || flags&1 != 0 || n != 0 || length%16 != 0 || length == 0 {
				return r.bad("bad indirect descriptor")
			}
			table, size, i, n = Memory(addr, int(length)), int(length)/16, 0, -1
			continue
		}
		if flags&2 != 0 {
			c.In = append(c.In, Memory(addr, int(length)))
		} else {
			if len(c.In) > 0 {
				return r.bad("device-readable after device-writable descriptor")
			}
			c.Out = append(c.Out, Memory(addr, int(length)))
		}
		if flags&1 == 0 {
			return c, true
		}
		i = int(next)
	}
}

func (r *Ring) bad(what string) (Chain, bool) {
	if !r.dev.Hostile {
		panic("virtiotest: " + what)
	}
	return Chain{}, false
}

func (r *Ring) setAvailEvent(v uint16) {
	atomic.StoreUint32(word(r.Dev, 4+8*int(r.Size)), uint32(v))
}

// Push returns a chain with n bytes written. Interrupt tells the driver.
func (r *Ring) Push(head uint16, n uint32) { r.PushRaw(uint32(head), n) }

// PushRaw writes any used element.
func (r *Ring) PushRaw(id, n uint32) {
	r.stage(id, n)
	r.Publish()
}

// Stage is Push without the driver seeing it before Publish: the buffers of one
// frame become used together (VIRTIO 1.2, 5.1.6.4).
func (r *Ring) Stage(head uint16, n uint32) { r.stage(uint32(head), n) }

// Publish shows the driver what was staged.
func (r *Ring) Publish() { r.SetUsed(r.used) }

func (r *Ring) stage(id, n uint32) {
	e := 4 + 8*int(r.used%r.Size)
	atomic.StoreUint32(word(r.Dev, e), id)
	atomic.StoreUint32(word(r.Dev, e+4), n)
	r.used++
}

// SetUsed sets the used index.
func (r *Ring) SetUsed(idx uint16) {
	r.used = idx
	atomic.StoreUint32(word(r.Dev, 0), uint32(idx)<<16)
}

// Interrupt interrupts the driver for what was pushed, if it wants that. It
// reports whether it did.
func (r *Ring) Interrupt() bool {
	old := r.told
	r.told = r.used
	if r.dev.Accepted&virtio.FeatureEventIdx != 0 {
		event := uint16(atomic.LoadUint32(word(r.Driver, 4+2*int(r.Size))))
		if r.used-event-1 >= r.used-old {
			return false
		}
	} else if atomic.LoadUint32(word(r.Driver, 0))&1 != 0 {
		return false
	}
	r.dev.Interrupt(r.Vector, virtio.CauseQueue)
	return true
}

// Bytes joins the device-readable part of a chain.
func (c Chain) Bytes() []byte {
	var b []byte
	for _, s := range c.Out {
		b = append(b, s...)
	}
	return b
}

// Fill copies b to the device-writable part and returns how much fitted.
func (c Chain) Fill(b []byte) uint32 {
	n := 0
	for _, s := range c.In {
		n += copy(s, b[n:])
	}
	return uint32(n)
}
