package uring

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/wait"
)

// timeout is the state of IORING_OP_TIMEOUT and IORING_OP_LINK_TIMEOUT.
type timeout struct {
	timer wait.Timer
	flags uint32
	ns    int64
	base  uint32 // completions when it began
}

const maxSeconds = 1<<63/1_000_000_000 - 1

func timeoutOps() {
	Ops[linux.IORING_OP_TIMEOUT] = &Op{Name: "TIMEOUT", Prep: func(q *Request) error { return prepTimeout(q, false) }, start: startTimeout}
	Ops[linux.IORING_OP_LINK_TIMEOUT] = &Op{Name: "LINK_TIMEOUT", Prep: func(q *Request) error { return prepTimeout(q, true) }, start: func(r *Ring, q *Request) { r.fail(q, unix.EINVAL) }}
	Ops[linux.IORING_OP_TIMEOUT_REMOVE] = &Op{Name: "TIMEOUT_REMOVE", Prep: prepTimeoutRemove, start: timeoutRemove}
}

// readTimespec reads a struct __kernel_timespec, as ns.
func readTimespec(q *Request, addr uint64) (int64, error) {
	var b [16]byte
	if err := q.user.t.MM.CopyIn(b[:], addr); err != nil {
		return 0, err
	}
	sec, nsec := int64(binary.LittleEndian.Uint64(b[:])), int64(binary.LittleEndian.Uint64(b[8:]))
	if sec < 0 || nsec < 0 {
		return 0, unix.EINVAL
	}
	if sec > maxSeconds-nsec/1e9 {
		return 1<<63 - 1, nil
	}
	return sec*1e9 + nsec, nil
}

func prepTimeout(q *Request, link bool) error {
	if q.BufIndex != 0 || q.Len != 1 || q.FileIndex != 0 || link && q.Off != 0 {
		return unix.EINVAL
	}
	if q.OpFlags&^(linux.IORING_TIMEOUT_ABS|linux.IORING_TIMEOUT_BOOTTIME|linux.IORING_TIMEOUT_REALTIME|linux.IORING_TIMEOUT_ETIME_SUCCESS) != 0 {
		return unix.EINVAL
	}
	if bits.OnesCount32(q.OpFlags&(linux.IORING_TIMEOUT_BOOTTIME|linux.IORING_TIMEOUT_REALTIME)) > 1 {
		return unix.EINVAL
	}
	ns, err := readTimespec(q, q.Addr)
	if err != nil {
		return err
	}
	q.timer = &timeout{flags: q.OpFlags, ns: ns}
	return nil
}

// start starts the timer, which calls up. Only an absolute time of CLOCK_REALTIME
// follows the steps of that clock.
func (o *timeout) start(up wait.Func) {
	at := o.ns
	switch {
	case o.flags&linux.IORING_TIMEOUT_ABS == 0:
		now := cpu.Nanotime()
		o.timer.Start(now+min(at, 1<<63-1-now), up)
	case o.flags&linux.IORING_TIMEOUT_REALTIME != 0:
		o.timer.StartRealtime(at, up)
	default:
		o.timer.Start(at, up)
	}
}

// set starts the timer of q.
func (r *Ring) setTimer(q *Request) {
	r.park(q)
	q.timer.start(func() { r.wake(q, wokenTimer) })
}

func startTimeout(r *Ring, q *Request) {
	q.state = stateTimer
	q.timer.base = r.total() - r.timedOut
	if q.Off != 0 {
		r.timeouts = append(r.timeouts, q)
	}
	r.setTimer(q)
}

// endTimeout ends a pending timeout. mu is held.
func (r *Ring) endTimeout(q *Request, res int32) {
	q.timer.timer.Stop()
	r.timeouts = slices.DeleteFunc(r.timeouts, func(o *Request) bool { return o == q })
	r.timedOut++
	if res == -int32(unix.ETIME) && q.timer.flags&linux.IORING_TIMEOUT_ETIME_SUCCESS != 0 {
		next := q.link
		q.link = nil
		r.complete(q, res)
		if next != nil {
			r.todo = append(r.todo, next)
		}
		return
	}
	r.complete(q, res)
}

// timeUp is called when the timer of a timeout has fired.
func (r *Ring) timeUp(q *Request) { r.endTimeout(q, -int32(unix.ETIME)) }

// checkTimeouts ends timeouts that waited for a number of completions. mu is held.
func (r *Ring) checkTimeouts() {
	for i := 0; i < len(r.timeouts); i++ {
		q := r.timeouts[i]
		if r.total()-r.timedOut-q.timer.base >= uint32(q.Off) {
			r.endTimeout(q, 0)
			i = -1
		}
	}
}

// startLinkTimeout starts the timer of a request whose head is on its way.
func (r *Ring) startLinkTimeout(l *Request) {
	l.state = stateLinked
	r.setTimer(l)
}

// endLinkTimeout ends it because its head has ended.
func (r *Ring) endLinkTimeout(l *Request) {
	if l.state == stateLinked {
		l.timer.timer.Stop()
	}
	r.end(l, -int32(unix.ECANCELED), l.Flags&linux.IOSQE_CQE_SKIP_SUCCESS != 0)
}

// linkTimeUp cancels the head.
func (r *Ring) linkTimeUp(l *Request) {
	h := l.head
	l.head = nil
	res := -int32(unix.ETIME)
	if h != nil {
		h.ltimeout = nil
		if err := r.cancel(h); err == unix.EALREADY {
			res = -int32(unix.EALREADY)
		}
	}
	r.end(l, res, l.Flags&linux.IOSQE_CQE_SKIP_SUCCESS != 0) // not a failure
}

func prepTimeoutRemove(q *Request) error {
	if q.Flags&(linux.IOSQE_FIXED_FILE|linux.IOSQE_BUFFER_SELECT) != 0 || q.BufIndex != 0 || q.Len != 0 || q.FileIndex != 0 {
		return unix.EINVAL
	}
	const clocks = linux.IORING_TIMEOUT_BOOTTIME | linux.IORING_TIMEOUT_REALTIME
	const update = linux.IORING_TIMEOUT_UPDATE | linux.IORING_LINK_TIMEOUT_UPDATE
	switch {
	case q.OpFlags&update == 0:
		if q.OpFlags != 0 {
			return unix.EINVAL
		}
		return nil
	case bits.OnesCount32(q.OpFlags&clocks) > 1, q.OpFlags&^(update|clocks|linux.IORING_TIMEOUT_ABS) != 0:
		return unix.EINVAL
	}
	ns, err := readTimespec(q, q.Off)
	if err != nil {
		return err
	}
	q.timer = &timeout{flags: q.OpFlags, ns: ns}
	return nil
}

// timeoutRemove ends a timeout, or gives it another time.
func timeoutRemove(r *Ring, q *Request) {
	want := uint8(stateTimer)
	if q.OpFlags&linux.IORING_LINK_TIMEOUT_UPDATE != 0 {
		want = stateLinked
	}
	for o := r.bucket(q.Addr).head; o != nil; o = o.next {
		if o.state != want || o.UserData != q.Addr {
			continue
		}
		if !o.timer.timer.Stop() {
			r.fail(q, unix.EALREADY)
			return
		}
		if q.timer == nil {
			r.endTimeout(o, -int32(unix.ECANCELED))
		} else {
			const keep = linux.IORING_TIMEOUT_ETIME_SUCCESS
			o.timer.ns, o.timer.flags = q.timer.ns, q.timer.flags&^keep|o.timer.flags&keep
			r.setTimer(o)
		}
		r.complete(q, 0)
		return
	}
	r.fail(q, unix.ENOENT)
}
