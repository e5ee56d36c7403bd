package blk

import (
	"bytes"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"gosv/kernel/dev/virtio"
	"gosv/kernel/dev/virtio/virtiotest"
	"gosv/kernel/frame"
	"gosv/kernel/fs/erofs"
)

var _ erofs.Device = (*Disk)(nil)

// disk plays a block device with data in memory.
type disk struct {
	t    testing.TB
	fake *virtiotest.Device

	mu       sync.Mutex
	data     []byte
	bad      map[uint64]byte // statuses of sectors
	held     []virtiotest.Chain
	hold     bool // collect requests, answer them later in any order
	requests int
	flushes  int
	most     int // requests in flight
}

func newDisk(t testing.TB, size int, features uint64) *disk {
	d := &disk{t: t, data: make([]byte, size), bad: map[uint64]byte{}}
	for i := range d.data {
		d.data[i] = byte(rand.Int())
	}
	cfg := make([]byte, 60)
	put32(cfg, uint32(size/SectorSize))
	put32(cfg[configSizeMax:], 16384)
	put32(cfg[configSegMax:], 10)
	put32(cfg[configBlockSize:], 512)
	put32(cfg[configMaxDiscard:], 100)
	d.fake = &virtiotest.Device{ID: virtio.IDBlock, Offer: features, Config: cfg, QueueMax: []uint16{128}, OnNotify: d.notify}
	return d
}

func (d *disk) notify(int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.fake.Ring(0)
	for {
		c, ok := r.Pop()
		if !ok {
			break
		}
		d.requests++
		d.held = append(d.held, c)
	}
	d.most = max(d.most, len(d.held))
	if !d.hold {
		d.answer()
	}
}

func (d *disk) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hold = false
	d.answer()
}

func (d *disk) answer() {
	r := d.fake.Ring(0)
	if r == nil {
		d.held = nil // it was reset
		return
	}
	rand.Shuffle(len(d.held), func(i, j int) { d.held[i], d.held[j] = d.held[j], d.held[i] })
	for _, c := range d.held {
		n := d.do(c)
		r.Push(c.Head, n)
	}
	d.held = nil
	r.Interrupt()
}

func (d *disk) do(c virtiotest.Chain) uint32 {
	head := c.Out[0]
	if len(head) != 16 || len(c.In) == 0 || len(c.In[len(c.In)-1]) != 1 {
		d.t.Error("malformed request")
		return 0
	}
	le32 := func(b []byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24 }
	sector := uint64(le32(head[8:])) | uint64(le32(head[12:]))<<32
	data := c.In[:len(c.In)-1]
	status := c.In[len(c.In)-1]
	status[0] = statusOK
	at, n := int(sector)*SectorSize, uint32(1)
	piece := func(b []byte) bool {
		if len(b) > 16384 && d.fake.Accepted&featureSizeMax != 0 || at+len(b) > len(d.data) {
			d.t.Errorf("%d bytes at %d, of %d", len(b), at, len(d.data))
			return false
		}
		if s, ok := d.bad[uint64(at/SectorSize)]; ok {
			status[0] = s
			return false
		}
		return true
	}
	if len(data) > 10 || len(c.Out) > 11 {
		d.t.Error("more segments than seg_max")
	}
	switch le32(head) {
	case typeIn:
		for _, b := range data {
			if !piece(b) {
				return n
			}
			copy(b, d.data[at:])
			at += len(b)
			n += uint32(len(b))
		}
	case typeOut:
		for _, b := range c.Out[1:] {
			if !piece(b) {
				return n
			}
			copy(d.data[at:], b)
			at += len(b)
		}
	case typeFlush:
		d.flushes++
	case typeGetID:
		n += uint32(copy(data[0], "disk\x00"))
	case typeDiscard:
		e := c.Out[1]
		from, k := le32(e), le32(e[8:])
		if k > 100 {
			d.t.Errorf("discards %d sectors at once", k)
		}
		clear(d.data[from*SectorSize : (from+k)*SectorSize])
	default:
		status[0] = statusUnsupported
	}
	return n
}

func frames(t testing.TB, n int) []frame.Frame {
	f := make([]frame.Frame, n)
	for i := range f {
		if f[i] = frame.Alloc(); f[i] == 0 {
			t.Fatal("no frames")
		}
		f[i].Bytes()[BlockSize-1] = 0xee
	}
	rand.Shuffle(n/2, func(i, j int) { f[i], f[j] = f[j], f[i] }) // some neighbours, some not
	t.Cleanup(func() {
		for _, x := range f {
			x.Unref()
		}
	})
	return f
}

