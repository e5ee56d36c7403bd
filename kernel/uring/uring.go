// Package uring is io_uring(7): requests that a program puts into memory which it shares with the kernel, and whose
// results it finds there.
//
// A request is first tried where it was submitted, by a proxy of the submitting thread that may not sleep. If it would
// block on a file that can be polled, it becomes a waiter in the queue of that file and is tried again when the file
// has news: by a thread that waits in io_uring_enter(2), else by a goroutine that lives as long as there is such
// work. Only what would block otherwise has a goroutine of its own.
//
// What the operations on files do is said by package syscalls, which fills in Ops. Everything in the shared memory is
// the program's to change at any time: it is read once, and never trusted.
//
// Lock order:
//
//	Ring.mu           requests and registered resources; held while requests are tried
//	  locks of files, then their wait queues (where a request's notify is called)
//	    Ring.readyMu  requests that are to be looked at
//	      the ring's wait queue of threads
//	  Ring.cqMu       the completion ring
//	registry.mu       which rings a process uses; taken alone
package uring

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/fs/eventfd"
	"gosv/kernel/mm"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// Name is what /proc/PID/fd shows.
const Name = "anon_inode:[io_uring]"

const (
	maxEntries   = 32768
	maxCQEntries = 2 * maxEntries

	knownFlags = linux.IORING_SETUP_IOPOLL | linux.IORING_SETUP_SQPOLL | linux.IORING_SETUP_SQ_AFF | linux.IORING_SETUP_CQSIZE | linux.IORING_SETUP_CLAMP |
		linux.IORING_SETUP_ATTACH_WQ | linux.IORING_SETUP_R_DISABLED | linux.IORING_SETUP_SUBMIT_ALL |
		linux.IORING_SETUP_COOP_TASKRUN | linux.IORING_SETUP_TASKRUN_FLAG | linux.IORING_SETUP_SINGLE_ISSUER |
		linux.IORING_SETUP_DEFER_TASKRUN

	features = linux.IORING_FEAT_SINGLE_MMAP | linux.IORING_FEAT_NODROP | linux.IORING_FEAT_SUBMIT_STABLE |
		linux.IORING_FEAT_RW_CUR_POS | linux.IORING_FEAT_CUR_PERSONALITY | linux.IORING_FEAT_FAST_POLL |
		linux.IORING_FEAT_POLL_32BITS | linux.IORING_FEAT_SQPOLL_NONFIXED | linux.IORING_FEAT_EXT_ARG |
		linux.IORING_FEAT_NATIVE_WORKERS | linux.IORING_FEAT_RSRC_TAGS | linux.IORING_FEAT_CQE_SKIP |
		linux.IORING_FEAT_LINKED_FILE
)

// IOPoll reports that files are to be polled for completion, which none here can.
func (q *Request) IOPoll() bool { return q.ring.flags&linux.IORING_SETUP_IOPOLL != 0 }

// A Ring is what io_uring_setup(2) makes.
type Ring struct {
	vfs.FileDefaults
	mem                  memory
	flags                uint32
	sqEntries, cqEntries uint32

	mu       sync.Mutex // guards what follows
	sqHead   uint32
	users    []*user    // whose requests there are
	parked   []requests // that wait; see park
	free     *Request
	todo     []*Request // to be issued before mu is released
	deferred []*deferredRequest
	started  uint64 // requests that were submitted, and that ended
	ended    uint64
	timeouts []*Request // pending ones that wait for a number of completions
	dropped  []*vfs.File
	told     []*Ring // that got messages
	workers  int
	waiting  []*Request // for a worker
	closed   bool
	resources
	sq *sqThread

	issuer   atomic.Pointer[task.Thread] // IORING_SETUP_SINGLE_ISSUER
	disabled atomic.Bool

	cqMu       sync.Mutex // guards what follows
	cqTail     uint32
	overflow   []linux.IOURingCQE
	postedTail atomic.Uint32 // cqTail, for those who do not hold cqMu
	lost       atomic.Bool   // a completion was dropped, and nobody was told of it
	posted     uint32        // completions so far
	signalled  uint32        // those that others were told of
	timedOut   uint32        // those of timeouts, which do not count for timeouts; guarded by mu

	readyMu sync.Mutex // guards what follows
	ready   []*Request
	spare   []*Request
	gone    bool         // the ring has ended
	running bool         // a goroutine looks at what is ready
	waiters int          // threads that do, while they wait for completions
	want    uint32       // the fewest completions that one of them waits for
	cqWait  wait.Queue   // they
	pollers wait.Queue   // poll(2) of the ring
	eventfd atomic.Value // eventTarget
}

