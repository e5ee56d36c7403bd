package unix

import (
	"encoding/binary"
	"sync"

	"golang.org/x/sys/unix"

	"gosv/kernel/frame"
	"gosv/kernel/net/socket"
	"gosv/kernel/vfs"
)

// maxRights is SCM_MAX_FD.
const maxRights = 253

// takeRights puts the files of SCM_RIGHTS into m.
func takeRights(c *socket.Caller, m *socket.Message, data []byte) error {
	n := len(data) / 4
	if n > maxRights || len(m.Files)+n > maxRights {
		return unix.EINVAL
	}
	if c.Files == nil {
		return unix.EBADF
	}
	files := make([]*vfs.File, 0, n)
	fail := func(err error) error {
		for _, f := range files {
			f.Release()
		}
		return err
	}
	for i := range n {
		f, err := c.Files.Get(int(int32(binary.LittleEndian.Uint32(data[4*i:]))))
		if err != nil {
			return fail(err)
		}
		files = append(files, f)
		if _, no := f.Impl().(interface{ NotPassable() }); no {
			return fail(unix.EINVAL)
		}
	}
	if n > 0 {
		m.Files = append(m.Files, files...)
	}
	return nil
}

// rights are the files of a packet.
type rights struct {
	files []*vfs.File
	edges []edge // one for each file that is an AF_UNIX socket
	uid   uint32 // of the sender
}

// tooMany reports whether a sender has too many files in flight to send more
// (too_many_unix_fds in net/unix/af_unix.c). Linux has no bound for the
// privileged; here the memory of the machine is one.
func tooMany(c *socket.Caller, n int) bool {
	inflight.mu.Lock()
	defer inflight.mu.Unlock()
	if uint64(inflight.users[c.Creds.UID]) > c.Inflight && !c.Creds.Has(unix.CAP_SYS_RESOURCE) && !c.Creds.Has(unix.CAP_SYS_ADMIN) {
		return true
	}
	total, _, _, _ := frame.Stats()
	limit := maxInflight(total)
	if inflight.total >= limit/2 {
		collect() // a circle that nobody reaches may be what is in flight
	}
	return inflight.total+n > limit
}

// maxInflight is how many files may be in flight in a machine with so many page
// frames: what one needs, about 128 bytes, from a 32nd of the memory.
func maxInflight(frames uint64) int { return max(int(frames), 1<<15) }

// launch notes that the files of p are in flight to the socket to. The queue of
// to is locked.
func launch(c *socket.Caller, p *packet, files []*vfs.File, to *Socket) {
	if len(files) == 0 {
		return
	}
	p.rights = &rights{files: files, uid: c.Creds.UID}
	inflight.mu.Lock()
	defer inflight.mu.Unlock()
	inflight.total += len(files)
	if inflight.users == nil {
		inflight.users = make(map[uint32]int)
	}
	inflight.users[c.Creds.UID] += len(files)
	link(p.rights, to)
}

// land takes the files out of p, which has left the queue.
func land(p *packet) []*vfs.File {
	inflight.mu.Lock()
	defer inflight.mu.Unlock()
	return landLocked(p)
}

func landLocked(p *packet) []*vfs.File {
	r := p.rights
	p.rights = nil
	inflight.total -= len(r.files)
	if inflight.users[r.uid] -= len(r.files); inflight.users[r.uid] == 0 {
		delete(inflight.users, r.uid)
	}
	unlink(r)
	return r.files
}

// peekFiles are the files of a packet with one more reference each. The lock
// lets a collection see either all of the new references or none.
func peekFiles(p *packet) []*vfs.File {
	inflight.mu.Lock()
	defer inflight.mu.Unlock()
	for _, f := range p.rights.files {
		f.Retain()
	}
	return append([]*vfs.File(nil), p.rights.files...)
}

// A reaper closes files that were in messages. The last reference to a socket
// may be in the queue of a socket that is closed, and so on: a loop closes them,
// because the length of such a chain is the program's choice.
type reaper struct {
	mu    sync.Mutex
	files []*vfs.File
	done  bool
}

// adopt leaves files to the reaper's loop; false when it has ended.
func (r *reaper) adopt(files []*vfs.File) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done {
		return false
	}
	r.files = append(r.files, files...)
	return true
}

func (r *reaper) next() *vfs.File {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.files)
	if n == 0 {
		r.done = true
		return nil
	}
	f := r.files[n-1]
	r.files[n-1] = nil
	r.files = r.files[:n-1]
	return f
}

// dropFiles closes files that were in messages which nobody will receive.
func dropFiles(files []*vfs.File) {
	if len(files) == 0 {
		return
	}
	r := &reaper{files: files}
	for f := r.next(); f != nil; f = r.next() {
		s := socketOf(f)
		if s != nil {
			s.reaper.Store(r)
		}
		f.Release()
		if s != nil {
			s.reaper.CompareAndSwap(r, nil)
		}
	}
}

func socketOf(f *vfs.File) *Socket {
	x, err := socket.Of(f)
	if err != nil {
		return nil
	}
	s, _ := x.(*Socket)
	return s
}
