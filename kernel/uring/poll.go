package uring

import (
	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/wait"
)

// poll is the state of IORING_OP_POLL_ADD.
type poll struct {
	events wait.Events
	multi  bool
}

func pollOps() {
	Ops[linux.IORING_OP_POLL_ADD] = &Op{Name: "POLL_ADD", File: true, Prep: prepPollAdd, start: startPoll}
	Ops[linux.IORING_OP_POLL_REMOVE] = &Op{Name: "POLL_REMOVE", Prep: prepPollRemove, start: pollRemove}
}

func prepPollAdd(q *Request) error {
	if q.BufIndex != 0 || q.Off != 0 || q.Addr != 0 || q.Len&^linux.IORING_POLL_ADD_MULTI != 0 {
		return unix.EINVAL
	}
	multi := q.Len&linux.IORING_POLL_ADD_MULTI != 0
	if multi && q.Flags&linux.IOSQE_CQE_SKIP_SUCCESS != 0 {
		return unix.EINVAL
	}
	q.poll = &poll{events: wait.Events(q.OpFlags), multi: multi}
	return nil
}

const eventMask = 0xffff // without the flags of epoll

func startPoll(r *Ring, q *Request) {
	q.state = statePolling
	r.park(q)
	if Of(q.File) != nil {
		q.poll.multi = false // its completions would be events for itself
	}
	q.queue = q.File.Queue()
	q.waiter = wait.Waiter{Mask: q.poll.events&eventMask | wait.Err | wait.Hup}
	q.waiter.Notify = func(wait.Events) { r.wake(q, wokenFile) }
	if q.queue != nil {
		q.queue.Add(&q.waiter)
	}
	r.pollAgain(q)
}

// pollAgain posts the events that there are. mu is held.
func (r *Ring) pollAgain(q *Request) {
	ev := q.File.Readiness() & (q.poll.events&eventMask | wait.Err | wait.Hup)
	switch {
	case ev == 0:
		if q.queue == nil {
			r.complete(q, 0)
		}
	case q.poll.multi && q.queue != nil && q.More(int32(ev)):
	default:
		r.complete(q, int32(ev))
	}
}

const pollUpdates = linux.IORING_POLL_UPDATE_EVENTS | linux.IORING_POLL_UPDATE_USER_DATA

func prepPollRemove(q *Request) error {
	if q.BufIndex != 0 || q.FileIndex != 0 || q.Len&^(pollUpdates|linux.IORING_POLL_ADD_MULTI) != 0 {
		return unix.EINVAL
	}
	if q.Len == linux.IORING_POLL_ADD_MULTI { // it means something with an update only
		return unix.EINVAL
	}
	if q.Len&linux.IORING_POLL_UPDATE_USER_DATA == 0 && q.Off != 0 ||
		q.Len&linux.IORING_POLL_UPDATE_EVENTS == 0 && q.OpFlags != 0 {
		return unix.EINVAL
	}
	return nil
}

// pollRemove ends a poll request, or changes it.
func pollRemove(r *Ring, q *Request) {
	for p := r.bucket(q.Addr).head; p != nil; p = p.next {
		if p.state != statePolling || p.UserData != q.Addr {
			continue
		}
		if q.Len&pollUpdates == 0 {
			r.cancel(p)
			r.complete(q, 0)
			return
		}
		if q.Len&linux.IORING_POLL_UPDATE_USER_DATA != 0 {
			r.unpark(p)
			p.UserData = q.Off
			r.park(p)
		}
		if q.Len&linux.IORING_POLL_UPDATE_EVENTS != 0 {
			queue := p.queue
			r.disarm(p)
			p.poll.events = wait.Events(q.OpFlags)
			p.poll.multi = q.Len&linux.IORING_POLL_ADD_MULTI != 0
			p.waiter.Mask = p.poll.events&eventMask | wait.Err | wait.Hup
			if p.queue = queue; queue != nil {
				queue.Add(&p.waiter)
			}
		}
		r.complete(q, 0)
		r.pollAgain(p)
		return
	}
	r.fail(q, unix.ENOENT)
}
