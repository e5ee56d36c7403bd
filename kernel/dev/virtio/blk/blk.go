// Package blk drives virtio block devices (VIRTIO 1.2, section 5.2): reads straight into page-cache frames, writes, flush
// and discard, with many requests in flight.
//
// A device that asks for a reset, or that completes no request for a minute although it has some, is given up: what it has, and
// what comes later, fails with EIO.
//
// Lock order: Disk.mu is taken with page-cache locks held, never the other way round; completions run without it.
package blk

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/kernel/block"
	"gosv/kernel/cpu"
	"gosv/kernel/dev/virtio"
	"gosv/kernel/frame"
)

// Features (section 5.2.3).
const (
	featureSizeMax   = 1 << 1
	featureSegMax    = 1 << 2
	featureReadOnly  = 1 << 5
	featureBlockSize = 1 << 6
	featureFlush     = 1 << 9
	featureDiscard   = 1 << 13
)

// Offsets in the configuration (section 5.2.4).
const (
	configCapacity   = 0
	configSizeMax    = 8
	configSegMax     = 12
	configBlockSize  = 20
	configMaxDiscard = 36
)

// Types and statuses of requests (section 5.2.6).
const (
	typeIn      = 0
	typeOut     = 1
	typeFlush   = 4
	typeGetID   = 8
	typeDiscard = 11

	statusOK          = 0
	statusUnsupported = 2
)

// BlockSize is the unit of the methods, that of a page; SectorSize is the
// device's.
const (
	BlockSize  = 4096
	SectorSize = 512

	perBlock = BlockSize / SectorSize

	maxSectors = 1<<53 - perBlock // more than a file may have bytes
)

const (
	slots        = 64  // requests in flight at most
	slotSize     = 64  // of a slot's place in Disk.mem: header, status, discard segment
	statusOffset = 16  // in it
	extraOffset  = 32  // in it
	queueSize    = 128 // descriptors
	maxSegments  = 64  // of a chain, with header and status
)

// A Disk is one device.
type Disk struct {
	dev       *virtio.Device
	sectors   uint64
	readOnly  bool
	blockSize uint32
	sizeMax   uint32 // bytes of a segment
	segMax    int    // data segments of a request
	discard   uint32 // sectors of a discard request, 0: not supported

	mu       sync.Mutex // guards what follows
	queue    *virtio.Queue
	mem      frame.Frame
	slots    [slots]*transfer // whose request a slot is
	free     []uint32
	waiting  *transfer // not wholly submitted, in order
	last     *transfer
	segments []virtio.Segment
	dead     bool   // given up
	ended    uint64 // requests that the device has completed
	watch    watch

	stats   block.Stats // guarded by mu
	busy    int64       // since when requests are in flight; guarded by mu
	errors  atomic.Uint64
	reports atomic.Uint32 // failed transfers
}

// transfer is an operation of a caller: one or several requests.
type transfer struct {
	op     uint32
	first  uint64
	sector uint64        // next to submit
	end    uint64        // sector after the last
	all    []frame.Frame // nil without data
	frames []frame.Frame // of all, those to submit
	mem    frame.Frame   // of a small read, typeGetID
	memLen uint32

	started  int64 // when it was handed to the driver
	inFlight int
	finished bool // everything is submitted
	failed   bool // the device was given up
	kept     bool // and may still write to the frames
	err      error
	done     func(error)
	next     *transfer
}

