package console

import (
	"sync"

	"gosv/kernel/cpu"
	"gosv/kernel/dev/virtio"
	"gosv/kernel/frame"
	"gosv/kernel/wait"
)

const (
	rxBuffers = 4  // frames that the device may fill
	txFrames  = 16 // of the transmit buffer
	txSize    = txFrames * frameSize
	txChains  = 32
)

// unansweredPatience is how long Flush waits, in nanoseconds, for a host that
// never opened the port.
const unansweredPatience = 1e9

// A Port is a byte channel to the host. It implements tty.Port.
type Port struct {
	name  string
	queue wait.Queue

	mu     sync.Mutex // guards what follows, and the two queues
	rx, tx *virtio.Queue
	open   bool // the host has opened it
	opened bool // and had so at some time
	dead   bool // the device was given up

	// Receiving. Buffers that the device filled wait in got, oldest first.
	posted bool
	rxMem  [rxBuffers]frame.Frame
	got    [rxBuffers]received
	nGot   int

	// Transmitting: a ring of bytes in frames. Positions only grow; the device
	// has those from tail to sent, and those from sent to head wait.
	txMem            [txFrames]frame.Frame
	head, sent, tail uint64
	chains           [txChains]sentChain // in the order of sending
	first, nChains   int
	segments         []virtio.Segment
	wanted           bool // somebody waits for room, or for the end

	events wait.Events // happened since the lock was taken
}

// unlock releases mu and tells the queue what happened meanwhile.
func (p *Port) unlock() {
	ev := p.events
	p.events = 0
	p.mu.Unlock()
	if ev != 0 {
		p.queue.Notify(ev)
	}
}

type received struct {
	buffer uint32
	off, n uint32
}

type sentChain struct {
	end  uint64
	done bool
}

// Name is the port's name.
func (p *Port) Name() string { return p.name }

// Bound reports whether the device has the port and has told so.
func (p *Port) Bound() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rx != nil
}

func (p *Port) bind(rx, tx *virtio.Queue, open bool) {
	p.mu.Lock()
	p.rx, p.tx = rx, tx
	if p.posted {
		p.post()
	}
	p.unlock()
	if open {
		p.setOpen(true)
	}
}

// setOpen is told when the host opens or closes the port.
func (p *Port) setOpen(open bool) {
	p.mu.Lock()
	open = open && !p.dead
	p.open = open
	if open {
		p.opened = true
		p.transmit()
	}
	p.events |= wait.Readable | wait.Writable
	if p.gone() {
		p.sent = p.head // nobody reads it
		p.events |= wait.Hup
	}
	p.unlock()
}

// fail is told that the device was given up.
func (p *Port) fail() {
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.setOpen(false)
}

// gone says that the host closed the port after having had it open, or that there is no device any more.
func (p *Port) gone() bool { return p.dead || p.opened && !p.open }

// serve handles an interrupt.
func (p *Port) serve() {
	p.mu.Lock()
	p.collect()
	p.transmit()
	p.unlock()
}

// Read takes up to len(b) bytes that came from the host; eof says that nothing
// will come any more.
func (p *Port) Read(b []byte) (n int, eof bool) {
	p.mu.Lock()
	p.collect()
	for n < len(b) && p.nGot > 0 {
		r := &p.got[0]
		k := copy(b[n:], p.rxMem[r.buffer].Bytes()[r.off:r.off+r.n])
		n += k
		r.off += uint32(k)
		r.n -= uint32(k)
		if r.n == 0 {
			p.give(r.buffer)
			copy(p.got[:], p.got[1:p.nGot])
			p.nGot--
		}
	}
	if p.rx != nil {
		p.rx.Kick()
	}
	eof = n == 0 && p.nGot == 0 && p.gone()
	p.unlock()
	return n, eof
}

// Buffered returns how many bytes Read would find.
func (p *Port) Buffered() int {
	p.mu.Lock()
	defer p.unlock()
	p.collect()
	n := 0
	for _, r := range p.got[:p.nGot] {
		n += int(r.n)
	}
	return n
}

// collect takes what the device received. The first call gives it the buffers:
// a port that nobody reads has none.
func (p *Port) collect() {
	if !p.posted {
		p.posted = true
		p.post()
	}
	if p.rx == nil {
		return
	}
	for range 2 * rxBuffers {
		i, n, ok := p.rx.Next()
		if !ok {
			if p.rx.UnmaskInterrupts() {
				continue
			}
			break
		}
		if n == 0 {
			p.give(i)
			p.rx.Kick()
			continue
		}
		p.got[p.nGot] = received{buffer: i, n: n}
		p.nGot++
		p.events |= wait.Readable
	}
}

// post gives the device the receive buffers.
func (p *Port) post() {
	if p.rx == nil {
		return
	}
	for i := range uint32(rxBuffers) {
		if p.rxMem[i] == 0 {
			p.rxMem[i] = frame.Alloc()
		}
		if p.rxMem[i] != 0 {
			p.give(i)
		}
	}
	p.rx.Kick()
}

