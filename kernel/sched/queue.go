package sched

import "math/bits"

// A queue holds the queued entities with one affinity, in two heaps: those above level 0, and the others.
type queue struct {
	mask     uint64
	rt, fair heap
}

// spareQueues is how many empty queues are kept.
const spareQueues = 8

func (s *scheduler) queueFor(mask uint64) *queue {
	for _, q := range s.queues {
		if q.mask == mask {
			return q
		}
	}
	q := &queue{mask: mask}
	s.queues = append(s.queues, q)
	return q
}

// number is a place behind all equals, or with front before them.
func (s *scheduler) number(front bool) int64 {
	if front {
		s.head--
		return s.head
	}
	s.tail++
	return s.tail
}

// enqueue queues e at the place seq among its equals.
func (s *scheduler) enqueue(e *Entity, seq, now int64) {
	e.seq = seq
	e.state = queued
	q := s.queueFor(s.mask(e))
	e.queue = q
	fair := e.level() == 0
	if fair {
		q.fair.push(e)
	} else {
		q.rt.push(e)
	}
	s.queued++
	for w := q.mask; w != 0; w &= w - 1 {
		at := &s.slots[bits.TrailingZeros64(w)]
		if r := at.run; r != nil && at.waiting == 0 && r.start < now {
			s.charge(r, now) // what it had before costs it nothing
		}
		at.waiting++
		if fair {
			if at.waitingFair == 0 {
				at.window, at.rt = now, 0
			}
			at.waitingFair++
		}
	}
	s.arm(now)
}

// dequeue takes e out of its queue.
func (s *scheduler) dequeue(e *Entity) {
	q := e.queue
	fair := e.index < len(q.fair) && q.fair[e.index] == e
	if fair {
		q.fair.remove(e)
	} else {
		q.rt.remove(e)
	}
	e.queue, e.state = nil, out
	s.queued--
	for w := q.mask; w != 0; w &= w - 1 {
		at := &s.slots[bits.TrailingZeros64(w)]
		at.waiting--
		if fair {
			at.waitingFair--
		}
	}
	if len(q.rt)+len(q.fair) == 0 && len(s.queues) > spareQueues {
		for i := range s.queues {
			if s.queues[i] == q {
				last := len(s.queues) - 1
				s.queues[i] = s.queues[last]
				s.queues[last] = nil
				s.queues = s.queues[:last]
				break
			}
		}
	}
}

// first returns the queued entity that is to have slot c next, nil if there is none.
func (s *scheduler) first(c int, now int64) *Entity {
	if s.slots[c].waiting == 0 {
		return nil
	}
	var rt, fair *Entity
	for _, q := range s.queues {
		if q.mask>>uint(c)&1 == 0 {
			continue
		}
		if len(q.rt) > 0 && (rt == nil || before(q.rt[0], rt)) {
			rt = q.rt[0]
		}
		if len(q.fair) > 0 && (fair == nil || before(q.fair[0], fair)) {
			fair = q.fair[0]
		}
	}
	if fair != nil && (rt == nil || now < s.slots[c].fairUntil) {
		return fair
	}
	return rt
}

// before reports whether a is to run before b.
func before(a, b *Entity) bool {
	la, lb := a.level(), b.level()
	switch {
	case la != lb:
		return la > lb
	case la == levelDeadline && a.due != b.due:
		return a.due < b.due
	case la == 0 && a.v != b.v:
		return a.v < b.v
	}
	return a.seq < b.seq
}

// heap is a binary heap by before.
type heap []*Entity

func (h *heap) push(e *Entity) {
	*h = append(*h, e)
	e.index = len(*h) - 1
	h.up(e.index)
}

func (h *heap) remove(e *Entity) {
	i, last := e.index, len(*h)-1
	(*h)[i] = (*h)[last]
	(*h)[i].index = i
	(*h)[last] = nil
	*h = (*h)[:last]
	if i < last {
		h.up(i)
		h.down(i)
	}
}

func (h heap) up(i int) {
	for i > 0 {
		p := (i - 1) / 2
		if !before(h[i], h[p]) {
			return
		}
		h.swap(i, p)
		i = p
	}
}

func (h heap) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if c+1 < len(h) && before(h[c+1], h[c]) {
			c++
		}
		if !before(h[c], h[i]) {
			return
		}
		h.swap(i, c)
		i = c
	}
}

func (h heap) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