// Held implements vfs.Holder: the shared memory, requests, and completions that did not fit.
func (r *Ring) Held() int64 {
	n := int64(len(r.mem.rings)+len(r.mem.sqes)) * pageSize
	if r.mu.TryLock() {
		n += int64(r.started-r.ended) * requestCost
		r.mu.Unlock()
	}
	if r.cqMu.TryLock() {
		n += int64(len(r.overflow)) * cqeSize
		r.cqMu.Unlock()
	}
	return n
}

// requestCost is about what a request takes.
const requestCost = 640

type eventTarget struct {
	file  *vfs.File
	async bool // IORING_REGISTER_EVENTFD_ASYNC
}

// Of returns the ring behind an open file, nil if it is something else.
func Of(f *vfs.File) *Ring {
	r, _ := f.Impl().(*Ring)
	return r
}

// Setup is io_uring_setup(2): it fills in what p tells the program.
func Setup(t *task.Thread, entries uint32, p *linux.IOURingParams) (*Ring, error) {
	opsOnce.Do(fillOps)
	f := p.Flags
	if f&^knownFlags != 0 || p.Resv != [3]uint32{} {
		return nil, unix.EINVAL
	}
	if f&linux.IORING_SETUP_SQPOLL != 0 {
		if f&(linux.IORING_SETUP_COOP_TASKRUN|linux.IORING_SETUP_TASKRUN_FLAG|linux.IORING_SETUP_DEFER_TASKRUN) != 0 {
			return nil, unix.EINVAL
		}
		if f&linux.IORING_SETUP_SQ_AFF != 0 && int(p.SQThreadCPU) >= cpu.NumCPU() {
			return nil, unix.EINVAL
		}
	} else if f&linux.IORING_SETUP_SQ_AFF != 0 {
		return nil, unix.EINVAL
	}
	if f&linux.IORING_SETUP_TASKRUN_FLAG != 0 && f&(linux.IORING_SETUP_COOP_TASKRUN|linux.IORING_SETUP_DEFER_TASKRUN) == 0 {
		return nil, unix.EINVAL
	}
	if f&linux.IORING_SETUP_DEFER_TASKRUN != 0 && f&linux.IORING_SETUP_SINGLE_ISSUER == 0 {
		return nil, unix.EINVAL
	}
	if entries == 0 {
		return nil, unix.EINVAL
	}
	clamp := f&linux.IORING_SETUP_CLAMP != 0
	if entries > maxEntries {
		if !clamp {
			return nil, unix.EINVAL
		}
		entries = maxEntries
	}
	sq := powerOfTwo(entries)
	cq := 2 * sq
	if f&linux.IORING_SETUP_CQSIZE != 0 {
		n := p.CQEntries
		if n == 0 {
			return nil, unix.EINVAL
		}
		if n > maxCQEntries {
			if !clamp {
				return nil, unix.EINVAL
			}
			n = maxCQEntries
		}
		if cq = powerOfTwo(n); cq < sq {
			return nil, unix.EINVAL
		}
	}
	r := &Ring{flags: f, sqEntries: sq, cqEntries: cq}
	r.eventfd.Store(eventTarget{})
	if err := r.mem.init(sq, cq); err != nil {
		return nil, err
	}
	r.disabled.Store(f&linux.IORING_SETUP_R_DISABLED != 0)
	if f&linux.IORING_SETUP_SINGLE_ISSUER != 0 && !r.disabled.Load() {
		r.issuer.Store(t)
	}
	if f&linux.IORING_SETUP_SQPOLL != 0 {
		r.startSQThread(t, p.SQThreadIdle)
	}
	p.SQEntries, p.CQEntries, p.Features = sq, cq, features
	p.SQOff = linux.IOSQRingOffsets{Head: offSQHead, Tail: offSQTail, RingMask: offSQMask, RingEntries: offSQEntries,
		Flags: offSQFlags, Dropped: offSQDropped, Array: r.mem.array}
	p.CQOff = linux.IOCQRingOffsets{Head: offCQHead, Tail: offCQTail, RingMask: offCQMask, RingEntries: offCQEntries,
		Overflow: offCQOverflow, CQEs: offCQEs, Flags: offCQFlags}
	return r, nil
}