// Open starts the device.
func Open(t virtio.Transport) (*Disk, error) {
	dev, err := virtio.Open(t, featureSizeMax|featureSegMax|featureReadOnly|featureBlockSize|featureFlush|featureDiscard)
	if err != nil {
		return nil, err
	}
	d := &Disk{dev: dev, sizeMax: 1 << 30, segMax: 1, blockSize: SectorSize}
	d.sectors = min(dev.Config64(configCapacity), maxSectors)
	d.readOnly = dev.Has(featureReadOnly)
	if dev.Has(featureSizeMax) {
		d.sizeMax = min(dev.Config32(configSizeMax)&^(SectorSize-1), d.sizeMax)
	}
	if dev.Has(featureSegMax) {
		d.segMax = int(max(min(dev.Config32(configSegMax), maxSegments-2), 1))
	}
	if dev.Has(featureBlockSize) {
		d.blockSize = dev.Config32(configBlockSize)
	}
	if dev.Has(featureDiscard) {
		d.discard = min(dev.Config32(configMaxDiscard), 1<<22) &^ (perBlock - 1)
	}
	d.queue, err = dev.NewQueue(0, virtio.QueueConfig{Size: queueSize, Segments: d.segMax + 2, Handler: d.serve})
	if err == nil {
		d.segMax = min(d.segMax, d.queue.Size()-2)
		if d.mem = frame.Alloc(); d.mem == 0 {
			err = unix.ENOMEM
		} else if d.segMax < 1 || d.sizeMax < BlockSize || d.blockSize == 0 || BlockSize%d.blockSize != 0 {
			err = unix.EINVAL
		}
	}
	if err == nil {
		for i := range uint32(slots) {
			d.free = append(d.free, slots-1-i)
		}
		dev.Failed = d.failed
		err = dev.Start(d.resized)
	}
	if err != nil {
		dev.Close()
		if d.mem != 0 {
			d.mem.Unref()
		}
		return nil, err
	}
	return d, nil
}

// resized reads the capacity anew; it may change while the device runs.
func (d *Disk) resized() {
	atomic.StoreUint64(&d.sectors, min(d.dev.Config64(configCapacity), maxSectors))
}

// Size is the capacity in bytes.
func (d *Disk) Size() int64 { return int64(atomic.LoadUint64(&d.sectors)) * SectorSize }

// ReadOnly reports whether the device refuses writes.
func (d *Disk) ReadOnly() bool { return d.readOnly }

// LogicalBlockSize is the device's block in bytes, at most BlockSize.
func (d *Disk) LogicalBlockSize() int { return int(d.blockSize) }

// Errors is how many requests the device failed.
func (d *Disk) Errors() uint64 { return d.errors.Load() }

// start submits a transfer; t.done is called when all of it has ended.
func (d *Disk) start(t *transfer) {
	t.started = cpu.Nanotime()
	t.first, t.all = t.sector, t.frames
	d.mu.Lock()
	if d.dead {
		d.mu.Unlock()
		t.done(unix.EIO)
		return
	}
	if d.stats.InFlight++; d.stats.InFlight == 1 {
		d.busy = t.started
	}
	switch n := t.end - t.sector; t.op {
	case typeIn:
		d.stats.SectorsRead += n
	case typeOut:
		d.stats.SectorsWritten += n
	case typeDiscard:
		d.stats.SectorsDropped += n
	}
	if d.last == nil {
		d.waiting = t
	} else {
		d.last.next = t
	}
	d.last = t
	d.submit()
	finished := d.reap()
	d.watchLocked()
	d.mu.Unlock()
	d.run(finished)
}

// serve handles an interrupt.
func (d *Disk) serve() {
	d.mu.Lock()
	finished := d.reap()
	d.mu.Unlock()
	d.run(finished)
}

// run ends a list of transfers.
func (d *Disk) run(t *transfer) {
	for t != nil {
		next := t.next
		if t.err == unix.EIO {
			d.report(t)
		}
		t.done(t.err)
		t = next
	}
}

// reap takes the requests that the device has done, fills the queue again, and
// returns a list of the transfers that have ended.
func (d *Disk) reap() (finished *transfer) {
	if d.dead {
		return nil
	}
	for range 4 * slots {
		i, _, ok := d.queue.Next()
		if !ok {
			if d.queue.UnmaskInterrupts() {
				continue
			}
			break
		}
		t := d.slots[i]
		d.ended++
		d.slots[i] = nil
		d.free = append(d.free, i)
		if s := d.place(i)[statusOffset]; s != statusOK && t.err == nil {
			d.errors.Add(1)
			t.err = unix.EIO
			if s == statusUnsupported {
				t.err = unix.EOPNOTSUPP
			}
		}
		t.inFlight--
		if t.finished && t.inFlight == 0 {
			d.account(t)
			t.next, finished = finished, t
		}
	}
	d.submit()
	return finished
}

