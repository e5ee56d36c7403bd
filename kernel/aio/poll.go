package aio

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// A poll is IOCB_CMD_POLL in flight.
type poll struct {
	c         *Context
	f, resfd  *vfs.File
	data, obj uint64
	events    wait.Events
	queue     *wait.Queue
	waiter    wait.Waiter
	cancelled bool // guarded by Context.mu
	listed    bool // guarded by Context.readyMu
}

// Poll waits for events of f, whose reference it takes over, as that of resfd,
// which may be nil. The request has begun.
func (c *Context) Poll(f, resfd *vfs.File, events wait.Events, data, obj uint64) {
	p := &poll{c: c, f: f, resfd: resfd, data: data, obj: obj, events: events | wait.Err | wait.Hup, queue: f.Queue()}
	p.waiter = wait.Waiter{Mask: p.events, Notify: func(wait.Events) { p.wake() }}
	if p.queue != nil {
		p.queue.Add(&p.waiter)
	}
	c.mu.Lock()
	if c.dead {
		c.inflight--
		c.mu.Unlock()
		p.drop()
		return
	}
	// A second poll with the same iocb cannot be cancelled.
	if _, known := c.polls[obj]; known {
		c.polls[^obj] = p
	} else {
		c.polls[obj] = p
	}
	c.mu.Unlock()
	c.look(p)
}

// wake has a goroutine look at the poll: an event may not be posted while the
// queue of a file is locked, for the eventfd may be that file.
func (p *poll) wake() {
	c := p.c
	c.readyMu.Lock()
	if !p.listed {
		p.listed = true
		c.ready = append(c.ready, p)
		if !c.running {
			c.running = true
			go c.serve()
		}
	}
	c.readyMu.Unlock()
}

func (c *Context) serve() {
	for {
		c.readyMu.Lock()
		list := c.ready
		c.ready = nil
		for _, p := range list {
			p.listed = false
		}
		if len(list) == 0 {
			c.running = false
			c.readyMu.Unlock()
			return
		}
		c.readyMu.Unlock()
		for _, p := range list {
			c.look(p)
		}
	}
}

// look completes a poll whose events there are, or which was cancelled.
func (c *Context) look(p *poll) {
	c.mu.Lock()
	key := p.obj
	if c.polls[key] != p {
		key = ^p.obj
	}
	if c.polls[key] != p {
		c.mu.Unlock()
		return
	}
	ev := wait.Events(0)
	if !p.cancelled {
		if ev = p.f.Readiness() & p.events; ev == 0 && p.queue != nil {
			c.mu.Unlock()
			return
		}
	}
	delete(c.polls, key)
	c.mu.Unlock()
	resfd := p.resfd
	p.resfd = nil
	p.drop()
	c.Complete(p.data, p.obj, int64(ev), resfd)
}

// drop takes the poll out of its file's queue.
func (p *poll) drop() {
	if p.queue != nil {
		p.queue.Remove(&p.waiter)
	}
	p.f.Release()
	if p.resfd != nil {
		p.resfd.Release()
	}
}

// Cancel is io_cancel(2) for the request of the iocb at obj: EINPROGRESS, for the
// event will tell, or EINVAL if it cannot be cancelled.
func (c *Context) Cancel(obj uint64) error {
	c.mu.Lock()
	p := c.polls[obj]
	if p == nil || p.cancelled {
		c.mu.Unlock()
		return unix.EINVAL
	}
	p.cancelled = true
	c.mu.Unlock()
	p.wake()
	return unix.EINPROGRESS
}
