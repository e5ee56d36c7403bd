package mqueue

import (
	"slices"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/wait"
)

// block waits until try succeeds: EAGAIN for who does not want to wait,
// ETIMEDOUT, ERESTARTSYS. deadline is what wait.Sleeper.Sleep takes.
func (q *Queue) block(s *wait.Sleeper, nonblock bool, deadline int64, read bool, try func() bool) error {
	if try() {
		return nil
	}
	if nonblock {
		return unix.EAGAIN
	}
	w := wait.Waiter{Mask: ^wait.Events(0), Notify: func(wait.Events) { s.Wake() }}
	s.Clear()
	q.changed.Add(&w)
	defer q.changed.Remove(&w)
	if read {
		q.count(1)
		defer q.count(-1)
	}
	for !try() {
		switch s.Sleep(deadline) {
		case wait.Interrupted:
			return linux.ERESTARTSYS
		case wait.TimedOut:
			if try() {
				return nil
			}
			return unix.ETIMEDOUT
		default:
			s.AwaitTurn() // the message is for the thread of the highest priority
		}
	}
	return nil
}

func (q *Queue) count(n int) {
	q.mu.Lock()
	q.readers += n
	q.mu.Unlock()
}

// Send is mq_timedsend(2) by process pid; text is kept. EMSGSIZE, EINVAL, EAGAIN,
// ETIMEDOUT, ERESTARTSYS.
func (q *Queue) Send(s *wait.Sleeper, pid int, uid uint32, text []byte, priority uint32, nonblock bool, deadline int64) error {
	if priority >= maxPriority {
		return unix.EINVAL
	}
	if len(text) > q.size {
		return unix.EMSGSIZE
	}
	var tell *Notify
	err := q.block(s, nonblock, deadline, false, func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		if len(q.list) >= q.max {
			return false
		}
		i := len(q.list)
		for i > 0 && q.list[i-1].priority < priority {
			i--
		}
		q.list = slices.Insert(q.list, i, message{priority, text})
		q.bytes += len(text)
		if len(q.list) == 1 && q.notify != nil && q.readers == 0 {
			tell, q.notify = q.notify, nil
		}
		return true
	})
	if err != nil {
		return err
	}
	q.changed.Notify(wait.Readable)
	if tell != nil && tell.Send != nil {
		tell.Send(pid, uid)
	}
	return nil
}

// Receive is mq_timedreceive(2). EMSGSIZE, EAGAIN, ETIMEDOUT, ERESTARTSYS.
func (q *Queue) Receive(s *wait.Sleeper, room uint64, nonblock bool, deadline int64) (text []byte, priority uint32, err error) {
	if room < uint64(q.size) {
		return nil, 0, unix.EMSGSIZE
	}
	err = q.block(s, nonblock, deadline, true, func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		if len(q.list) == 0 {
			return false
		}
		text, priority = q.list[0].text, q.list[0].priority
		q.list = slices.Delete(q.list, 0, 1)
		q.bytes -= len(text)
		return true
	})
	if err == nil {
		q.changed.Notify(wait.Writable)
	}
	return text, priority, err
}

// SetNotify is mq_notify(2): EBUSY while another one is registered. nil takes away
// that of owner.
func (q *Queue) SetNotify(owner any, n *Notify) error {
	if n == nil {
		q.remove(func(n *Notify) bool { return n.Owner == owner })
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.notify != nil {
		return unix.EBUSY
	}
	q.notify = n
	return nil
}

// remove takes away the notification, if it is one of those meant.
func (q *Queue) remove(meant func(*Notify) bool) {
	q.mu.Lock()
	n := q.notify
	if n == nil || !meant(n) {
		q.mu.Unlock()
		return
	}
	q.notify = nil
	q.mu.Unlock()
	if n.Removed != nil {
		n.Removed()
	}
}

// Exit is the end of a process, which ends its notification.
func Exit(owner any) {
	root.mu.Lock()
	defer root.mu.Unlock()
	for _, q := range root.names {
		q.remove(func(n *Notify) bool { return n.Owner == owner })
	}
}
