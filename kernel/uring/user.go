package uring

import (
	"slices"
	"sync"
	"sync/atomic"

	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// A user is a process, with the files, directories and credentials of the thread
// that submits for it.
type user struct {
	proc     *task.Process
	t        *task.Thread // a proxy, used with Ring.mu held
	requests int
	gone     bool // the process has ended
}

func always() bool { return true }

// userOf returns the user that t's requests are made by. mu is held.
func (r *Ring) userOf(t *task.Thread, creds *vfs.Creds) *user {
	known := false
	for i, u := range r.users {
		if !u.gone && u.proc == t.Proc && u.t.MM == t.MM && u.t.Files == t.Files && u.t.FS == t.FS && u.t.Creds() == creds {
			if i > 0 {
				r.users[0], r.users[i] = u, r.users[0]
			}
			return u
		}
		known = known || u.proc == t.Proc && !u.gone
	}
	r.users = slices.DeleteFunc(r.users, func(u *user) bool {
		unused := u.requests == 0 && u.proc == t.Proc
		if unused {
			u.drop()
		}
		return unused
	})
	if !known {
		register(r, t.Proc)
	}
	u := &user{proc: t.Proc, t: t.Proxy(always)}
	u.t.SetCreds(creds)
	r.users = append(r.users, u)
	return u
}

func (u *user) drop() { u.t.DropProxy() }

// registry knows which rings a process has submitted to.
var registry struct {
	n     atomic.Int32 // processes
	mu    sync.Mutex
	rings map[*task.Process]map[*Ring]bool
}

func register(r *Ring, p *task.Process) {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if registry.rings == nil {
		registry.rings = make(map[*task.Process]map[*Ring]bool)
	}
	m := registry.rings[p]
	if m == nil {
		m = make(map[*Ring]bool)
		registry.rings[p] = m
		registry.n.Add(1)
	}
	m[r] = true
}

func unregister(r *Ring, p *task.Process) {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	m := registry.rings[p]
	delete(m, r)
	if m != nil && len(m) == 0 {
		delete(registry.rings, p)
		registry.n.Add(-1)
	}
}

func init() {
	task.OnLeave(func(t *task.Thread, last, exec bool) {
		if s, ok := t.Rings.(*ringFDs); ok {
			t.Rings = nil
			s.close()
		}
		if last && registry.n.Load() > 0 {
			leave(t.Proc, exec)
		}
	})
}

// leave ends the requests of a process that ends, or runs another program. Timers
// of one that ends go on, if others have the ring too.
func leave(p *task.Process, exec bool) {
	registry.mu.Lock()
	m := registry.rings[p]
	if m != nil {
		delete(registry.rings, p)
		registry.n.Add(-1)
	}
	registry.mu.Unlock()
	for r := range m {
		r.mu.Lock()
		if r.closed {
			r.mu.Unlock()
			continue
		}
		if r.sq != nil && r.sq.u.proc == p {
			r.sq.stop()
		}
		for _, u := range r.users {
			u.gone = u.gone || u.proc == p
		}
		r.cancelAll(func(q *Request) bool { return q.user.proc == p && (exec || q.state != stateTimer) })
		r.settle()
		r.users = slices.DeleteFunc(r.users, func(u *user) bool {
			gone := u.proc == p && u.requests == 0
			if gone {
				u.drop()
			}
			return gone
		})
		r.unlock(true)
	}
}