func contents(f []frame.Frame) (b []byte) {
	for _, x := range f {
		b = append(b, x.Bytes()...)
	}
	return b
}

const all = featureSizeMax | featureSegMax | featureFlush | featureDiscard | featureBlockSize

var kinds = map[string]uint64{
	"none":     0,
	"limits":   all,
	"indirect": all | virtio.FeatureIndirectDesc | virtio.FeatureEventIdx,
}

func eachKind(t *testing.T, size int, f func(t *testing.T, h *disk, d *Disk)) {
	for name, features := range kinds {
		t.Run(name, func(t *testing.T) {
			h := newDisk(t, size, features)
			d, err := Open(h.fake)
			if err != nil {
				t.Fatal(err)
			}
			f(t, h, d)
			if d.queue.Counters != (virtio.Counters{}) || d.queue.Pending() != 0 || len(d.free) != slots {
				t.Errorf("%+v, %d pending, %d free", d.queue.Counters, d.queue.Pending(), len(d.free))
			}
		})
	}
}

func TestReadWrite(t *testing.T) {
	eachKind(t, 1<<20, func(t *testing.T, h *disk, d *Disk) {
		if d.Size() != 1<<20 {
			t.Fatal(d.Size())
		}
		for range 50 {
			n := 1 + rand.IntN(100)
			block := rand.IntN(256 - n + 1)
			f := frames(t, n)
			if err := d.FillRange(uint64(block), f); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(contents(f), h.data[block*BlockSize:][:n*BlockSize]) {
				t.Fatal("read something else")
			}
			for _, x := range f {
				x.Bytes()[rand.IntN(BlockSize)]++
			}
			to := rand.IntN(256 - n + 1)
			if err := d.WriteRange(uint64(to), f); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(contents(f), h.data[to*BlockSize:][:n*BlockSize]) {
				t.Fatal("wrote something else")
			}
		}
		if err := d.Flush(); err != nil || h.flushes != 1 && h.fake.Accepted&featureFlush != 0 {
			t.Errorf("flush: %v, %d", err, h.flushes)
		}
		if s, err := d.Serial(); s != "disk" || err != nil {
			t.Errorf("serial %q %v", s, err)
		}
	})
}

// TestManyAtOnce has more transfers and requests than slots and descriptors,
// answered in any order.
func TestManyAtOnce(t *testing.T) {
	eachKind(t, 8<<20, func(t *testing.T, h *disk, d *Disk) {
		h.hold = true
		var wg sync.WaitGroup
		for i := range 40 {
			f := frames(t, 50)
			wg.Add(1)
			started := make(chan bool)
			go func() {
				block := uint64(i * 51)
				done := make(chan error, 1)
				d.ReadAsync(block, f, func(err error) { done <- err })
				started <- true
				if err := <-done; err != nil || !bytes.Equal(contents(f), h.data[block*BlockSize:][:50*BlockSize]) {
					t.Errorf("transfer %d: %v, or other data", i, err)
				}
				wg.Done()
			}()
			<-started
		}
		h.release()
		wg.Wait()
		if h.most < 2 {
			t.Errorf("at most %d requests in flight", h.most)
		}
	})
}

func TestMerge(t *testing.T) {
	h := newDisk(t, 1<<20, all|virtio.FeatureIndirectDesc)
	d, err := Open(h.fake)
	if err != nil {
		t.Fatal(err)
	}
	f := frame.AllocOrder(5)
	list := make([]frame.Frame, 32)
	for i := range list {
		list[i] = f + frame.Frame(i*BlockSize)
	}
	if err := d.FillRange(3, list); err != nil || h.requests != 1 {
		t.Errorf("%d requests for 32 neighbours: %v", h.requests, err)
	}
	if !bytes.Equal(contents(list), h.data[3*BlockSize:35*BlockSize]) {
		t.Error("read something else")
	}
}

