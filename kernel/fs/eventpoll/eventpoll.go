// Package eventpoll is epoll(7): an instance watches open files and keeps the list of those that became ready.
//
// An item gets on the ready list by a notification of its file, which may come
// at any moment; whether the file is really ready is asked when events are
// handed out. A level-triggered item goes back on the list after that, so that
// it is asked again the next time.
//
// Lock order:
//
//	Instance.mu (an outer instance before those that it watches)
//	the locks of watched files; graph.mu; File.hookMu
//	wait.Queue of a watched file
//	Instance.readyMu
//	the instance's own wait queues, then the next outer instance's readyMu
package eventpoll

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// Flags of an event, above the poll events (include/uapi/linux/eventpoll.h).
const (
	flagExclusive = 1 << 28
	flagWakeup    = 1 << 29
	flagOneshot   = 1 << 30
	flagEdge      = 1 << 31

	flags       = flagExclusive | flagWakeup | flagOneshot | flagEdge
	exclusiveOK = uint32(wait.In|wait.Out|wait.Err|wait.Hup) | flagWakeup | flagEdge | flagExclusive
)

// An Instance is what epoll_create(2) makes.
type Instance struct {
	vfs.FileDefaults

	mu    sync.Mutex // guards items and what is in them, and the batch
	items map[key]*item
	batch batch

	readyMu    sync.Mutex
	head, tail *item
	ready      int

	waiters wait.Queue // threads in epoll_wait
	pollers wait.Queue // poll(2) of the instance, and instances that watch it

	node node
	user *vfs.User // who made the instance: its items count there
}

// key names an item: the same file may be watched through several descriptors.
type key struct {
	file *vfs.File
	fd   int
}

type item struct {
	ep     *Instance
	key    key
	queue  *wait.Queue
	waiter wait.Waiter
	hook   vfs.CloseHook
	inner  *Instance // the watched instance, if the file is one
	data   uint64
	gone   bool

	events atomic.Uint32 // what is watched, with the flags; no events at all: disabled by EPOLLONESHOT

	// Guarded by ep.readyMu.
	queued     bool
	next, prev *item
}

// New returns an instance of a user that watches nothing.
func New(uid uint32) *Instance { return &Instance{items: make(map[key]*item), user: vfs.UserOf(uid)} }

// Control is epoll_ctl(2): op is one of unix.EPOLL_CTL_*. The caller holds a
// reference to f, which descriptor fd named. Errors: EPERM when the file cannot
// be watched, EINVAL, EEXIST, ENOENT, ELOOP, ENOSPC.
func (ep *Instance) Control(op, fd int, f *vfs.File, events uint32, data uint64) error {
	inner, nested := f.Impl().(*Instance)
	q := f.Queue()
	if q == nil {
		return unix.EPERM
	}
	if inner == ep {
		return unix.EINVAL
	}
	if op != unix.EPOLL_CTL_DEL && events&flagExclusive != 0 {
		if op == unix.EPOLL_CTL_MOD || op == unix.EPOLL_CTL_ADD && (nested || events&^exclusiveOK != 0) {
			return unix.EINVAL
		}
	}
	k := key{f, fd}
	ep.mu.Lock()
	defer ep.mu.Unlock()
	it := ep.items[k]
	switch op {
	case unix.EPOLL_CTL_ADD:
		if nested {
			if err := link(ep, inner); err != nil {
				return err
			}
		}
		var err error
		switch {
		case it != nil:
			err = unix.EEXIST
		case ep.items == nil: // released
			err = unix.EBADF
		case uint64(ep.user.EpollItems.Load()) >= MaxWatches():
			err = unix.ENOSPC
		default:
			ep.add(k, q, inner, events, data)
		}
		if err != nil && nested {
			unlink(ep, inner)
		}
		return err
	case unix.EPOLL_CTL_DEL:
		if it == nil {
			return unix.ENOENT
		}
		ep.remove(it)
	case unix.EPOLL_CTL_MOD:
		if it == nil {
			return unix.ENOENT
		}
		if it.events.Load()&flagExclusive != 0 {
			return unix.EINVAL
		}
		it.data = data
		it.events.Store(events | uint32(wait.Err|wait.Hup))
		it.check()
	default:
		return unix.EINVAL
	}
	return nil
}

// Held implements vfs.Holder.
func (ep *Instance) Held() int64 {
	if !ep.mu.TryLock() {
		return 0
	}
	defer ep.mu.Unlock()
	return int64(len(ep.items)) * itemCost
}

// itemCost is about what an item takes with its entry in the map.
const itemCost = 320

