// Package net drives virtio network devices (VIRTIO 1.2, section 5.1): mergeable receive buffers, checksum and segmentation
// offload in both directions, and several queue pairs. What is received and sent is Ethernet frames; the stack above is not
// this package's business.
//
// All memory that the device sees is frames: packets are copied once, on their way in and out.
//
// Lock order: transmit.mu of one queue; Stack's methods are called without it.
package net

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
	"gosv/kernel/dev/virtio"
)

// Features (section 5.1.3).
const (
	featureCsum      = 1 << 0
	featureGuestCsum = 1 << 1
	featureMTU       = 1 << 3
	featureMAC       = 1 << 5
	featureGuestTSO4 = 1 << 7
	featureGuestTSO6 = 1 << 8
	featureHostTSO4  = 1 << 11
	featureHostTSO6  = 1 << 12
	featureMrgRxbuf  = 1 << 15
	featureStatus    = 1 << 16
	featureCtrlVQ    = 1 << 17
	featureMQ        = 1 << 22
)

// Offsets in the configuration (section 5.1.4).
const (
	configMAC      = 0
	configStatus   = 6
	configMaxPairs = 8
	configMTU      = 10
)

const statusLinkUp = 1

// HeaderSize is the size of struct virtio_net_hdr (section 5.1.6).
const HeaderSize = 12

// Values of Header.Flags and Header.GSOType.
const (
	NeedsCsum = 1 // the checksum is to be completed
	DataValid = 2 // the device has verified it

	GSONone  = 0
	GSOTCPv4 = 1
	GSOTCPv6 = 4
)

// Header is struct virtio_net_hdr: the offloads of a packet.
type Header struct {
	Flags      uint8
	GSOType    uint8
	HdrLen     uint16 // bytes of headers, when GSOType is not GSONone
	GSOSize    uint16 // TCP payload of a segment
	CsumStart  uint16 // where the checksummed part begins, in the frame
	CsumOffset uint16 // of the checksum in it
}

// A Stack takes what a device receives.
type Stack interface {
	// Receive takes a frame, in pieces, which are the driver's again when it
	// returns. The first piece holds at least 14 bytes. It runs on the goroutine
	// of the queue.
	Receive(queue int, h Header, pieces [][]byte)

	// Flush ends a batch of Receive.
	Flush(queue int)

	// Room says that a queue for which Send was refused has room again.
	Room(queue int)

	// Link says that the link came or went.
	Link(up bool)
}

// Counters say what was dropped; each value is read atomically.
type Counters struct {
	RxDropped atomic.Uint64 // frames that the device cut short or that make no sense
	TxDropped atomic.Uint64 // frames that were too long
	RxKicks   atomic.Uint64 // notifications
	TxKicks   atomic.Uint64
}

// Limits.
const (
	maxPairs = 8
	// maxFrame is the longest frame with segmentation offload: an IP packet and
	// its Ethernet header.
	maxFrame = 65535 + 14
	minMTU   = 68 // of IPv4 (RFC 791)
	maxMTU   = 65535
)

// Options say how much memory a device may take.
type Options struct {
	// Buffers is how many frames each queue may hold for receiving, and for
	// sending.
	Buffers int

	// Pairs is how many queue pairs are wanted; 0 means one for each CPU.
	Pairs int
}

// A Device is a network device.
type Device struct {
	Counters Counters

	dev     *virtio.Device
	mac     [6]byte
	mtu     int
	stack   Stack
	rx      []*receive
	tx      []*transmit
	pairs   int // in use
	control *control
}

