package unix

import (
	"sync"
	"sync/atomic"
	"time"

	"gosv/kernel/cpu"
	"gosv/kernel/vfs"
)

// inflight is what is in messages that nobody has received, and the graph of the
// sockets among it: an edge goes from each socket in a message to the socket
// that can receive the message (net/unix/garbage.c of Linux since 6.10).
//
// Sockets in flight to each other can be garbage: no descriptor leads to them,
// and each keeps the next open. A circle comes to be when an edge goes to a
// socket that is itself in flight; before that no collection looks for one.
var inflight struct {
	mu      sync.Mutex
	total   int            // files, also those that are no sockets
	users   map[uint32]int // of them, by the sender's user
	sockets map[*Socket]struct{}
	// circles says that there may be a circle.
	circles atomic.Bool
}

// An edge is one reference of a message to a socket.
type edge struct {
	from *Socket // in flight
	to   *Socket // the receiver; of a connection that is not accepted yet, the listener
	out  int     // where the edge is in from.node.out
	in   int     // and in to.node.in
}

// A node is the part of a socket in the graph; inflight.mu guards it.
type node struct {
	file    *vfs.File // while it is in flight
	out, in []*edge

	// For one collection.
	left int
	live bool
}

func (n *node) inFlight() bool { return n != nil && len(n.out) > 0 }

// nodeOf is the node of a socket; inflight.mu is held.
func nodeOf(s *Socket) *node {
	if s.node == nil {
		s.node = new(node)
	}
	return s.node
}

// link adds the edges of files that are sent to a socket; inflight.mu is held.
func link(r *rights, to *Socket) {
	n := 0
	for _, f := range r.files {
		if socketOf(f) != nil {
			n++
		}
	}
	if n == 0 {
		return
	}
	if to.listener != nil {
		to = to.listener
	}
	r.edges = make([]edge, 0, n)
	for _, f := range r.files {
		s := socketOf(f)
		if s == nil {
			continue
		}
		r.edges = append(r.edges, edge{from: s})
		e, v := &r.edges[len(r.edges)-1], nodeOf(s)
		v.file = f
		e.out = len(v.out)
		v.out = append(v.out, e)
		if len(v.out) == 1 {
			if inflight.sockets == nil {
				inflight.sockets = make(map[*Socket]struct{})
			}
			inflight.sockets[s] = struct{}{}
		}
		e.pointTo(to)
	}
	if to.node.inFlight() {
		inflight.circles.Store(true)
		if len(inflight.sockets)%often == 0 {
			collect() // a program that makes circles need not close a socket
		}
	}
}

// often is after how many sockets in flight a collection begins without a close.
const often = 1024

// pointTo makes the edge one to a socket.
func (e *edge) pointTo(to *Socket) {
	v := nodeOf(to)
	e.to, e.in = to, len(v.in)
	v.in = append(v.in, e)
}

// leave takes the edge away from its receiver.
func (e *edge) leave() {
	v := e.to.node
	last := len(v.in) - 1
	v.in[e.in] = v.in[last]
	v.in[e.in].in = e.in
	v.in[last] = nil
	if v.in = v.in[:last]; last == 0 {
		v.in = nil
	}
}

// unlink removes edges; inflight.mu is held.
func unlink(r *rights) {
	for i := range r.edges {
		e := &r.edges[i]
		e.leave()
		v := e.from.node
		last := len(v.out) - 1
		v.out[e.out] = v.out[last]
		v.out[e.out].out = e.out
		v.out[last] = nil
		if v.out = v.out[:last]; last == 0 {
			v.out, v.file = nil, nil
			delete(inflight.sockets, e.from)
		}
	}
	r.edges = nil
}

// adopted makes a connection that was accepted the receiver of what is in its
// queue; before it was the listener.
func (s *Socket) adopted() {
	s.q.mu.Lock()
	inflight.mu.Lock()
	s.listener = nil
	for _, p := range s.q.list[s.q.head:] {
		if p.rights == nil {
			continue
		}
		for i := range p.rights.edges {
			e := &p.rights.edges[i]
			e.leave()
			e.pointTo(s)
		}
	}
	inflight.mu.Unlock()
	s.q.mu.Unlock()
}

// collections is how many closes have asked for a collection that has not begun.
var collections atomic.Int32

// Collect is collect for the end of a process: what it has sent to itself keeps nothing open that would be closed later.
func Collect() { collect() }

// collect starts a collection, beside the caller, if there may be garbage.
func collect() {
	if inflight.circles.Load() && collections.Add(1) == 1 {
		go collector()
	}
}

func collector() {
	for {
		asked := collections.Load()
		start := cpu.Nanotime()
		garbage := findGarbage()
		for _, s := range garbage {
			dropFiles(s.drain(nil))
		}
		if len(garbage) == 0 {
			// A program that closes sockets all the time keeps a CPU busy for half of the time at most.
			time.Sleep(time.Duration(min(cpu.Nanotime()-start, 1e9)))
		}
		if collections.CompareAndSwap(asked, 0) {
			return
		}
	}
}

// findGarbage returns the sockets that nothing can reach: all references to their
// files are in messages to sockets that nothing can reach. It takes time in
// proportion to the number of edges. The result stays true when the lock is
// given back, since no reference can come from what nobody reaches; and under
// the lock no reference moves from a message to a descriptor.
func findGarbage() []*Socket {
	inflight.mu.Lock()
	defer inflight.mu.Unlock()
	if !anyCircle() {
		inflight.circles.Store(false)
		return nil
	}
	var live []*node
	for s := range inflight.sockets {
		v := s.node
		v.live = v.file.Refs() > len(v.out)
		for i := 0; i < len(v.out) && !v.live; i++ {
			v.live = !v.out[i].to.node.inFlight()
		}
		if v.live {
			live = append(live, v)
		}
	}
	for len(live) > 0 {
		v := live[len(live)-1]
		live = live[:len(live)-1]
		for _, e := range v.in {
			if u := e.from.node; !u.live {
				u.live = true
				live = append(live, u)
			}
		}
	}
	var garbage []*Socket
	for s := range inflight.sockets {
		if !s.node.live {
			garbage = append(garbage, s)
		}
	}
	return garbage
}

// anyCircle takes away, one after the other, the sockets that receive nothing
// from others that are left; what cannot be taken away is in a circle, or
// receives from one. inflight.mu is held.
func anyCircle() bool {
	var free []*node
	for s := range inflight.sockets {
		v := s.node
		if v.left = len(v.in); v.left == 0 {
			free = append(free, v)
		}
	}
	taken := 0
	for len(free) > 0 {
		v := free[len(free)-1]
		free = free[:len(free)-1]
		taken++
		for _, e := range v.out {
			u := e.to.node
			if !u.inFlight() {
				continue
			}
			if u.left--; u.left == 0 {
				free = append(free, u)
			}
		}
	}
	return taken < len(inflight.sockets)
}
