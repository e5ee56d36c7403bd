package unix

import (
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"gosv/kernel/vfs"
)

// An address is what a socket is bound to. name is sun_path: a path with its
// zero byte, or an abstract name, which begins with one.
type address struct {
	name      string
	at        vfs.Path // of a path, pinned; zero for accepted sockets
	inherited bool
}

func (a *address) path() bool { return a.name[0] != 0 }

// withoutPath is the address as an accepted socket has it.
func (a *address) withoutPath() *address {
	if a == nil {
		return nil
	}
	return &address{name: a.name, inherited: true}
}

// append writes a struct sockaddr_un; of an unbound socket only the family.
func (a *address) append(b []byte) []byte {
	b = append(b, unix.AF_UNIX, 0)
	if a != nil {
		b = append(b, a.name...)
	}
	return b
}

// maxName is the size of sun_path.
const maxName = 108

// parseAddress reads a struct sockaddr_un; auto says that there is only a family.
func parseAddress(b []byte, bind bool) (a *address, auto bool, err error) {
	if len(b) < 2 || len(b) > 2+maxName || b[0] != unix.AF_UNIX || b[1] != 0 {
		return nil, false, unix.EINVAL
	}
	name := b[2:]
	if len(name) == 0 {
		return nil, true, nil
	}
	if name[0] == 0 {
		return &address{name: string(name)}, false, nil
	}
	s := string(name)
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	return &address{name: s + "\x00"}, false, nil
}

// names are the abstract names; each type of socket has its own.
var names = nameTable{m: make(map[nameKey]*Socket)}

type nameKey struct {
	name string
	typ  int
}

type nameTable struct {
	mu   sync.Mutex
	m    map[nameKey]*Socket
	next uint32
}

func (t *nameTable) add(name string, s *Socket) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m[nameKey{name, s.Type}] != nil {
		return false
	}
	t.m[nameKey{name, s.Type}] = s
	return true
}

func (t *nameTable) find(name string, typ int) *Socket {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.m[nameKey{name, typ}]
}

func (t *nameTable) remove(name string, s *Socket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k := (nameKey{name, s.Type}); t.m[k] == s {
		delete(t.m, k)
	}
}

// auto finds a free name of five hexadecimal digits.
func (t *nameTable) auto(s *Socket) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for range 1 << 20 {
		t.next = (t.next + 1) & 0xfffff
		d := strconv.FormatUint(uint64(t.next), 16)
		name := "\x00" + strings.Repeat("0", 5-len(d)) + d
		if t.m[nameKey{name, s.Type}] == nil {
			t.m[nameKey{name, s.Type}] = s
			return name, true
		}
	}
	return "", false
}
