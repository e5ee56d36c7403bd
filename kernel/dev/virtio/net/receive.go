package net

import (
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
	"gosv/kernel/dev/virtio"
	"gosv/kernel/frame"
)

// budget is how many frames are received before other goroutines get a turn.
const budget = 64

// receive is a receive queue. Only the goroutine of its interrupt touches it
// after start.
type receive struct {
	d     *Device
	index int // of the pair

	mu     sync.Mutex // guards what follows: the start and the first interrupt meet
	queue  *virtio.Queue
	bufs   []frame.Frame // by token
	pieces [][]byte      // of the packet at hand
	tokens []uint32
}

func newReceive(d *Device, i, buffers int) (*receive, error) {
	r := &receive{d: d, index: i}
	q, err := d.dev.NewQueue(2*i, virtio.QueueConfig{Size: max(buffers, 2), Handler: r.serve})
	if err != nil {
		return nil, err
	}
	r.queue = q
	for range min(buffers, q.Size()) {
		f := frame.Alloc()
		if f == 0 {
			r.free()
			return nil, unix.ENOMEM
		}
		r.bufs = append(r.bufs, f)
	}
	return r, nil
}

func (r *receive) free() {
	for _, f := range r.bufs {
		f.Unref()
	}
	r.bufs = nil
}

// start gives the device all buffers. The device runs already, and may
// interrupt.
func (r *receive) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.bufs {
		r.give(uint32(i))
	}
	r.queue.Kick()
}

func (r *receive) give(token uint32) {
	r.queue.AddOne(token, virtio.Segment{Addr: uint64(r.bufs[token]), Len: cpu.PageSize}, true) // a descriptor for each buffer: it fits
}

// serve polls while there is something, without interrupts.
func (r *receive) serve() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for empty, rounds := 0, 0; ; rounds++ {
		r.queue.MaskInterrupts()
		n := 0
		for n < budget && r.packet() {
			n++
		}
		if n == 0 {
			empty++
		} else {
			empty = 0
			r.d.stack.Flush(r.index)
			if r.queue.Kick() {
				r.d.Counters.RxKicks.Add(1)
			}
		}
		switch {
		case n == budget || rounds%budget == budget-1:
			// What is sent shares this goroutine.
			r.d.tx[r.index].serve()
			runtime.Gosched()
		case !r.queue.UnmaskInterrupts() || empty > budget: // the bound is for a device that says so without end
			return
		}
	}
}

// packet takes one packet, and gives its buffers back. It reports whether there
// was one.
func (r *receive) packet() bool {
	token, n, ok := r.queue.Next()
	if !ok {
		return false
	}
	first := r.bufs[token].Bytes()
	r.tokens = append(r.tokens[:0], token)
	if n < HeaderSize+14 {
		r.drop()
		return true
	}
	h, buffers := getHeader(first)
	r.pieces = append(r.pieces[:0], first[HeaderSize:n])
	total := int(n)
	if !r.d.dev.Has(featureMrgRxbuf) {
		buffers = 1
	}
	// All buffers of a packet are used at once (section 5.1.6.4).
	for k := uint16(1); k < buffers; k++ {
		token, n, ok := r.queue.Next()
		if !ok {
			r.drop()
			return true
		}
		r.tokens = append(r.tokens, token)
		r.pieces = append(r.pieces, r.bufs[token].Bytes()[:n])
		total += int(n)
	}
	if buffers == 0 || total > HeaderSize+maxFrame {
		r.drop()
		return true
	}
	r.d.stack.Receive(r.index, h, r.pieces)
	r.giveBack()
	return true
}

func (r *receive) drop() {
	r.d.Counters.RxDropped.Add(1)
	r.giveBack()
}

func (r *receive) giveBack() {
	for _, t := range r.tokens {
		r.give(t)
	}
}

// getHeader reads struct virtio_net_hdr, and num_buffers of it.
func getHeader(b []byte) (h Header, buffers uint16) {
	_ = b[HeaderSize-1]
	return Header{Flags: b[0], GSOType: b[1], HdrLen: le16(b[2:]), GSOSize: le16(b[4:]),
		CsumStart: le16(b[6:]), CsumOffset: le16(b[8:])}, le16(b[10:])
}

func putHeader(b []byte, h *Header) {
	_ = b[HeaderSize-1]
	b[0], b[1] = h.Flags, h.GSOType
	put16(b[2:], h.HdrLen)
	put16(b[4:], h.GSOSize)
	put16(b[6:], h.CsumStart)
	put16(b[8:], h.CsumOffset)
	put16(b[10:], 0)
}

func le16(b []byte) uint16     { return uint16(b[0]) | uint16(b[1])<<8 }
func put16(b []byte, v uint16) { b[0], b[1] = byte(v), byte(v>>8) }