func (ep *Instance) add(k key, q *wait.Queue, inner *Instance, events uint32, data uint64) {
	it := &item{ep: ep, key: k, queue: q, inner: inner, data: data}
	events |= uint32(wait.Err | wait.Hup)
	it.events.Store(events)
	it.hook.Func = it.closed
	it.waiter.Notify = it.notify
	it.waiter.Mask = ^wait.Events(0) // notify looks at events, which may change
	if events&flagExclusive != 0 {
		it.waiter.Mask = wait.Events(events &^ flags)
		it.waiter.Exclusive = true
	}
	ep.items[k] = it
	ep.user.EpollItems.Add(1)
	k.file.OnClose(&it.hook)
	q.Add(&it.waiter)
	it.check()
}

// remove forgets an item. ep.mu is held.
func (ep *Instance) remove(it *item) {
	it.gone = true
	it.queue.Remove(&it.waiter)
	it.key.file.RemoveHook(&it.hook)
	ep.readyMu.Lock()
	ep.dequeue(it)
	ep.readyMu.Unlock()
	delete(ep.items, it.key)
	ep.user.EpollItems.Add(-1)
	if it.inner != nil {
		unlink(ep, it.inner)
	}
}

// closed is the hook for the end of the watched file.
func (it *item) closed(*vfs.File) {
	it.ep.mu.Lock()
	if !it.gone {
		it.ep.remove(it)
	}
	it.ep.mu.Unlock()
}

// check puts an item on the ready list if its file is ready now.
func (it *item) check() {
	if uint32(it.key.file.Readiness())&it.events.Load() != 0 {
		it.enqueue()
	}
}

// notify is called by the file's queue, with that queue locked.
func (it *item) notify(ev wait.Events) {
	if uint32(ev)&it.events.Load()&^flags != 0 {
		// An instance that nobody waits for just now does not use up an event
		// that is to wake one thread.
		it.waiter.Pass = it.ep.waiters.Empty()
		it.enqueue()
	}
}

// enqueue puts the item on the ready list, and tells those who wait.
func (it *item) enqueue() {
	ep := it.ep
	ep.readyMu.Lock()
	ep.enqueue(it)
	ep.readyMu.Unlock()
	ep.waiters.Notify(wait.In)
	ep.pollers.Notify(wait.Readable)
}

func (ep *Instance) enqueue(it *item) {
	if it.queued {
		return
	}
	it.queued = true
	it.prev, it.next = ep.tail, nil
	if ep.tail != nil {
		ep.tail.next = it
	} else {
		ep.head = it
	}
	ep.tail = it
	ep.ready++
}

func (ep *Instance) dequeue(it *item) {
	if !it.queued {
		return
	}
	it.queued = false
	if it.prev != nil {
		it.prev.next = it.next
	} else {
		ep.head = it.next
	}
	if it.next != nil {
		it.next.prev = it.prev
	} else {
		ep.tail = it.prev
	}
	it.next, it.prev = nil, nil
	ep.ready--
}

// pop takes the first item off the ready list; a notification that comes from
// now on puts it back.
func (ep *Instance) pop() *item {
	ep.readyMu.Lock()
	it := ep.head
	if it != nil {
		ep.dequeue(it)
	}
	ep.readyMu.Unlock()
	return it
}

func (ep *Instance) requeue(it *item) {
	ep.readyMu.Lock()
	ep.enqueue(it)
	ep.readyMu.Unlock()
}

func (ep *Instance) readyCount() int {
	ep.readyMu.Lock()
	defer ep.readyMu.Unlock()
	return ep.ready
}

// Readiness says In when an event can be had. Items that turn out not to be
// ready leave the list, as when events are handed out.
func (ep *Instance) Readiness() wait.Events {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	for n := ep.readyCount(); n > 0; n-- {
		it := ep.pop()
		if it == nil {
			break
		}
		if uint32(it.key.file.Readiness())&it.events.Load()&^flags != 0 {
			ep.requeueFirst(it)
			return wait.Readable
		}
	}
	return 0
}

func (ep *Instance) requeueFirst(it *item) {
	ep.readyMu.Lock()
	defer ep.readyMu.Unlock()
	if it.queued {
		return
	}
	it.queued = true
	it.prev, it.next = nil, ep.head
	if ep.head != nil {
		ep.head.prev = it
	} else {
		ep.tail = it
	}
	ep.head = it
	ep.ready++
}

// Queue is for poll(2) and outer instances.
func (ep *Instance) Queue() *wait.Queue { return &ep.pollers }

// Release ends the instance.
func (ep *Instance) Release() {
	ep.mu.Lock()
	for _, it := range ep.items {
		ep.remove(it)
	}
	ep.items = nil
	ep.mu.Unlock()
	ep.user.Release()
}

// FDInfo appends what /proc/PID/fdinfo shows: a line per item.
func (ep *Instance) FDInfo(b []byte) []byte {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	for k, it := range ep.items {
		b = appendItem(b, k.fd, it)
	}
	return b
}
