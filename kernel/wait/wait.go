// Package wait is how kernel code sleeps and is woken: queues of waiters that watch for poll events, and the sleeper
// that every thread of the application has.
//
// Lock order:
//
//	Queue.mu (a waiter's Notify runs under it, and may take only Sleeper and epoll's own ready-list locks)
//	timers.mu
package wait

import "sync"

// Events is a set of poll(2) events, with Linux's values.
type Events uint32

// The events of poll(2) (include/uapi/asm-generic/poll.h).
const (
	In     Events = 0x0001
	Pri    Events = 0x0002
	Out    Events = 0x0004
	Err    Events = 0x0008
	Hup    Events = 0x0010
	NVal   Events = 0x0020
	RdNorm Events = 0x0040
	RdBand Events = 0x0080
	WrNorm Events = 0x0100
	WrBand Events = 0x0200
	RdHup  Events = 0x2000

	// Readable and Writable are what files report; poll(2) masks them.
	Readable = In | RdNorm
	Writable = Out | WrNorm
)

// A Waiter is one registration in a Queue. Notify is called with the events
// that happened, with the queue locked: it must not block, and must not touch
// the queue.
type Waiter struct {
	Notify func(Events)
	Mask   Events

	// Exclusive waiters (EPOLLEXCLUSIVE, accept(2)) are woken one at a time.
	Exclusive bool

	// Pass is set by Notify of an exclusive waiter when it woke nobody: the next
	// one is told too.
	Pass bool

	queue      *Queue
	next, prev *Waiter
}

// A Queue is the list of waiters of one object: a pipe, a socket, a futex
// bucket. Its zero value is ready to use.
type Queue struct {
	mu   sync.Mutex
	head *Waiter
	tail *Waiter
}

// Add registers w. A waiter is in one queue at a time.
func (q *Queue) Add(w *Waiter) {
	q.mu.Lock()
	w.queue = q
	w.prev, w.next = q.tail, nil
	if q.tail != nil {
		q.tail.next = w
	} else {
		q.head = w
	}
	q.tail = w
	q.mu.Unlock()
}

// Remove takes w out of q; it does nothing if w is not in q. After it returns,
// w.Notify is not running and will not be called.
func (q *Queue) Remove(w *Waiter) {
	q.mu.Lock()
	if w.queue == q {
		if w.prev != nil {
			w.prev.next = w.next
		} else {
			q.head = w.next
		}
		if w.next != nil {
			w.next.prev = w.prev
		} else {
			q.tail = w.prev
		}
		w.queue, w.next, w.prev = nil, nil, nil
	}
	q.mu.Unlock()
}

// Notify tells the waiters whose mask meets ev. Err and Hup reach everyone.
func (q *Queue) Notify(ev Events) {
	q.mu.Lock()
	exclusive := false
	for w := q.head; w != nil; w = w.next {
		if (w.Mask|Err|Hup)&ev == 0 || w.Exclusive && exclusive {
			continue
		}
		w.Notify(ev)
		exclusive = exclusive || w.Exclusive && !w.Pass
	}
	q.mu.Unlock()
}

// Empty reports whether nobody waits, so that a notifier can skip its work.
func (q *Queue) Empty() bool {
	q.mu.Lock()
	empty := q.head == nil
	q.mu.Unlock()
	return empty
}
