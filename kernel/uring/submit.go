package uring

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/frame"
	"gosv/kernel/task"
)

// deferredRequest waits for those before it (IOSQE_IO_DRAIN).
type deferredRequest struct {
	q     *Request
	drain bool
	after uint64 // it may begin when so many requests have ended
}

// chain is what is put together while entries with IOSQE_IO_LINK follow each other.
type chain struct {
	head, tail *Request
	first      uint64 // requests started before it
	drain      bool
	failed     bool
}

const (
	linkFlags  = linux.IOSQE_IO_LINK | linux.IOSQE_IO_HARDLINK
	knownSQE   = linux.IOSQE_FIXED_FILE | linux.IOSQE_IO_DRAIN | linkFlags | linux.IOSQE_ASYNC | linux.IOSQE_BUFFER_SELECT | linux.IOSQE_CQE_SKIP_SUCCESS
	submitStep = 64 // entries between looks at what became due
)

// maxBegun is how many requests of one ring may be on their way.
const maxBegun = 1 << 16

// submit takes up to n entries from the submission ring, and returns how many it
// took; EAGAIN if too much is on its way already. mu is held.
func (r *Ring) submit(t *task.Thread, n uint32) (uint32, error) {
	n = min(n, r.mem.load(offSQTail)-r.sqHead, r.sqEntries)
	if n == 0 {
		return 0, nil
	}
	if r.crowded() {
		return 0, unix.EAGAIN
	}
	u := r.userOf(t, t.Creds())
	u.requests++ // kept meanwhile
	var c chain
	done := uint32(0)
	for done < n {
		i := r.mem.index(r.sqHead & (r.sqEntries - 1))
		r.sqHead++
		if i >= r.sqEntries {
			r.mem.store(offSQDropped, r.mem.load(offSQDropped)+1)
			break
		}
		done++
		if ok := r.take(t, u, i, &c); !ok && r.flags&linux.IORING_SETUP_SUBMIT_ALL == 0 {
			break
		}
		if done%submitStep == 0 && c.head == nil {
			r.settle()
			if r.crowded() {
				break
			}
		}
	}
	r.mem.store(offSQHead, r.sqHead)
	if c.head != nil {
		r.begin(&c)
	}
	u.requests--
	return done, nil
}

// waiting is about how much memory the requests of all rings take that wait.
var waiting atomic.Int64

// crowded reports that no more requests can be taken.
func (r *Ring) crowded() bool {
	return r.started-r.ended >= maxBegun || waiting.Load() > int64(frame.Total())*pageSize/8
}

// take makes a request of an entry, and begins it unless others of its chain are
// to come; false if the entry is wrong.
func (r *Ring) take(t *task.Thread, u *user, i uint32, c *chain) bool {
	first := r.started
	q := r.newRequest(u)
	r.mem.sqe(i, &q.IOURingSQE)
	q.err = r.check(t, q)
	if q.err == nil && q.Opcode == linux.IORING_OP_LINK_TIMEOUT && (c.head == nil || c.tail.Opcode == linux.IORING_OP_LINK_TIMEOUT) {
		q.err = unix.EINVAL // there is nothing that it could be for
	}
	if q.err == nil && q.op.Take != nil {
		if err := q.op.Take(q); c.head == nil {
			q.late = err
		} else {
			q.err = err
		}
	}
	ok := q.err == nil
	if c.head == nil {
		*c = chain{head: q, tail: q, first: first}
	} else {
		c.tail.link = q
		c.tail = q
	}
	c.drain = c.drain || q.Flags&linux.IOSQE_IO_DRAIN != 0 && ok
	c.failed = c.failed || !ok
	if q.Flags&linkFlags == 0 {
		r.begin(c)
		*c = chain{}
	}
	return ok
}

// check validates an entry, and prepares the request.
func (r *Ring) check(t *task.Thread, q *Request) error {
	if int(q.Opcode) >= len(Ops) || Ops[q.Opcode] == nil {
		q.op = nil
		return unix.EINVAL
	}
	q.op = Ops[q.Opcode]
	switch {
	case q.Flags&^knownSQE != 0:
		return unix.EINVAL
	case q.Flags&linux.IOSQE_BUFFER_SELECT != 0 && !q.op.Select:
		return unix.EOPNOTSUPP
	case q.Flags&linux.IOSQE_CQE_SKIP_SUCCESS != 0:
		r.noDrain = true
	case q.Flags&linux.IOSQE_IO_DRAIN != 0 && r.noDrain:
		return unix.EOPNOTSUPP
	}
	if !r.allowed(q) {
		return unix.EACCES
	}
	if q.IOPrio != 0 && !q.op.IOPrio || r.flags&linux.IORING_SETUP_IOPOLL != 0 && !q.op.IOPoll {
		return unix.EINVAL
	}
	if q.Personality != 0 {
		creds := r.personalities[q.Personality]
		if creds == nil {
			return unix.EINVAL
		}
		q.user.requests--
		q.user = r.userOf(t, creds)
		q.user.requests++
	}
	if q.op.Prep != nil {
		return q.op.Prep(q)
	}
	return nil
}

// begin issues a chain, unless it has to wait for others. If one entry of it is
// wrong, none is done.
func (r *Ring) begin(c *chain) {
	q := c.head
	if c.failed {
		r.cancelChain(q, false)
		return
	}
	drain := c.drain || r.drainNext
	r.drainNext = c.drain && c.tail != c.head // what follows a chain with a drain waits for it
	if drain && r.ended != c.first || len(r.deferred) > 0 {
		q.state = stateDeferred
		r.deferred = append(r.deferred, &deferredRequest{q, drain, c.first})
		return
	}
	r.issue(q)
}

// checkDeferred lets requests go that have waited for those before them. mu is held.
func (r *Ring) checkDeferred() {
	for len(r.deferred) > 0 {
		d := r.deferred[0]
		if d.drain && r.ended != d.after {
			return
		}
		r.deferred = r.deferred[1:]
		r.todo = append(r.todo, d.q)
	}
}
