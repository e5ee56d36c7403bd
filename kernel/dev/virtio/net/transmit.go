package net

import (
	"sync"
	"sync/atomic"

	"gosv/kernel/cpu"
	"gosv/kernel/dev/virtio"
	"gosv/kernel/frame"
)

// maxSegments is the frames of the longest packet with its header.
const maxSegments = (HeaderSize + maxFrame + cpu.PageSize - 1) / cpu.PageSize

// transmit is a transmit queue.
type transmit struct {
	d     *Device
	index int

	mu      sync.Mutex // guards what follows
	queue   *virtio.Queue
	slots   []slot // by token
	unused  []uint32
	spare   []frame.Frame // for the next packets
	inUse   int           // frames of slots
	limit   int           // of inUse and spare together
	dead    bool          // the device was given up: nothing is unused, and nothing comes back
	waiting atomic.Bool   // Room is to be called; set with mu held
	writing Frame         // between Begin and End
	segs    [maxSegments]virtio.Segment
}

// slot is a packet that the device has.
type slot struct{ frames []frame.Frame }

func newTransmit(d *Device, i, buffers int) (*transmit, error) {
	t := &transmit{d: d, index: i, limit: max(buffers, 2*maxSegments)}
	q, err := d.dev.NewQueue(2*i+1, virtio.QueueConfig{Size: 256, Segments: maxSegments, Handler: t.serve})
	if err != nil {
		return nil, err
	}
	t.queue = q
	t.slots = make([]slot, min(q.Size(), t.limit))
	for i := range t.slots {
		t.unused = append(t.unused, uint32(len(t.slots)-1-i))
	}
	q.MaskInterrupts()
	return t, nil
}

func (t *transmit) free() {
	for _, s := range t.slots {
		for _, f := range s.frames {
			f.Unref()
		}
	}
	for _, f := range t.spare {
		f.Unref()
	}
	t.slots, t.spare = nil, nil
}

// A Frame is an Ethernet frame that is being written to a queue, which is
// locked meanwhile.
type Frame struct {
	t     *transmit
	token uint32
	left  int    // bytes that the last frame has room for
	at    []byte // that room
	want  int    // bytes still to be written
}

// Begin starts a frame of n bytes on a queue; its bytes follow by Write, and End
// sends it. It reports whether there is room; if not, Stack.Room is called when
// there is. Without memory, when nothing is on its way whose end could say so, the
// frame is lost, and nil.
func (d *Device) Begin(queue, n int, h *Header) (f *Frame, ok bool) {
	t := d.transmit(queue)
	if n > maxFrame {
		d.Counters.TxDropped.Add(1)
		n = 0 // it is never sent
	}
	t.mu.Lock()
	need := (HeaderSize + n + cpu.PageSize - 1) / cpu.PageSize
	if !t.take(need) {
		lost := t.inUse == 0
		if lost {
			t.waiting.Store(false)
			t.queue.MaskInterrupts()
			d.Counters.TxDropped.Add(1)
		}
		t.mu.Unlock()
		return nil, lost
	}
	token := t.unused[len(t.unused)-1]
	t.unused = t.unused[:len(t.unused)-1]
	s := &t.slots[token]
	from := len(t.spare) - need
	if need == 1 { // no copy
		s.frames = append(s.frames[:0], t.spare[from])
	} else {
		s.frames = append(s.frames[:0], t.spare[from:]...)
	}
	t.spare = t.spare[:from]
	t.inUse += need
	b := s.frames[0].Bytes()
	putHeader(b, h)
	f = &t.writing
	*f = Frame{t: t, token: token, at: b[HeaderSize:], want: n}
	return f, true
}

// transmit is a queue; of a number that is too high the remainder counts.
func (d *Device) transmit(queue int) *transmit {
	if queue >= len(d.tx) {
		queue %= len(d.tx)
	}
	return d.tx[queue]
}

// take makes sure that there is a slot, room in the queue, and so many spare
// frames. Otherwise the queue will say when there is.
func (t *transmit) take(frames int) bool {
	if len(t.spare) >= frames && len(t.unused) > 0 && t.queue.Fits(frames) {
		return true
	}
	if t.dead {
		return false
	}
	t.reap()
	for n := 0; ; n++ {
		enough := len(t.unused) > 0 && t.queue.Fits(frames)
		for enough && len(t.spare) < frames {
			if t.inUse+len(t.spare) >= t.limit {
				enough = false
				break
			}
			f := frame.Alloc()
			if f == 0 {
				enough = false
				break
			}
			t.spare = append(t.spare, f)
		}
		if enough {
			return true
		}
		t.waiting.Store(true)
		if !t.queue.UnmaskInterrupts() || n == len(t.slots) { // the bound is for a device that uses without end
			return false
		}
		t.waiting.Store(false)
		t.queue.MaskInterrupts()
		t.reap()
	}
}

// reap takes back what the device has sent.
func (t *transmit) reap() {
	if t.dead {
		return
	}
	for range len(t.slots) {
		token, _, ok := t.queue.Next()
		if !ok {
			return
		}
		s := &t.slots[token]
		if len(s.frames) == 1 {
			t.spare = append(t.spare, s.frames[0])
		} else {
			t.spare = append(t.spare, s.frames...)
		}
		t.inUse -= len(s.frames)
		s.frames = s.frames[:0]
		t.unused = append(t.unused, token)
	}
}

// serve handles an interrupt: it comes only when somebody waits for room.
func (t *transmit) serve() {
	if !t.waiting.Load() {
		return
	}
	t.mu.Lock()
	t.reap()
	room := t.waiting.Swap(false)
	t.queue.MaskInterrupts()
	t.mu.Unlock()
	if room {
		t.d.stack.Room(t.index)
	}
}

// Write adds bytes. What is more than Begin was told is ignored.
func (f *Frame) Write(b []byte) {
	if f == nil {
		return
	}
	b = b[:min(len(b), f.want)]
	f.want -= len(b)
	s := &f.t.slots[f.token]
	for len(b) > 0 {
		if len(f.at) == 0 {
			f.left++
			f.at = s.frames[f.left].Bytes()
		}
		n := copy(f.at, b)
		f.at, b = f.at[n:], b[n:]
	}
}

// End gives the frame to the device; Kick tells it. A frame that got fewer bytes
// than Begin was told is as long as it got.
func (f *Frame) End() {
	if f == nil {
		return
	}
	t := f.t
	s := &t.slots[f.token]
	last := cpu.PageSize - len(f.at)
	if f.left == 0 {
		t.queue.AddOne(f.token, virtio.Segment{Addr: uint64(s.frames[0]), Len: uint32(last)}, false) // take said that it fits
		t.mu.Unlock()
		return
	}
	segs := t.segs[:0]
	for i, p := range s.frames[:f.left+1] {
		n := cpu.PageSize
		if i == f.left {
			n = last
		}
		segs = append(segs, virtio.Segment{Addr: uint64(p), Len: uint32(n)})
	}
	t.queue.Add(f.token, segs, nil) // as above
	t.mu.Unlock()
}

// Kick tells the device of the frames of a queue.
func (d *Device) Kick(queue int) {
	t := d.transmit(queue)
	t.mu.Lock()
	kicked := t.queue.Kick()
	t.mu.Unlock()
	if kicked {
		d.Counters.TxKicks.Add(1)
	}
}
