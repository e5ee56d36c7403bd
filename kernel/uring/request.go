package uring

import (
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// An Op is what the requests of one opcode do.
type Op struct {
	Name string
	File bool // the request has a file
	// Poll is what a request that would block waits for, if its file can be
	// polled; 0: a worker is to do it.
	Poll wait.Events
	// Exclusive: one of several requests that wait for a file is tried for an event.
	Exclusive bool
	Select    bool // IOSQE_BUFFER_SELECT is possible
	Worker    bool // IOSQE_ASYNC gives it to a worker
	IOPrio    bool // the field means something
	IOPoll    bool // possible with IORING_SETUP_IOPOLL
	Quiet     bool // raises no signals
	// Prep checks the submission.
	Prep func(q *Request) error
	// Take reads from the program's memory what it may change once the request is
	// submitted. What goes wrong is wrong with the request, not with the submission.
	Take func(q *Request) error
	// Run does the request on behalf of t. If q.Wait is not set, the error of
	// what would block is EAGAIN or one of an interrupted call.
	Run func(t *task.Thread, q *Request) (int64, error)

	start func(r *Ring, q *Request) // instead of Run: operations of the ring itself
}

// Ops are the operations that there are, from the first ring on: most programs have none, and each boot would pay for the
// table. AddOps adds those that are system calls, which package syscalls has.
var (
	Ops    [linux.IORING_OP_LAST]*Op
	AddOps func()

	opsOnce sync.Once
)

func fillOps() {
	bufferOps()
	cancelOps()
	pollOps()
	registerOps()
	timeoutOps()
	AddOps()
}

// Where a request is.
const (
	stateNew      = iota
	stateDeferred // IOSQE_IO_DRAIN
	stateArmed    // a waiter of its file's queue
	statePolling  // IORING_OP_POLL_ADD
	stateTimer    // IORING_OP_TIMEOUT
	stateLinked   // IORING_OP_LINK_TIMEOUT whose timer runs
	stateQueued   // for a worker
	stateWorking
	stateEnded
)

// Why a request is to be looked at.
const (
	wokenFile = 1 << iota
	wokenTimer
)

// A Request is a submission that has not completed.
type Request struct {
	linux.IOURingSQE
	File *vfs.File
	// Wait: Run may block.
	Wait bool
	// NoWait: what would block ends with EAGAIN.
	NoWait bool
	// Short is set by Run when it did less than was asked: links break.
	Short bool
	// CQFlags are flags of the completion.
	CQFlags uint32
	// Size is how many bytes State takes, if that may be many.
	Size int
	// State is what the operation keeps from Prep to Run, and between tries.
	State any

	ring      *Ring
	op        *Op
	user      *user
	state     uint8
	err       error // found at submission
	late      error // of Take
	skipLinks bool
	parked    bool     // in Ring.parked
	kept      bool     // others may know it: it is not used again
	link      *Request // the next of the chain
	ltimeout  *Request // IORING_OP_LINK_TIMEOUT on this one
	head      *Request // whose timeout this is

	waiter  wait.Waiter
	queue   *wait.Queue
	timer   *timeout
	poll    *poll
	chosen  chosenBuffer
	buffer  *buffer // READ_FIXED, WRITE_FIXED
	worker  *task.Thread
	stopped atomic.Bool

	// Guarded by Ring.readyMu.
	woken  uint8
	listed bool

	next, prev *Request // in requests
}

// requests is a list.
type requests struct{ head, tail *Request }

func (l *requests) add(q *Request) {
	q.prev, q.next = l.tail, nil
	if l.tail != nil {
		l.tail.next = q
	} else {
		l.head = q
	}
	l.tail = q
}

func (l *requests) remove(q *Request) {
	if q.prev != nil {
		q.prev.next = q.next
	} else {
		l.head = q.next
	}
	if q.next != nil {
		q.next.prev = q.prev
	} else {
		l.tail = q.prev
	}
	q.next, q.prev = nil, nil
}

// Ring returns the ring of the request.
func (q *Request) Ring() *Ring { return q.ring }

// Thread is a proxy of the thread that submitted the request, for Prep.
func (q *Request) Thread() *task.Thread { return q.user.t }

// newRequest returns an empty request in flight. mu is held.
func (r *Ring) newRequest(u *user) *Request {
	q := r.free
	if q != nil {
		r.free = q.next
		q.next = nil
	} else {
		q = new(Request)
	}
	q.ring, q.user = r, u
	u.requests++
	r.started++
	return q
}

// parkBuckets is into how many lists the requests that wait are sorted, by their
// user data.
const parkBuckets = 256

// park makes a request that waits known to those who cancel.
func (r *Ring) park(q *Request) {
	q.kept = true
	if q.parked {
		return
	}
	if r.parked == nil {
		r.parked = make([]requests, parkBuckets)
	}
	q.parked = true
	waiting.Add(q.cost())
	r.bucket(q.UserData).add(q)
}

// cost is about how much memory a request takes that waits.
func (q *Request) cost() int64 { return 1024 + int64(q.Size) }

func (r *Ring) unpark(q *Request) {
	if q.parked {
		q.parked = false
		waiting.Add(-q.cost())
		r.bucket(q.UserData).remove(q)
	}
}

// bucket is where requests with this user data are.
func (r *Ring) bucket(data uint64) *requests {
	if r.parked == nil {
		return new(requests)
	}
	return &r.parked[data%parkBuckets]
}

// issue begins a request, or ends it if its submission was wrong. mu is held.
func (r *Ring) issue(q *Request) {
	q.state = stateNew
	if q.user.gone || r.closed {
		q.err = unix.ECANCELED
	}
	if q.err != nil {
		r.fail(q, q.err)
		return
	}
	if l := q.link; l != nil && l.Opcode == linux.IORING_OP_LINK_TIMEOUT && l.err == nil && l.op != nil {
		q.link, l.link = l.link, nil
		q.ltimeout, l.head = l, q
	}
	if q.op.File {
		if err := r.findFile(q); err != nil {
			r.fail(q, err)
			return
		}
	}
	if q.late != nil {
		r.fail(q, q.late)
	} else if q.op.start != nil {
		q.op.start(r, q)
	} else {
		if q.Flags&linux.IOSQE_ASYNC != 0 && q.op.Worker && (q.op.Poll == 0 || q.File.Queue() == nil) {
			r.punt(q)
		} else {
			r.try(q)
		}
	}
	if l := q.ltimeout; l != nil && l.head == q && l.state == stateNew {
		r.startLinkTimeout(l)
	}
}

// findFile takes the file of the request.
func (r *Ring) findFile(q *Request) (err error) {
	if q.Flags&linux.IOSQE_FIXED_FILE != 0 {
		if f := r.fixedFile(uint32(q.FD)); f != nil {
			f.Retain()
			q.File = f
			return nil
		}
		return unix.EBADF
	}
	if q.File, err = q.user.t.Files.Get(int(q.FD)); err == nil && q.File.PathOnly() {
		r.drop(q.File)
		q.File = nil
		return unix.EBADF
	}
	return err
}

// maxTries is how often a request is tried at once; its file says that it is ready
// each time, and is not.
const maxTries = 128

// try tries a request, which stays in flight if it would block. mu is held.
func (r *Ring) try(q *Request) {
	for range maxTries {
		res, err := r.run(q.user.t, q)
		if !q.blocks(err) {
			if res <= 0 || err != nil {
				q.putBack()
			}
			r.finish(q, res, err)
			return
		}
		q.putBack()
		if q.state == stateArmed {
			return
		}
		if q.op.Poll == 0 || q.File == nil || q.File.Queue() == nil {
			break
		}
		// Tried again once it is in the queue: whatever happens from then on is told.
		r.arm(q)
	}
	r.punt(q)
}

// run calls the operation with what t needs for it.
func (r *Ring) run(t *task.Thread, q *Request) (int64, error) {
	if !q.Wait {
		if err := q.Choose(); err != nil {
			return 0, err
		}
	}
	t.Acting.File, t.Acting.Quiet = q.File, q.op.Quiet
	res, err := q.op.Run(t, q)
	t.Acting.File, t.Acting.Install = nil, nil
	if err == unix.EFAULT {
		t.CheckMemory()
	}
	return res, err
}

// blocks reports whether an error says that the request would have to wait.
func (q *Request) blocks(err error) bool {
	e, ok := err.(syscall.Errno)
	if !ok {
		return false
	}
	switch e {
	case unix.EAGAIN:
		return !q.NoWait
	case unix.EINTR, linux.ERESTARTSYS, linux.ERESTARTNOINTR, linux.ERESTARTNOHAND, linux.ERESTART_RESTARTBLOCK:
		return true
	}
	return false
}

// arm puts the request into the queue of its file.
func (r *Ring) arm(q *Request) {
	q.state = stateArmed
	r.park(q)
	q.queue = q.File.Queue()
	q.waiter = wait.Waiter{Mask: q.op.Poll | wait.Err | wait.Hup, Exclusive: q.op.Exclusive}
	q.waiter.Notify = func(wait.Events) { q.waiter.Pass = !r.wake(q, wokenFile) }
	q.queue.Add(&q.waiter)
}

// disarm takes it out again. What it was told and has not looked at is for others that wait there.
func (r *Ring) disarm(q *Request) {
	if q.queue == nil {
		return
	}
	q.queue.Remove(&q.waiter)
	if q.op.Exclusive {
		r.readyMu.Lock()
		told := q.woken&wokenFile != 0
		r.readyMu.Unlock()
		if told {
			q.queue.Notify(q.op.Poll)
		}
	}
	q.queue = nil
}

// wake notes that a request is to be looked at; false if that is known already. It
// is called with other locks held.
func (r *Ring) wake(q *Request, why uint8) bool {
	r.readyMu.Lock()
	if r.gone {
		r.readyMu.Unlock()
		return false
	}
	first := q.woken&why == 0
	q.woken |= why
	if !q.listed {
		q.listed = true
		r.ready = append(r.ready, q)
	}
	if first {
		r.kick()
	}
	r.readyMu.Unlock()
	return first
}

// kick sees to it that somebody looks at what is ready. readyMu is held.
func (r *Ring) kick() {
	if r.flags&linux.IORING_SETUP_TASKRUN_FLAG != 0 {
		r.setSQFlag(linux.IORING_SQ_TASKRUN, true)
	}
	if r.waiters > 0 {
		r.cqWait.Notify(wait.In)
		return
	}
	if !r.running {
		r.running = true
		go r.serve()
	}
}

// serve looks at what is ready while nobody waits in io_uring_enter(2).
func (r *Ring) serve() {
	for {
		if r.flags&linux.IORING_SETUP_DEFER_TASKRUN != 0 {
			// The thread will do it; but it may want to hear of it.
			r.readyMu.Lock()
			r.running = false
			gone := r.gone
			r.readyMu.Unlock()
			if !gone {
				r.announce(true)
			}
			return
		}
		r.mu.Lock()
		if !r.closed {
			r.runReady()
		}
		if r.closed {
			r.mu.Unlock()
		} else {
			r.unlock(true)
		}
		r.readyMu.Lock()
		if len(r.ready) == 0 || r.waiters > 0 || r.gone {
			r.running = false
			r.readyMu.Unlock()
			return
		}
		r.readyMu.Unlock()
	}
}

// runReady looks at the requests that were woken. mu is held.
func (r *Ring) runReady() {
	for {
		r.readyMu.Lock()
		if len(r.ready) == 0 {
			if r.flags&linux.IORING_SETUP_TASKRUN_FLAG != 0 && !r.gone {
				r.setSQFlag(linux.IORING_SQ_TASKRUN, false)
			}
			r.readyMu.Unlock()
			return
		}
		list := r.ready
		r.ready, r.spare = r.spare[:0], nil
		r.readyMu.Unlock()
		for i, q := range list {
			r.readyMu.Lock()
			woken := q.woken
			q.woken, q.listed = 0, false
			r.readyMu.Unlock()
			r.look(q, woken)
			list[i] = nil
		}
		r.readyMu.Lock()
		r.spare = list[:0]
		r.readyMu.Unlock()
	}
}

// look goes on with a request that was woken. mu is held.
func (r *Ring) look(q *Request, woken uint8) {
	switch q.state {
	case stateArmed:
		r.try(q)
	case statePolling:
		r.pollAgain(q)
	case stateTimer:
		if woken&wokenTimer != 0 {
			r.timeUp(q)
		}
	case stateLinked:
		if woken&wokenTimer != 0 {
			r.linkTimeUp(q)
		}
	}
}

// finish ends a request with the outcome of its operation.
func (r *Ring) finish(q *Request, res int64, err error) {
	if err != nil {
		r.fail(q, err)
		return
	}
	r.complete(q, int32(res))
}

// fail ends a request with an error.
func (r *Ring) fail(q *Request, err error) {
	e, ok := err.(syscall.Errno)
	if !ok {
		e = unix.EIO
	}
	switch e {
	case linux.ERESTARTSYS, linux.ERESTARTNOINTR, linux.ERESTARTNOHAND, linux.ERESTART_RESTARTBLOCK:
		e = unix.EINTR
	}
	q.CQFlags &^= linux.IORING_CQE_F_MORE
	r.complete(q, -int32(e))
}

// complete ends a request: its completion is posted, and its chain goes on, or
// ends with it. mu is held.
func (r *Ring) complete(q *Request, res int32) {
	failed := res < 0 || q.Short
	if q.Flags&linux.IOSQE_CQE_SKIP_SUCCESS != 0 && failed {
		q.skipLinks = true
	}
	r.end(q, res, q.Flags&linux.IOSQE_CQE_SKIP_SUCCESS != 0 && !failed)
	next := q.link
	if next != nil {
		q.link = nil
		if failed && q.Flags&linux.IOSQE_IO_HARDLINK == 0 {
			r.cancelChain(next, q.skipLinks)
		} else {
			r.todo = append(r.todo, next)
		}
	}
	if l := q.ltimeout; l != nil {
		q.ltimeout, l.head = nil, nil
		r.endLinkTimeout(l)
	}
	if !q.kept {
		*q = Request{next: r.free}
		r.free = q
	}
}

// cancelChain ends requests that were to follow one that failed.
func (r *Ring) cancelChain(q *Request, skip bool) {
	for q != nil {
		next := q.link
		q.link = nil
		res := -int32(unix.ECANCELED)
		if q.err != nil {
			if e, ok := q.err.(syscall.Errno); ok {
				res = -int32(e)
			}
		}
		r.end(q, res, skip)
		q = next
	}
}

// end posts the completion of a request, and gives back what it had.
func (r *Ring) end(q *Request, res int32, skip bool) {
	r.disarm(q)
	q.state = stateEnded
	flags := q.CQFlags
	if q.chosen.group != nil {
		flags |= r.useBuffer(q)
	}
	if !skip && !r.closed {
		r.post(q.UserData, res, flags)
	}
	r.unpark(q)
	r.ended++
	q.user.requests--
	if q.File != nil {
		r.drop(q.File)
		q.File = nil
	}
	if q.buffer != nil {
		q.buffer = nil
	}
	q.State = nil
}

// More posts a completion of a request that goes on (IORING_CQE_F_MORE). If there is
// no room for it, false: the request must end with this result.
func (q *Request) More(res int32) bool {
	flags := q.CQFlags | linux.IORING_CQE_F_MORE
	if q.chosen.group != nil {
		flags |= uint32(q.chosen.bid)<<linux.IORING_CQE_BUFFER_SHIFT | linux.IORING_CQE_F_BUFFER
	}
	if !q.ring.tryPost(q.UserData, res, flags) {
		return false
	}
	if q.chosen.group != nil {
		q.ring.useBuffer(q)
	}
	return true
}