// Open prepares the device. Nothing is received before Start. EINVAL: its
// configuration makes no sense.
func Open(t virtio.Transport, o Options) (*Device, error) {
	dev, err := virtio.Open(t, wanted(t.Features()))
	if err != nil {
		return nil, err
	}
	d := &Device{dev: dev, mtu: 1500, pairs: 1}
	if dev.Has(featureMAC) {
		dev.ReadConfig(configMAC, d.mac[:])
	}
	if d.mac == ([6]byte{}) || d.mac[0]&1 != 0 {
		d.mac = randomMAC()
	}
	if dev.Has(featureMTU) {
		if m := int(dev.Config16(configMTU)); m >= minMTU {
			d.mtu = m
		}
	}
	if err := d.open(o); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// wanted are the features to accept of those offered: segments larger than a
// buffer can only come in mergeable buffers, and only with checksums.
func wanted(offered uint64) uint64 {
	want := uint64(featureCsum | featureGuestCsum | featureMTU | featureMAC | featureMrgRxbuf | featureStatus)
	if offered&featureCsum != 0 {
		want |= featureHostTSO4 | featureHostTSO6
	}
	if offered&featureGuestCsum != 0 && offered&featureMrgRxbuf != 0 {
		want |= featureGuestTSO4 | featureGuestTSO6
	}
	if offered&featureCtrlVQ != 0 && offered&featureMQ != 0 {
		want |= featureCtrlVQ | featureMQ
	}
	return want
}

// open makes the queues.
func (d *Device) open(o Options) error {
	most := 1
	if d.dev.Has(featureMQ) {
		most = int(d.dev.Config16(configMaxPairs))
		if most < 1 || most > 0x8000 {
			return unix.EINVAL
		}
	}
	want := o.Pairs
	if want <= 0 {
		want = cpu.NumCPU()
	}
	pairs := min(most, want, maxPairs)
	// A vector for each pair, whose two queues are served by one goroutine.
	d.dev.WantVectors = 1 + pairs
	for i := range pairs {
		q, err := newReceive(d, i, o.Buffers)
		if err != nil {
			return err
		}
		d.rx = append(d.rx, q)
	}
	for i := range pairs {
		q, err := newTransmit(d, i, o.Buffers)
		if err != nil {
			return err
		}
		d.tx = append(d.tx, q)
	}
	if pairs > 1 {
		c, err := newControl(d.dev, 2*most)
		if err != nil {
			return err
		}
		d.control = c
	}
	return nil
}

// Start lets the device run.
func (d *Device) Start(s Stack) error {
	d.stack = s
	d.dev.Failed = d.failed
	if err := d.dev.Start(func() { s.Link(d.LinkUp()) }); err != nil {
		return err
	}
	for _, q := range d.rx {
		q.start()
	}
	if d.control != nil && d.control.setPairs(len(d.rx)) == nil {
		d.pairs = len(d.rx)
	}
	return nil
}

// failed takes the link down: the device was given up. What is sent from now on is lost, and so is what waits. The frames that
// the device has stay allocated.
func (d *Device) failed(bool) {
	for _, t := range d.tx {
		t.mu.Lock()
		t.dead, t.inUse = true, 0
		for _, f := range t.spare {
			f.Unref()
		}
		t.spare, t.unused = nil, nil
		t.mu.Unlock()
	}
	d.stack.Link(false)
	for _, t := range d.tx {
		d.stack.Room(t.index)
	}
}

// Close resets a device that was not started, and frees its memory.
func (d *Device) Close() {
	d.dev.Close()
	for _, q := range d.rx {
		q.free()
	}
	for _, q := range d.tx {
		q.free()
	}
	if d.control != nil {
		d.control.mem.Unref()
	}
}

// MAC is the device's address; a random one if it has none.
func (d *Device) MAC() [6]byte { return d.mac }

// MTU is the largest IP packet in bytes.
func (d *Device) MTU() int { return d.mtu }

// MaxQueues is how many queue pairs there are memory for.
func (d *Device) MaxQueues() int { return len(d.rx) }

// Queues is how many queue pairs are in use. It is settled by Start.
func (d *Device) Queues() int { return d.pairs }

// LinkUp reports whether the link is there. A device that cannot tell has one.
func (d *Device) LinkUp() bool {
	return !d.dev.Broken() && (!d.dev.Has(featureStatus) || d.dev.Config16(configStatus)&statusLinkUp != 0)
}

// CompletesChecksums reports whether a packet may be sent with NeedsCsum.
func (d *Device) CompletesChecksums() bool { return d.dev.Has(featureCsum) }

// Segments reports whether the device cuts TCP packets of both families.
func (d *Device) Segments() bool { return d.dev.Has(featureCsum | featureHostTSO4 | featureHostTSO6) }

// Joins reports whether the device joins received TCP segments.
func (d *Device) Joins() bool { return d.dev.Has(featureGuestTSO4 | featureGuestTSO6) }

// Malformed is how often the device broke the rules of its queues.
func (d *Device) Malformed() (n uint64) {
	add := func(q *virtio.Queue) { n += q.Counters.BadID + q.Counters.BadIndex + q.Counters.BadLength }
	for _, q := range d.rx {
		add(q.queue)
	}
	for _, q := range d.tx {
		q.mu.Lock()
		add(q.queue)
		q.mu.Unlock()
	}
	return n
}
