package eventpoll

import (
	"sync"

	"golang.org/x/sys/unix"
)

// maxNesting is how many edges a chain of instances may have: five instances
// (epoll_ctl(2), ELOOP).
const maxNesting = 4

// maxPaths bounds on how many ways one event may travel up through nested
// instances, so that a program cannot make a notification arbitrarily long.
const maxPaths = 500

// node is an instance in the graph of who watches whom.
type node struct {
	up, down map[*Instance]int // with how many items

	// Results of a walk, valid while the generation is the graph's.
	gen          uint64
	depth, paths int
}

// graph guards all nodes.
var graph struct {
	mu  sync.Mutex
	gen uint64
}

// link notes that outer is to watch inner. ELOOP for a circle or too long a
// chain, EINVAL for too many ways from one instance to the outermost ones.
func link(outer, inner *Instance) error {
	graph.mu.Lock()
	defer graph.mu.Unlock()
	graph.gen++
	if inner.node.reaches(outer, 0) {
		return unix.ELOOP
	}
	graph.gen++
	down := inner.node.height(false)
	graph.gen++
	if down+1+outer.node.height(true) > maxNesting {
		return unix.ELOOP
	}
	connect(outer, inner)
	graph.gen++
	if inner.node.tooManyPaths() {
		disconnect(outer, inner)
		return unix.EINVAL
	}
	return nil
}

func unlink(outer, inner *Instance) {
	graph.mu.Lock()
	disconnect(outer, inner)
	graph.mu.Unlock()
}

func connect(outer, inner *Instance) {
	if outer.node.down == nil {
		outer.node.down = make(map[*Instance]int)
	}
	if inner.node.up == nil {
		inner.node.up = make(map[*Instance]int)
	}
	outer.node.down[inner]++
	inner.node.up[outer]++
}

func disconnect(outer, inner *Instance) {
	if outer.node.down[inner]--; outer.node.down[inner] == 0 {
		delete(outer.node.down, inner)
	}
	if inner.node.up[outer]--; inner.node.up[outer] == 0 {
		delete(inner.node.up, outer)
	}
}

// reaches reports whether goal is n or below it. The graph is never deeper than
// maxNesting, so recursion is bounded.
func (n *node) reaches(goal *Instance, level int) bool {
	if n == &goal.node {
		return true
	}
	if n.gen == graph.gen {
		return false
	}
	n.gen = graph.gen
	for in := range n.down {
		if in.node.reaches(goal, level+1) {
			return true
		}
	}
	return false
}

// height returns the longest chain of edges that starts at n.
func (n *node) height(up bool) int {
	if n.gen == graph.gen {
		return n.depth
	}
	n.gen, n.depth = graph.gen, 0
	next := n.down
	if up {
		next = n.up
	}
	for in := range next {
		n.depth = max(n.depth, 1+in.node.height(up))
	}
	return n.depth
}

// tooManyPaths looks at n and all that is below it.
func (n *node) tooManyPaths() bool {
	if n.countPaths() > maxPaths {
		return true
	}
	for in := range n.down {
		if in.node.tooManyPaths() {
			return true
		}
	}
	return false
}

// countPaths returns how many ways lead up from n, up to a little above maxPaths.
func (n *node) countPaths() int {
	if n.gen == graph.gen {
		return n.paths
	}
	n.gen, n.paths = graph.gen, 0
	for out, items := range n.up {
		n.paths = min(n.paths+min(items, maxPaths+1)*(1+out.node.countPaths()), maxPaths+1)
	}
	return n.paths
}