func powerOfTwo(n uint32) uint32 {
	p := uint32(1)
	for p < n {
		p <<= 1
	}
	return p
}

// NewFile makes the open file of a ring.
func NewFile(r *Ring) *vfs.File { return vfs.NewFile(r, Name, unix.O_RDWR) }

// CheckMmap is asked by mmap(2): n bytes at off must lie in one of the parts.
func (r *Ring) CheckMmap(off, n uint64) error {
	frames, in := r.mem.part(off)
	if in != 0 || n > uint64(len(frames))*pageSize {
		return unix.EINVAL
	}
	return nil
}

// NotPassable marks a file that SCM_RIGHTS does not take: a ring that is reached
// through a socket that it has itself would never end.
func (*Ring) NotPassable() {}

// Mmap implements vfs.FileImpl.
func (r *Ring) Mmap(*vfs.File) (*mm.Cache, error) { return r.mem.cache, nil }

// unlock releases mu, after what is left to do under it; then files that requests
// had are closed, and those who wait are told of completions. async: these did
// not come while their requests were submitted.
func (r *Ring) unlock(async bool) {
	r.settle()
	var few [16]*vfs.File
	dead := few[:0]
	if n := len(r.dropped); n <= len(few) {
		dead = append(dead, r.dropped...)
		clear(r.dropped)
		r.dropped = r.dropped[:0]
	} else {
		dead, r.dropped = r.dropped, nil
	}
	told := r.told
	r.told = nil
	r.mu.Unlock()
	for _, o := range told {
		o.signal(true)
	}
	for _, f := range dead {
		f.Release()
	}
	r.signal(async)
}

// settle issues what became due. mu is held.
func (r *Ring) settle() {
	for {
		for len(r.todo) > 0 {
			q := r.todo[0]
			r.todo = r.todo[1:]
			r.issue(q)
		}
		r.todo = nil
		r.checkDeferred()
		r.checkTimeouts()
		if len(r.todo) == 0 {
			return
		}
	}
}

// drop releases a file once mu is not held.
func (r *Ring) drop(f *vfs.File) {
	if f != nil {
		r.dropped = append(r.dropped, f)
	}
}

// Readiness implements vfs.FileImpl.
func (r *Ring) Readiness() wait.Events {
	var ev wait.Events
	if r.mem.load(offSQTail)-r.mem.load(offSQHead) < r.sqEntries {
		ev |= wait.Writable
	}
	if r.available() > 0 || r.overflown() || r.deferredWork() {
		ev |= wait.Readable
	}
	return ev
}

// deferredWork reports whether a thread has to enter to see completions.
func (r *Ring) deferredWork() bool {
	if r.flags&linux.IORING_SETUP_DEFER_TASKRUN == 0 {
		return false
	}
	r.readyMu.Lock()
	defer r.readyMu.Unlock()
	return len(r.ready) > 0
}

// Queue implements vfs.FileImpl.
func (r *Ring) Queue() *wait.Queue { return &r.pollers }

// Release ends the ring: its requests are cancelled. The last reference may be
// dropped by a request of another ring, so nothing is waited for.
func (r *Ring) Release() {
	if r.mu.TryLock() {
		r.close()
	} else {
		go func() {
			r.mu.Lock()
			r.close()
		}()
	}
}

// close ends the ring. mu is held, and released.
func (r *Ring) close() {
	r.closed = true
	r.readyMu.Lock()
	r.gone, r.ready = true, nil
	r.readyMu.Unlock()
	if r.sq != nil {
		r.sq.stop()
	}
	r.cancelAll(func(*Request) bool { return true })
	r.settle()
	r.freeResources()
	users := r.users
	r.users = nil
	for _, u := range users {
		u.drop()
	}
	ev := r.eventfd.Swap(eventTarget{}).(eventTarget)
	dead := r.dropped
	r.dropped = nil
	r.mu.Unlock()
	for _, f := range dead {
		f.Release()
	}
	if ev.file != nil {
		ev.file.Release()
	}
	for _, u := range users {
		unregister(r, u.proc)
	}
	r.mem.free()
}

// validEventfd returns the counter behind a file.
func validEventfd(f *vfs.File) bool {
	_, ok := f.Impl().(*eventfd.Counter)
	return ok
}