func (p *Port) give(i uint32) {
	p.rx.Add(i, nil, []virtio.Segment{{Addr: uint64(p.rxMem[i]), Len: frameSize}})
}

// Write hands bytes to the host and returns how many it took; fewer than
// len(b) when the buffer is full. Those for a host that is gone are dropped and
// count as taken.
func (p *Port) Write(b []byte) int {
	p.mu.Lock()
	defer p.unlock()
	n := 0
	for n < len(b) {
		if p.gone() {
			return len(b)
		}
		room := p.room()
		if len(room) == 0 {
			p.transmit()
			if room = p.room(); len(room) == 0 {
				p.want()
				if room = p.room(); len(room) == 0 {
					break
				}
			}
		}
		k := copy(room, b[n:])
		p.head += uint64(k)
		n += k
	}
	p.transmit()
	return n
}

// room is the piece of the transmit buffer that is written next, empty when
// there is none.
func (p *Port) room() []byte {
	if p.head-p.tail >= txSize {
		return nil
	}
	f := &p.txMem[p.head/frameSize%txFrames]
	if *f == 0 {
		if *f = frame.Alloc(); *f == 0 {
			return nil
		}
	}
	off := p.head % frameSize
	return f.Bytes()[off : off+min(frameSize-off, txSize-(p.head-p.tail))]
}

// transmit takes back what the device has sent, and gives it what waits, as one
// chain and with one notification.
func (p *Port) transmit() {
	if p.tx == nil {
		return
	}
	p.reap()
	if !p.open {
		return // QEMU would throw it away
	}
	for p.sent < p.head && p.nChains < txChains {
		s := p.segments[:0]
		at := p.sent
		for at < p.head && len(s) < max(1, p.tx.Size()/2) {
			off := at % frameSize
			n := min(frameSize-off, p.head-at)
			pa := uint64(p.txMem[at/frameSize%txFrames]) + off
			if k := len(s) - 1; k >= 0 && s[k].Addr+uint64(s[k].Len) == pa {
				s[k].Len += uint32(n)
			} else {
				s = append(s, virtio.Segment{Addr: pa, Len: uint32(n)})
			}
			at += n
		}
		p.segments = s
		i := (p.first + p.nChains) % txChains
		if !p.tx.Fits(len(s)) || !p.tx.Add(uint32(i), s, nil) {
			break
		}
		p.chains[i] = sentChain{end: at}
		p.nChains++
		p.sent = at
	}
	p.tx.Kick()
	p.reap() // many devices have done it by now
	if p.sent < p.head {
		p.unmask()
	}
}

// reap frees what the device has used. A device need not keep the order.
func (p *Port) reap() {
	for {
		i, _, ok := p.tx.Next()
		if !ok {
			break
		}
		p.chains[i].done = true
	}
	before := p.tail
	for p.nChains > 0 && p.chains[p.first].done {
		p.tail = p.chains[p.first].end
		p.first = (p.first + 1) % txChains
		p.nChains--
	}
	if p.nChains == 0 {
		p.tail = p.sent // further on when the host went away
	}
	if p.wanted && p.tail != before {
		p.wanted = false
		p.events |= wait.Writable
	}
	if p.sent == p.head && !p.wanted {
		p.tx.MaskInterrupts()
	}
}

// want asks for an interrupt when there is room.
func (p *Port) want() {
	p.wanted = true
	p.unmask()
}

func (p *Port) unmask() {
	if p.tx == nil {
		return
	}
	// The bound is for a device that uses without end.
	for n := 0; n < 2*txChains && p.tx.UnmaskInterrupts(); n++ {
		p.reap()
	}
}

// Readiness returns In when Read would return bytes or eof, Out when Write
// would take a byte, Hup when the host has closed the port.
func (p *Port) Readiness() wait.Events {
	p.mu.Lock()
	defer p.unlock()
	p.collect()
	var ev wait.Events
	if p.nGot > 0 || p.gone() {
		ev |= wait.Readable
	}
	if p.gone() {
		ev |= wait.Hup
	}
	if p.head-p.tail >= txSize {
		p.want()
	}
	if p.head-p.tail < txSize || p.gone() {
		ev |= wait.Writable
	}
	return ev
}

// Queue is told when Readiness changes.
func (p *Port) Queue() *wait.Queue { return &p.queue }

// Flush blocks until the host has everything that Write took. A host that has
// not opened the port gets a second to do it.
func (p *Port) Flush() {
	var s wait.Sleeper
	w := wait.Waiter{Notify: func(wait.Events) { s.Wake() }, Mask: wait.Writable}
	p.queue.Add(&w)
	defer p.queue.Remove(&w)
	patience := cpu.Nanotime() + unansweredPatience
	for {
		p.mu.Lock()
		p.transmit()
		p.want()
		done := p.tail == p.head || p.gone()
		deadline := patience
		if p.open {
			deadline = 0
		}
		p.unlock()
		if done || deadline != 0 && cpu.Nanotime() >= deadline {
			return
		}
		s.SleepUninterruptible(deadline)
	}
}
