// Package pipe is pipes and FIFOs (pipe(7), fifo(7)): a queue of pages, which splice(2) and tee(2) move and share
// without copying.
//
// Lock order: two pipes of a splice by address of Pipe.mu; under it only mm's locks and, after it, wait.Queue.
package pipe

import (
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/kernel/frame"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

const (
	pageSize     = 4096
	defaultPages = 16
	// leastPages is what a pipe gets when its user has many (PIPE_MIN_DEF_BUFFERS).
	leastPages = 2
	// mostPages bounds what anybody may ask for.
	mostPages = 1 << 19
)

// A Pipe is the queue between its ends.
type Pipe struct {
	queue wait.Queue
	// anonymous pipes have no name: opening an end again, through /proc/self/fd,
	// waits for nobody.
	anonymous bool

	// mu guards what follows.
	mu      sync.Mutex
	slots   []slot // ring
	head    int    // first slot in use
	count   int    // slots in use
	bytes   int
	spare   frame.Frame // kept between writes
	readers int
	writers int
	user    *vfs.User // who made an anonymous pipe: its pages count there
	// How often an end was opened: an open waits for the other to move.
	readerOpens, writerOpens uint32
}

// A slot is a piece of a page.
type slot struct {
	f      frame.Frame
	off    int
	n      int
	shared bool // nobody appends
	packet bool // O_DIRECT: a read takes it alone and wholly
}

// slotCost is the size of a slot.
const slotCost = 32

// NewPipe returns a pipe without ends, of the usual capacity.
func NewPipe() *Pipe { return &Pipe{slots: make([]slot, defaultPages)} }

func init() { vfs.NewFIFO = func() vfs.FIFO { return NewPipe() } }

// The ends that an open file can be.
const (
	reads = 1 << iota
	writes
)

// An end is an open end of a pipe.
type end struct {
	vfs.FileDefaults
	p    *Pipe
	kind int
	// peerOpens is what the other end's open count was when this one opened.
	peerOpens uint32
}

// open adds an end.
func (p *Pipe) open(kind int) *end {
	e := &end{p: p, kind: kind}
	p.mu.Lock()
	if kind&reads != 0 {
		p.readers++
		p.readerOpens++
	}
	if kind&writes != 0 {
		p.writers++
		p.writerOpens++
	}
	there := p.anonymous
	if kind == reads {
		e.peerOpens = p.writerOpens
		there = there || p.writers > 0
	} else {
		e.peerOpens = p.readerOpens
		there = there || p.readers > 0
	}
	if there {
		e.peerOpens = peerThere
	}
	p.mu.Unlock()
	p.queue.Notify(wait.Readable | wait.Writable)
	return e
}

// OpenEnd implements vfs.FIFO.
func (p *Pipe) OpenEnd(flags uint32) (vfs.FileImpl, error) {
	switch flags & unix.O_ACCMODE {
	case unix.O_RDONLY:
		return p.open(reads), nil
	case unix.O_WRONLY:
		if flags&unix.O_NONBLOCK != 0 && !p.anonymous {
			p.mu.Lock()
			none := p.readers == 0
			p.mu.Unlock()
			if none {
				return nil, unix.ENXIO
			}
		}
		return p.open(writes), nil
	case unix.O_RDWR:
		return p.open(reads | writes), nil
	}
	return nil, unix.EINVAL
}

// WaitPeer implements vfs.FIFO.
func (p *Pipe) WaitPeer(s *wait.Sleeper, impl vfs.FileImpl, flags uint32) error {
	e, ok := impl.(*end)
	if !ok || p.anonymous || flags&unix.O_NONBLOCK != 0 || e.kind == reads|writes || s == nil {
		return nil
	}
	return vfs.WaitUntil(s, &p.queue, wait.Readable|wait.Writable, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		if e.kind == reads {
			return p.writers > 0 || p.writerOpens != e.peerOpens
		}
		return p.readers > 0 || p.readerOpens != e.peerOpens
	})
}

// Release closes the end; the last one frees the pages.
func (e *end) Release() {
	p := e.p
	p.mu.Lock()
	if e.kind&reads != 0 {
		p.readers--
	}
	if e.kind&writes != 0 {
		p.writers--
	}
	if p.readers == 0 && p.writers == 0 {
		for p.count > 0 {
			p.drop()
		}
		if p.spare != 0 {
			p.spare.Unref()
			p.spare = 0
		}
		if u := p.user; u != nil {
			p.user = nil
			u.PipePages.Add(-int64(len(p.slots)))
			u.Release()
		}
	}
	p.mu.Unlock()
	p.queue.Notify(wait.Readable | wait.Writable | wait.Hup | wait.Err)
}

