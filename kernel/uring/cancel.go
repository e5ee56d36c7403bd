package uring

import (
	"slices"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
)

func cancelOps() {
	Ops[linux.IORING_OP_ASYNC_CANCEL] = &Op{Name: "ASYNC_CANCEL", Prep: prepCancel, start: asyncCancel}
}

// cancel ends a request that has not completed. EALREADY: a worker is on it, and
// is told to stop. ENOENT: it cannot be cancelled. mu is held.
func (r *Ring) cancel(q *Request) error {
	const canceled = -int32(unix.ECANCELED)
	switch q.state {
	case stateArmed, statePolling:
		if q.waiter.Exclusive {
			// It may have been told of an event that is another's now.
			queue := q.queue
			r.disarm(q)
			defer queue.Notify(q.op.Poll)
		}
		q.CQFlags &^= linux.IORING_CQE_F_MORE
		r.complete(q, canceled)
	case stateTimer:
		r.endTimeout(q, canceled)
	case stateQueued:
		r.waiting = slices.DeleteFunc(r.waiting, func(o *Request) bool { return o == q })
		r.complete(q, canceled)
	case stateWorking:
		q.stop()
		return unix.EALREADY
	default:
		return unix.ENOENT
	}
	return nil
}

// cancelAll ends requests of a ring, or of a process, that goes. mu is held.
func (r *Ring) cancelAll(match func(q *Request) bool) {
	for i, q := range r.todo {
		if match(q) {
			q.err, r.todo[i] = unix.ECANCELED, q
		}
	}
	r.deferred = slices.DeleteFunc(r.deferred, func(d *deferredRequest) bool {
		if !match(d.q) {
			return false
		}
		d.q.err = unix.ECANCELED
		r.todo = append(r.todo, d.q)
		return true
	})
	var list []*Request
	for i := range r.parked {
		for q := r.parked[i].head; q != nil; q = q.next {
			if match(q) {
				list = append(list, q)
			}
		}
	}
	for _, q := range list {
		if q.state != stateEnded {
			r.cancel(q) //nolint:errcheck // a worker ends it
		}
	}
}

func prepCancel(q *Request) error {
	const known = linux.IORING_ASYNC_CANCEL_ALL | linux.IORING_ASYNC_CANCEL_FD | linux.IORING_ASYNC_CANCEL_ANY | linux.IORING_ASYNC_CANCEL_FD_FIXED
	if q.Flags&linux.IOSQE_BUFFER_SELECT != 0 || q.Off != 0 || q.FileIndex != 0 || q.OpFlags&^known != 0 {
		return unix.EINVAL
	}
	if q.OpFlags&linux.IORING_ASYNC_CANCEL_ANY != 0 && q.OpFlags&linux.IORING_ASYNC_CANCEL_FD != 0 {
		return unix.EINVAL
	}
	return nil
}

// asyncCancel cancels requests by their user data, or their file.
func asyncCancel(r *Ring, q *Request) {
	many := q.OpFlags&(linux.IORING_ASYNC_CANCEL_ALL|linux.IORING_ASYNC_CANCEL_ANY) != 0
	if q.OpFlags&linux.IORING_ASYNC_CANCEL_FD != 0 {
		if q.Flags&linux.IOSQE_FIXED_FILE == 0 && q.OpFlags&linux.IORING_ASYNC_CANCEL_FD_FIXED != 0 {
			q.Flags |= linux.IOSQE_FIXED_FILE
		}
		if err := r.findFile(q); err != nil {
			r.fail(q, err)
			return
		}
	}
	buckets := r.parked
	if q.OpFlags&(linux.IORING_ASYNC_CANCEL_ANY|linux.IORING_ASYNC_CANCEL_FD) == 0 && buckets != nil {
		buckets = buckets[q.Addr%parkBuckets:][:1]
	}
	var list []*Request
	for i := range buckets {
		for o := buckets[i].head; o != nil && (many || len(list) == 0); o = o.next {
			switch {
			case q.OpFlags&linux.IORING_ASYNC_CANCEL_ANY != 0:
			case q.OpFlags&linux.IORING_ASYNC_CANCEL_FD != 0:
				if o.File != q.File {
					continue
				}
			case o.UserData != q.Addr:
				continue
			}
			if o.state != stateLinked {
				list = append(list, o)
			}
		}
	}
	if !many {
		if len(list) == 0 {
			r.fail(q, unix.ENOENT)
			return
		}
		r.finish(q, 0, r.cancel(list[0]))
		return
	}
	n := int32(0)
	for _, o := range list {
		if o.state != stateEnded {
			r.cancel(o) //nolint:errcheck // EALREADY counts too
			n++
		}
	}
	r.complete(q, n)
}
