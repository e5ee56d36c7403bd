package inet

import (
	"sort"
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

// list returns the sockets of a kind, the oldest first.
func (t *socketSet) list(want func(*Socket) bool) []*Socket {
	t.mu.Lock()
	var list []*Socket
	for s := range t.m {
		if want(s) {
			list = append(list, s)
		}
	}
	t.mu.Unlock()
	sort.Slice(list, func(i, j int) bool { return list[i].Ino() < list[j].Ino() })
	return list
}
