package unix

import (
	"sort"
	"strconv"
	"strings"
	"sync"
)

// all are the sockets that exist.
var all socketSet

type socketSet struct {
	mu sync.Mutex
	m  map[*Socket]struct{}
}

func (t *socketSet) add(s *Socket) {
	t.mu.Lock()
	if t.m == nil {
		t.m = make(map[*Socket]struct{})
	}
	t.m[s] = struct{}{}
	t.mu.Unlock()
}

func (t *socketSet) remove(s *Socket) {
	t.mu.Lock()
	delete(t.m, s)
	t.mu.Unlock()
}

// Count is how many sockets exist.
func Count() int {
	all.mu.Lock()
	defer all.mu.Unlock()
	return len(all.m)
}

// sockets lists all, the oldest first.
func sockets() []*Socket {
	all.mu.Lock()
	list := make([]*Socket, 0, len(all.m))
	for s := range all.m {
		list = append(list, s)
	}
	all.mu.Unlock()
	sort.Slice(list, func(i, j int) bool { return list[i].Ino() < list[j].Ino() })
	return list
}

// AppendList writes /proc/net/unix (proc_pid_net(5)).
func AppendList(b []byte) []byte {
	b = append(b, "Num       RefCount Protocol Flags    Type St Inode Path\n"...)
	for _, s := range sockets() {
		s.mu.Lock()
		st, peer := s.state, s.peer
		s.mu.Unlock()
		flags, shown := 0, 1 // SS_UNCONNECTED
		switch {
		case st == listening:
			flags = 0x10000 // __SO_ACCEPTCON
		case st == connected || peer != nil:
			shown = 3
		}
		b = append(b, "0000000000000000: 00000002 00000000 "...)
		b = hex(b, flags, 8)
		b = hex(append(b, ' '), s.Type, 4)
		b = hex(append(b, ' '), shown, 2)
		b = append(b, ' ')
		ino := strconv.FormatUint(s.Ino(), 10)
		for n := len(ino); n < 5; n++ {
			b = append(b, ' ')
		}
		b = append(b, ino...)
		if a := s.addr.Load(); a != nil {
			b = append(b, ' ')
			if a.path() {
				b = append(b, a.name[:len(a.name)-1]...)
			} else {
				b = append(b, strings.ReplaceAll(a.name, "\x00", "@")...)
			}
		}
		b = append(b, '\n')
	}
	return b
}

func hex(b []byte, v, digits int) []byte {
	s := strings.ToUpper(strconv.FormatUint(uint64(v), 16))
	for n := len(s); n < digits; n++ {
		b = append(b, '0')
	}
	return append(b, s...)
}
