package pipe

import (
	"unsafe"

	"golang.org/x/sys/unix"
	"gosv/kernel/frame"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// waitData blocks until the pipe has data; 0 data with a nil error is its end.
func (p *Pipe) waitData(s *wait.Sleeper, block bool) error {
	return p.waitState(s, wait.Readable, block, func() bool { return p.count > 0 || p.writers == 0 })
}

// WaitRoom blocks until the pipe has a free slot; EPIPE without readers.
func (p *Pipe) WaitRoom(s *wait.Sleeper, block bool) error {
	err := p.waitState(s, wait.Writable, block, func() bool { return !p.full() || p.readers == 0 })
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readers == 0 {
		return unix.EPIPE
	}
	return nil
}

func (p *Pipe) waitState(s *wait.Sleeper, ev wait.Events, block bool, state func() bool) error {
	locked := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return state()
	}
	if locked() {
		return nil
	}
	if !block {
		return unix.EAGAIN
	}
	return vfs.WaitUntil(s, &p.queue, ev, locked)
}

// SpliceFrom moves up to n bytes of a file into the pipe: splice(2). off -1 is
// the current position of the file.
func (p *Pipe) SpliceFrom(s *wait.Sleeper, in *vfs.File, off int64, n int, block bool) (int64, error) {
	var done int64
	for n > 0 {
		if err := p.WaitRoom(s, block && done == 0); err != nil {
			return done, partial(done, err)
		}
		f := frame.AllocRaw()
		if f == 0 {
			return done, partial(done, unix.ENOMEM)
		}
		buf := mm.KernelBuf(f.Bytes()[:min(n, pageSize)])
		k, err := in.ReadOpts(s, &buf, off, vfs.IO{NoWait: done > 0 || !block})
		if k <= 0 {
			f.Unref()
			return done, partial(done, err)
		}
		p.mu.Lock()
		for p.full() && p.readers > 0 { // somebody else filled it: what was read may not be lost
			p.mu.Unlock()
			if err := p.waitState(s, wait.Writable, true, func() bool { return !p.full() || p.readers == 0 }); err != nil {
				f.Unref()
				return done, partial(done, err)
			}
			p.mu.Lock()
		}
		if p.readers == 0 {
			p.mu.Unlock()
			f.Unref()
			return done, partial(done, unix.EPIPE)
		}
		p.push(slot{f: f, n: int(k)})
		p.mu.Unlock()
		p.queue.Notify(wait.Readable)
		done += k
		n -= int(k)
		if off >= 0 {
			off += k
		}
		if !in.Seekable() && k < pageSize {
			break // what a stream had
		}
	}
	return done, nil
}

// SpliceTo moves up to n bytes from the pipe into a file.
func (p *Pipe) SpliceTo(s *wait.Sleeper, out *vfs.File, off int64, n int, block bool) (int64, error) {
	var done int64
	for n > 0 {
		if err := p.waitData(s, block && done == 0); err != nil {
			return done, partial(done, err)
		}
		p.mu.Lock()
		if p.count == 0 {
			p.mu.Unlock()
			break
		}
		head := &p.slots[p.head]
		piece := *head
		piece.n = min(piece.n, n)
		head.shared = true // it stays in the pipe while it is written, and may not grow
		piece.f.Ref()
		p.mu.Unlock()
		buf := mm.KernelBuf(piece.f.Bytes()[piece.off : piece.off+piece.n])
		k, err := out.WriteOpts(s, &buf, off, vfs.IO{NoWait: !block})
		piece.f.Unref()
		if k > 0 {
			p.consume(int(k))
			done += k
			n -= int(k)
			if off >= 0 {
				off += k
			}
		}
		if err != nil || int(k) < piece.n {
			return done, partial(done, err)
		}
	}
	return done, nil
}

// Vmsplice puts user memory into the pipe, each piece of a page into a slot of
// its own (a copy of it), until the pipe is full: vmsplice(2). With block it waits
// for the first free slot only.
func (p *Pipe) Vmsplice(s *wait.Sleeper, src *mm.Buf, block bool) (int64, error) {
	var done int64
	var err error
	for done == 0 && err == nil {
		if err = p.WaitRoom(s, block); err != nil {
			return 0, err
		}
		p.mu.Lock()
		for src.Len() > 0 && !p.full() && p.readers > 0 && err == nil {
			f := frame.AllocRaw()
			if f == 0 {
				err = unix.ENOMEM
				break
			}
			var k int
			if k, err = src.CopyFrom(f.Bytes()[:src.PageRest()]); k == 0 {
				f.Unref()
				break
			}
			p.push(slot{f: f, n: k, shared: true})
			done += int64(k)
		}
		p.mu.Unlock()
	}
	if done > 0 {
		p.queue.Notify(wait.Readable)
	}
	return done, partial(done, err)
}

// ReadTo moves data from the pipe to user memory: vmsplice(2) of the end for
// reading.
func (p *Pipe) ReadTo(s *wait.Sleeper, dst *mm.Buf, block bool) (int64, error) {
	for {
		if err := p.waitData(s, block); err != nil {
			return 0, err
		}
		if n, err := p.read(dst); err != unix.EAGAIN {
			return n, err
		}
	}
}

// consume takes k bytes off the front.
func (p *Pipe) consume(k int) {
	p.mu.Lock()
	for k > 0 && p.count > 0 {
		s := &p.slots[p.head]
		n := min(k, s.n)
		s.off += n
		s.n -= n
		p.bytes -= n
		k -= n
		if s.n == 0 {
			p.drop()
		}
	}
	p.mu.Unlock()
	p.queue.Notify(wait.Writable)
}

// Transfer moves up to n bytes to another pipe, or with tee shares them: splice(2)
// between pipes, tee(2).
func (p *Pipe) Transfer(s *wait.Sleeper, to *Pipe, n int, tee, block bool) (int64, error) {
	if p == to {
		return 0, unix.EINVAL
	}
	for {
		if err := p.waitData(s, block); err != nil {
			return 0, err
		}
		if err := to.WaitRoom(s, block); err != nil {
			return 0, err
		}
		a, b := p, to
		if uintptr(unsafe.Pointer(b)) < uintptr(unsafe.Pointer(a)) {
			a, b = b, a
		}
		a.mu.Lock()
		b.mu.Lock()
		done := p.share(to, n, tee)
		ended := p.count == 0 && p.writers == 0
		b.mu.Unlock()
		a.mu.Unlock()
		if done > 0 {
			to.queue.Notify(wait.Readable)
			if !tee {
				p.queue.Notify(wait.Writable)
			}
		}
		if done > 0 || ended || n == 0 {
			return int64(done), nil
		}
	}
}

// share puts pieces of p into to; both are locked.
func (p *Pipe) share(to *Pipe, n int, tee bool) int {
	done := 0
	for i := 0; i < p.count && n > 0 && !to.full(); {
		s := &p.slots[(p.head+i)%len(p.slots)]
		k := min(s.n, n)
		piece := slot{f: s.f, off: s.off, n: k, shared: true, packet: s.packet}
		s.f.Ref()
		s.shared = true
		to.push(piece)
		done += k
		n -= k
		switch {
		case tee:
			i++
		case k == s.n:
			p.drop()
		default:
			s.off += k
			s.n -= k
			p.bytes -= k
		}
	}
	return done
}