// drop frees the first slot; mu is held.
func (p *Pipe) drop() {
	s := &p.slots[p.head]
	p.bytes -= s.n
	if p.spare == 0 && !s.shared && s.f.Refs() == 1 {
		p.spare = s.f
	} else {
		s.f.Unref()
	}
	*s = slot{}
	p.head = (p.head + 1) % len(p.slots)
	p.count--
}

// last returns the slot that was filled last; mu is held, and there is one.
func (p *Pipe) last() *slot { return &p.slots[(p.head+p.count-1)%len(p.slots)] }

// push adds a slot; mu is held, and there is room.
func (p *Pipe) push(s slot) {
	p.slots[(p.head+p.count)%len(p.slots)] = s
	p.count++
	p.bytes += s.n
}

func (p *Pipe) full() bool { return p.count >= len(p.slots) }

// Held implements vfs.Holder: half of the pages, where there is another end for the other half.
func (e *end) Held() int64 {
	p := e.p
	if !p.mu.TryLock() {
		return 0
	}
	defer p.mu.Unlock()
	n := int64(p.count*pageSize + len(p.slots)*slotCost)
	if p.readers > 0 && p.writers > 0 && e.kind != reads|writes {
		n /= 2
	}
	return n
}

func (e *end) Queue() *wait.Queue { return &e.p.queue }

// Async implements vfs.Asyncer.
func (e *end) Async() {}

func (e *end) Readiness() wait.Events {
	p := e.p
	p.mu.Lock()
	defer p.mu.Unlock()
	var ev wait.Events
	if e.kind&reads != 0 {
		if p.count > 0 {
			ev |= wait.Readable
		}
		// A FIFO that never had a writer is not hung up (poll(2)).
		if p.writers == 0 && (e.kind != reads || p.writerOpens != e.peerOpens || e.peerOpens == peerThere) {
			ev |= wait.Hup
		}
	}
	if e.kind&writes != 0 {
		if !p.full() {
			ev |= wait.Writable
		}
		if p.readers == 0 {
			ev |= wait.Err
		}
	}
	return ev
}

// peerThere as peerOpens says that the other end was there from the start.
const peerThere = ^uint32(0)

func (e *end) Read(f *vfs.File, dst *mm.Buf, _ int64) (int64, error) {
	if dst.Len() == 0 {
		return 0, nil
	}
	return e.p.read(dst)
}

// read gives what there is; EAGAIN if that is nothing and there are writers.
func (p *Pipe) read(dst *mm.Buf) (int64, error) {
	p.mu.Lock()
	var done int64
	var err error
	wasFull := p.full()
	for p.count > 0 && dst.Len() > 0 {
		s := &p.slots[p.head]
		b := s.f.Bytes()[s.off : s.off+s.n]
		var n int
		n, err = dst.CopyTo(b[:min(len(b), dst.Len())])
		done += int64(n)
		s.off += n
		s.n -= n
		p.bytes -= n
		if err != nil {
			break
		}
		packet := s.packet
		if s.n == 0 || packet {
			p.drop()
		}
		if packet {
			break
		}
	}
	if done == 0 && err == nil && p.writers > 0 {
		err = unix.EAGAIN
	}
	freed := wasFull && !p.full()
	p.mu.Unlock()
	if freed {
		p.queue.Notify(wait.Writable)
	}
	return done, partial(done, err)
}

func partial(n int64, err error) error {
	if n > 0 {
		return nil
	}
	return err
}

func (e *end) Write(f *vfs.File, src *mm.Buf, _ int64) (int64, error) {
	p := e.p
	p.mu.Lock()
	done, err := p.write(src, f.Flags()&unix.O_DIRECT != 0)
	p.mu.Unlock()
	if done > 0 {
		p.queue.Notify(wait.Readable)
	}
	return done, err
}

// write appends what fits, and at most a page wholly or not; mu is held. EAGAIN
// says that something is left.
func (p *Pipe) write(src *mm.Buf, packet bool) (int64, error) {
	if p.readers == 0 {
		return 0, unix.EPIPE
	}
	var done int64
	if n := src.Len(); p.count > 0 && !packet && n > 0 {
		// A short rest joins the page that was written last.
		s := p.last()
		chars := n & (pageSize - 1)
		if end := s.off + s.n; chars != 0 && !s.shared && !s.packet && end+chars <= pageSize {
			k, err := src.CopyFrom(s.f.Bytes()[end : end+chars])
			s.n += k
			p.bytes += k
			done += int64(k)
			if err != nil {
				return done, partial(done, err)
			}
		}
	}
	for src.Len() > 0 {
		if p.full() {
			return done, unix.EAGAIN
		}
		f := p.spare
		if p.spare = 0; f == 0 {
			if f = frame.AllocRaw(); f == 0 {
				return done, partial(done, unix.ENOMEM)
			}
		}
		n := min(src.Len(), pageSize)
		k, err := src.CopyFrom(f.Bytes()[:n])
		if k == 0 {
			p.spare = f
			return done, partial(done, err)
		}
		p.push(slot{f: f, n: k, packet: packet})
		done += int64(k)
		if err != nil {
			return done, nil
		}
	}
	return done, nil
}