func TestEnds(t *testing.T) {
	eachKind(t, 10*BlockSize+3*SectorSize, func(t *testing.T, h *disk, d *Disk) {
		f := frames(t, 4)
		if err := d.FillRange(9, f); err != nil {
			t.Fatal(err)
		}
		want := make([]byte, 4*BlockSize)
		copy(want, h.data[9*BlockSize:])
		if !bytes.Equal(contents(f), want) {
			t.Error("behind the end there are no zeros")
		}
		if err := d.FillRange(11, f); err != unix.EIO {
			t.Errorf("read behind the end: %v", err)
		}
		if err := d.FillRange(1<<61, f); err != unix.EIO {
			t.Errorf("read far behind the end: %v", err)
		}
		if err := d.FillRange(1<<61, nil); err != nil {
			t.Errorf("read nothing: %v", err)
		}
		if err := d.WriteRange(8, f); err != unix.ENOSPC {
			t.Errorf("write over the end: %v", err)
		}
		b := make([]byte, 5000)
		if n, err := d.ReadAt(b, d.Size()-4500); n != 4500 || err != io.EOF || !bytes.Equal(b[:n], h.data[len(h.data)-4500:]) {
			t.Errorf("ReadAt: %d %v", n, err)
		}
		if n, err := d.ReadAt(b[:100], 1024); n != 100 || err != nil || !bytes.Equal(b[:n], h.data[1024:1124]) {
			t.Errorf("ReadAt: %d %v", n, err)
		}
		err := d.Discard(2, 7)
		if h.fake.Accepted&featureDiscard == 0 {
			if err != unix.EOPNOTSUPP {
				t.Error(err)
			}
		} else if err != nil || !bytes.Equal(h.data[2*BlockSize:9*BlockSize], make([]byte, 7*BlockSize)) {
			t.Errorf("discard: %v", err)
		}
	})
}

func TestErrors(t *testing.T) {
	h := newDisk(t, 1<<20, all)
	h.bad[80] = 1
	h.bad[160] = statusUnsupported
	d, err := Open(h.fake)
	if err != nil {
		t.Fatal(err)
	}
	f := frames(t, 1)
	if err := d.FillRange(10, f); err != unix.EIO || d.Errors() != 1 {
		t.Errorf("bad sector: %v", err)
	}
	if err := d.WriteRange(20, f); err != unix.EOPNOTSUPP {
		t.Errorf("unsupported: %v", err)
	}
	if err := d.FillRange(11, f); err != nil {
		t.Errorf("after an error: %v", err)
	}
	h = newDisk(t, 1<<20, featureReadOnly)
	if d, err = Open(h.fake); err != nil || !d.ReadOnly() || d.WriteRange(0, f) != unix.EROFS || d.Discard(0, 1) != unix.EROFS {
		t.Error("a read-only disk")
	}
	h = newDisk(t, 1<<20, featureBlockSize)
	put32(h.fake.Config[configBlockSize:], 3)
	if _, err := Open(h.fake); err != unix.EINVAL {
		t.Errorf("blocks of 3 bytes: %v", err)
	}
}

// FuzzUsed is a device that answers requests with used elements and statuses
// of its own invention: every read ends at most once, and the driver goes on.
func FuzzUsed(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 2, 200, 255})
	f.Fuzz(func(t *testing.T, script []byte) {
		fake := &virtiotest.Device{ID: virtio.IDBlock, Offer: all | virtio.FeatureIndirectDesc, QueueMax: []uint16{16}}
		fake.Config = make([]byte, 60)
		put32(fake.Config, 8000)
		put32(fake.Config[configSizeMax:], 4096)
		put32(fake.Config[configSegMax:], 2)
		put32(fake.Config[configBlockSize:], 512)
		d, err := Open(fake)
		if err != nil {
			t.Fatal(err)
		}
		m := []frame.Frame{frame.Alloc(), frame.Alloc(), frame.Alloc()}
		ring := fake.Ring(0)
		ended := map[int]bool{}
		for i, b := range script {
			switch {
			case b < 100:
				d.ReadAsync(uint64(b), append([]frame.Frame(nil), m...), func(error) {
					if ended[i] {
						panic("ended twice")
					}
					ended[i] = true
				})
			case b < 200:
				ring.PushRaw(uint32(b-100)%20, uint32(i))
				d.serve()
			default:
				d.mem.Bytes()[int(b-200)*slotSize+statusOffset&(BlockSize-1)] = byte(i)
				ring.SetUsed(uint16(b-200) * 3)
				d.serve()
			}
		}
		d.failed(true) // the watch may look once more
		d.dev.Close()
		for _, x := range append(m, d.mem) {
			x.Unref()
		}
	})
}
