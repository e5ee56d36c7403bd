package unix

import (
	"encoding/binary"
	"sync"

	"golang.org/x/sys/unix"

	"gosv/kernel/net/socket"
	"gosv/kernel/vfs"
)

// maxRights is SCM_MAX_FD.
const maxRights = 253

// inflight counts how often files are in messages that nobody has received.
var inflight struct {
	mu      sync.Mutex
	total   int
	sockets map[*vfs.File]int // AF_UNIX ones, which can be in a circle
}

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
	inflight.mu.Lock()
	defer inflight.mu.Unlock()
	if uint64(inflight.total) > c.Inflight && !c.Creds.Has(unix.CAP_SYS_RESOURCE) && !c.Creds.Has(unix.CAP_SYS_ADMIN) ||
		inflight.total+n > maxInflight {
		return fail(unix.ETOOMANYREFS)
	}
	if len(files) == 0 {
		return nil
	}
	m.Files = append(m.Files, files...)
	return nil
}

// launched notes that files are in a message now.
func launched(files []*vfs.File) {
	if len(files) == 0 {
		return
	}
	inflight.mu.Lock()
	count(files, 1)
	inflight.mu.Unlock()
}

// maxInflight bounds all files in messages, also those of the privileged.
const maxInflight = 1 << 14

// count changes the counts of files by d; mu is held.
func count(files []*vfs.File, d int) {
	inflight.total += d * len(files)
	for _, f := range files {
		if socketOf(f) == nil {
			continue
		}
		if inflight.sockets == nil {
			inflight.sockets = make(map[*vfs.File]int)
		}
		if inflight.sockets[f] += d; inflight.sockets[f] == 0 {
			delete(inflight.sockets, f)
		}
	}
}

// landed notes that files have left the messages.
func landed(files []*vfs.File) {
	if len(files) == 0 {
		return
	}
	inflight.mu.Lock()
	count(files, -1)
	inflight.mu.Unlock()
}

// dropFiles closes the files of a message that nobody will receive.
func dropFiles(files []*vfs.File) {
	landed(files)
	for _, f := range files {
		f.Release()
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

// collectMu lets one collection run at a time.
var collectMu sync.Mutex

// collect closes sockets that only messages in each other's queues refer to
// (net/unix/garbage.c). It runs when a socket is closed while others travel.
func collect() {
	inflight.mu.Lock()
	none := len(inflight.sockets) == 0
	inflight.mu.Unlock()
	if none || !collectMu.TryLock() {
		return
	}
	garbage := findGarbage()
	collectMu.Unlock()
	for _, s := range garbage {
		s.q.purge()
		s.mu.Lock()
		embryos := s.accept
		s.mu.Unlock()
		for _, e := range embryos {
			e.q.purge()
		}
	}
}

// findGarbage returns the sockets that cannot be reached: all references to their
// files come from messages in the queues of sockets that cannot be reached.
func findGarbage() []*Socket {
	inflight.mu.Lock()
	refs := make(map[*vfs.File]int, len(inflight.sockets))
	for f, n := range inflight.sockets {
		if f.Refs() == n {
			refs[f] = n
		}
	}
	inflight.mu.Unlock()
	if len(refs) == 0 {
		return nil
	}
	for f := range refs {
		eachQueued(socketOf(f), func(g *vfs.File) {
			if _, ok := refs[g]; ok {
				refs[g]--
			}
		})
	}
	// Those with a reference from outside keep what they hold.
	var live []*vfs.File
	for f, n := range refs {
		if n > 0 {
			live = append(live, f)
		}
	}
	for len(live) > 0 {
		f := live[len(live)-1]
		live = live[:len(live)-1]
		if _, ok := refs[f]; !ok {
			continue
		}
		delete(refs, f)
		eachQueued(socketOf(f), func(g *vfs.File) {
			if _, ok := refs[g]; ok {
				live = append(live, g)
			}
		})
	}
	var garbage []*Socket
	for f := range refs {
		garbage = append(garbage, socketOf(f))
	}
	return garbage
}

// eachQueued calls f for the files in the messages that a socket, or a
// connection that it has not yet accepted, can receive.
func eachQueued(s *Socket, f func(*vfs.File)) {
	queued := func(s *Socket) {
		s.q.mu.Lock()
		for _, p := range s.q.list[s.q.head:] {
			for _, g := range p.files {
				f(g)
			}
		}
		s.q.mu.Unlock()
	}
	queued(s)
	s.mu.Lock()
	embryos := append([]*Socket(nil), s.accept...)
	s.mu.Unlock()
	for _, e := range embryos {
		queued(e)
	}
}