func (e *end) Ioctl(as *mm.AddressSpace, cmd uint32, arg uint64) (uint64, error) {
	if cmd != unix.TIOCINQ {
		return 0, unix.ENOTTY
	}
	e.p.mu.Lock()
	n := e.p.bytes
	e.p.mu.Unlock()
	return 0, as.Store32(arg, uint32(n))
}

// Capacity is F_GETPIPE_SZ.
func (p *Pipe) Capacity() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.slots) * pageSize
}

// SetCapacity is F_SETPIPE_SZ: rounded up to a power of two of pages; EBUSY if what
// is in the pipe does not fit, EPERM beyond fs.pipe-max-size or the pages of a user without privilege.
func (p *Pipe) SetCapacity(c *vfs.Creds, n uint64) (int, error) {
	if n > mostPages*pageSize {
		return 0, unix.EINVAL
	}
	pages := 1
	for uint64(pages)*pageSize < n {
		pages *= 2
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	more := int64(pages - len(p.slots))
	if more > 0 && pages*pageSize > int(maxSize.Load()) && !c.Has(unix.CAP_SYS_RESOURCE) {
		return 0, unix.EPERM
	}
	if p.user != nil {
		if total := p.user.PipePages.Add(more); more > 0 && (above(total, &userSoft) || above(total, &userHard)) && !exempt(c) {
			p.user.PipePages.Add(-more)
			return 0, unix.EPERM
		}
	}
	if pages < p.count {
		if p.user != nil {
			p.user.PipePages.Add(-more)
		}
		return 0, unix.EBUSY
	}
	if err := mm.TryAdmit(uint64(pages) * slotCost); err != nil {
		if p.user != nil {
			p.user.PipePages.Add(-more)
		}
		return 0, err
	}
	slots := make([]slot, pages)
	for i := range p.count {
		slots[i] = p.slots[(p.head+i)%len(p.slots)]
	}
	p.slots, p.head = slots, 0
	p.queue.Notify(wait.Writable)
	return pages * pageSize, nil
}

// inode is that of an anonymous pipe.
type inode struct {
	vfs.InodeDefaults
	ino  uint64
	uid  uint32
	gid  uint32
	mode atomic.Uint32
	made vfs.Time
}

var lastIno atomic.Uint64

func (n *inode) Mode() uint32            { return unix.S_IFIFO | n.mode.Load() }
func (n *inode) Owner() (uint32, uint32) { return n.uid, n.gid }

func (n *inode) Stat(st *vfs.Stat) error {
	st.Ino, st.Mode, st.UID, st.GID = n.ino, n.Mode(), n.uid, n.gid
	st.Atime, st.Mtime, st.Ctime = n.made, n.made, n.made
	return nil
}

func (n *inode) SetAttr(a *vfs.SetAttr) error {
	if a.Mask&vfs.SetMode != 0 {
		n.mode.Store(a.Mode & 0o7777)
	}
	return nil
}

// New makes an anonymous pipe: pipe2(2) with O_NONBLOCK and O_DIRECT. ENFILE.
func New(c *vfs.Creds, flags uint32) (r, w *vfs.File, err error) {
	p, err := newAccounted(c)
	if err != nil {
		return nil, nil, err
	}
	p.anonymous = true
	n := &inode{ino: 1 + lastIno.Add(1), uid: c.FSUID, gid: c.FSGID, made: vfs.Now()}
	n.mode.Store(0o600)
	n.Extra().SetFIFO(p)
	name := "pipe:[" + strconv.FormatUint(n.ino, 10) + "]"
	flags &= unix.O_NONBLOCK | unix.O_DIRECT
	r = vfs.NewInodeFile(p.open(reads), n, name, unix.O_RDONLY|flags)
	w = vfs.NewInodeFile(p.open(writes), n, name, unix.O_WRONLY|flags)
	return r, w, nil
}

// Of returns the pipe behind a file, nil if it is none, and whether the file is
// open for reading and writing it.
func Of(f *vfs.File) (p *Pipe, readable, writable bool) {
	e, ok := f.Impl().(*end)
	if !ok {
		return nil, false, false
	}
	return e.p, e.kind&reads != 0, e.kind&writes != 0
}