// account counts a transfer that has ended. mu is held.
func (d *Disk) account(t *transfer) {
	now := cpu.Nanotime()
	s := &d.stats
	took := now - t.started
	switch t.op {
	case typeIn:
		s.Reads++
		s.ReadTime += took
	case typeOut:
		s.Writes++
		s.WriteTime += took
	case typeFlush:
		s.Flushes++
		s.FlushTime += took
	case typeDiscard:
		s.Discards++
		s.DiscardTime += took
	}
	if s.InFlight--; s.InFlight == 0 {
		s.Busy += now - d.busy
	}
}

// Stats returns what the disk has done. A transfer of a caller counts as one
// request.
func (d *Disk) Stats() block.Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	if s.InFlight > 0 {
		s.Busy += cpu.Nanotime() - d.busy
	}
	return s
}

// place is the memory of a slot that the device sees.
func (d *Disk) place(i uint32) []byte { return d.mem.Bytes()[i*slotSize:][:slotSize] }

// submit gives the device requests as long as there is room, with one
// notification.
func (d *Disk) submit() {
	for d.waiting != nil && len(d.free) > 0 && d.queue.Fits(d.segMax+2) {
		t := d.waiting
		i := d.free[len(d.free)-1]
		d.free = d.free[:len(d.free)-1]
		d.slots[i] = t
		d.request(i, t)
		t.inFlight++
		if t.sector >= t.end {
			t.finished = true
			d.waiting = t.next
			t.next = nil
			if d.waiting == nil {
				d.last = nil
			}
		}
	}
	d.queue.Kick()
}

// request makes the next request of a transfer, as long as it can be.
func (d *Disk) request(i uint32, t *transfer) {
	p, pa := d.place(i), uint64(d.mem)+uint64(i)*slotSize
	put32(p, t.op)
	put32(p[4:], 0)
	put32(p[8:], uint32(t.sector))
	put32(p[12:], uint32(t.sector>>32))
	p[statusOffset] = 0xff

	s := append(d.segments[:0], virtio.Segment{Addr: pa, Len: 16})
	status := virtio.Segment{Addr: pa + statusOffset, Len: 1}
	switch {
	case t.op == typeDiscard:
		n := min(t.end-t.sector, uint64(d.discard))
		put32(p[8:], 0)
		put32(p[12:], 0)
		e := p[extraOffset:]
		put32(e, uint32(t.sector))
		put32(e[4:], uint32(t.sector>>32))
		put32(e[8:], uint32(n))
		put32(e[12:], 0)
		s = append(s, virtio.Segment{Addr: pa + extraOffset, Len: 16})
		t.sector += n
	case t.mem != 0:
		s = append(s, virtio.Segment{Addr: uint64(t.mem), Len: t.memLen})
	default:
		for t.sector < t.end {
			f := t.frames[0]
			n := uint32(min(t.end-t.sector, perBlock)) * SectorSize
			k := len(s) - 1
			if k > 0 && s[k].Addr+uint64(s[k].Len) == uint64(f) && s[k].Len+n <= d.sizeMax {
				s[k].Len += n
			} else if k == d.segMax {
				break
			} else {
				s = append(s, virtio.Segment{Addr: uint64(f), Len: n})
			}
			t.frames = t.frames[1:]
			t.sector += uint64(n / SectorSize)
		}
	}
	s = append(s, status)
	d.segments = s
	out := 1
	if t.op == typeOut || t.op == typeDiscard {
		out = len(s) - 1
	}
	d.queue.Add(i, s[:out], s[out:]) // Fits said that there is room
}

func put32(b []byte, v uint32) {
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}
