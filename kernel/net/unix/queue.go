package unix

import (
	"sync"

	"golang.org/x/sys/unix"

	"gosv/kernel/frame"
	"gosv/kernel/mm"
	"gosv/kernel/net/socket"
	"gosv/kernel/vfs"
)

const pageSize = 4096

// overhead is what a message counts beyond its data.
const overhead = 256

// A packet is a message in a queue, or a piece of a stream.
type packet struct {
	pages   []frame.Frame
	one     [1]frame.Frame // room for the usual case
	off, n  int            // data not yet read: from off in pages on
	charge  int            // what the sender's buffer was charged
	from    *Socket
	addr    *address // of the sender when it sent
	rights  *rights  // the files; nil if there are none
	cred    socket.Cred
	hasCred bool
}

var packets = sync.Pool{New: func() any { return new(packet) }}

// newPacket copies n bytes of src into pages; EFAULT wins over a part.
func newPacket(src *mm.Buf, n int) (*packet, error) {
	p := packets.Get().(*packet)
	*p = packet{}
	p.pages = p.one[:0]
	for left := n; left > 0; {
		f := frame.AllocRaw()
		if f == 0 {
			p.free()
			return nil, unix.ENOBUFS
		}
		p.pages = append(p.pages, f)
		k := min(left, pageSize)
		if _, err := src.CopyFrom(f.Bytes()[:k]); err != nil {
			p.free()
			return nil, err
		}
		left -= k
	}
	p.n = n
	return p, nil
}

// free drops the pages; the files must have landed.
func (p *packet) free() {
	for _, f := range p.pages {
		f.Unref()
	}
	*p = packet{}
	packets.Put(p)
}

// copyTo copies up to n bytes from at bytes after the start of the unread data.
func (p *packet) copyTo(dst *mm.Buf, at, n int) (int, error) {
	done := 0
	for done < n {
		o := p.off + at + done
		b := p.pages[o/pageSize].Bytes()[o%pageSize:]
		k, err := dst.CopyTo(b[:min(len(b), n-done)])
		done += k
		if err != nil {
			return done, err
		}
		if k == 0 {
			break
		}
	}
	return done, nil
}

// A queue is what was sent to a socket and not yet read.
type queue struct {
	// mu guards the list.
	mu   sync.Mutex
	list []*packet // from head on
	head int
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.list) - q.head
}

// front returns the first packet, nil if there is none; mu is held.
func (q *queue) front() *packet {
	if q.head == len(q.list) {
		return nil
	}
	return q.list[q.head]
}

// push adds a packet; mu is held.
func (q *queue) push(p *packet) {
	if q.head > 0 && len(q.list) == cap(q.list) {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, p)
}

// pop takes the first packet off; mu is held.
func (q *queue) pop() {
	q.list[q.head] = nil
	q.head++
	if q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
		if cap(q.list) > 256 {
			q.list = nil
		}
	}
}

// tail returns the page of the last packet where n more bytes of a stream from
// the same sender fit, and nil if they do not; mu is held.
func (q *queue) tail(p *packet) *packet {
	if q.head == len(q.list) || p.rights != nil {
		return nil
	}
	t := q.list[len(q.list)-1]
	end := t.off + t.n
	if t.from != p.from || t.hasCred != p.hasCred || t.cred != p.cred || t.rights != nil ||
		len(t.pages) == 0 || end+p.n > len(t.pages)*pageSize {
		return nil
	}
	return t
}

// available is SIOCINQ: the bytes of the first datagram, or of all of a stream.
func (q *queue) available(all bool) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, p := range q.list[q.head:] {
		n += p.n
		if !all {
			break
		}
	}
	return n
}

// held is the memory of what is queued, 0 while others work on it.
func (q *queue) held() (n int64) {
	if !q.mu.TryLock() {
		return 0
	}
	defer q.mu.Unlock()
	for _, p := range q.list[q.head:] {
		n += overhead + int64(len(p.pages))*pageSize
		if p.rights != nil {
			n += int64(len(p.rights.files)) * fileInFlight
		}
	}
	return n
}

// fileInFlight is about what a file in a message takes that is open nowhere else.
const fileInFlight = 1024

// purge drops the data, and appends to files those that are to be dropped, too.
func (q *queue) purge(files []*vfs.File) []*vfs.File {
	q.mu.Lock()
	list := q.list[q.head:]
	q.list, q.head = nil, 0
	q.mu.Unlock()
	for _, p := range list {
		p.from.uncharge(p.charge)
		if p.rights != nil {
			files = append(files, land(p)...)
		}
		p.free()
	}
	return files
}
