package uring

import (
	"sync/atomic"

	"gosv/abi/linux"
	"gosv/kernel/fs/eventfd"
	"gosv/kernel/wait"
)

// maxOverflow bounds the completions behind a full ring. Linux drops them only when
// memory runs out.
const maxOverflow = 1 << 16

// post puts a completion into the ring, or behind it if it is full: no completion
// is lost (IORING_FEAT_NODROP) while the program takes them now and then.
func (r *Ring) post(data uint64, res int32, flags uint32) {
	c := linux.IOURingCQE{UserData: data, Res: res, Flags: flags}
	r.cqMu.Lock()
	switch {
	case len(r.overflow) == 0 && r.put(&c):
	case len(r.overflow) < maxOverflow:
		r.overflow = append(r.overflow, c)
		r.setSQFlag(linux.IORING_SQ_CQ_OVERFLOW, true)
	default:
		r.mem.store(offCQOverflow, r.mem.load(offCQOverflow)+1)
		r.lost.Store(true)
	}
	r.posted++
	r.cqMu.Unlock()
}

// tryPost is post without room behind the ring: false if it is full.
func (r *Ring) tryPost(data uint64, res int32, flags uint32) bool {
	c := linux.IOURingCQE{UserData: data, Res: res, Flags: flags}
	r.cqMu.Lock()
	ok := len(r.overflow) == 0 && r.put(&c)
	if ok {
		r.posted++
	}
	r.cqMu.Unlock()
	return ok
}

// put fills the next entry; false if the ring is full. cqMu is held.
func (r *Ring) put(c *linux.IOURingCQE) bool {
	// The program writes the head: one that makes no sense means a full ring.
	if r.cqTail-r.mem.load(offCQHead) >= r.cqEntries {
		return false
	}
	r.mem.setCQE(r.cqTail&(r.cqEntries-1), c)
	r.cqTail++
	r.postedTail.Store(r.cqTail)
	r.mem.store(offCQTail, r.cqTail)
	return true
}

// flushOverflow moves completions that found the ring full into it.
func (r *Ring) flushOverflow() {
	r.cqMu.Lock()
	n := 0
	for n < len(r.overflow) && r.put(&r.overflow[n]) {
		n++
	}
	r.overflow = r.overflow[n:]
	if len(r.overflow) == 0 {
		r.overflow = nil
		r.setSQFlag(linux.IORING_SQ_CQ_OVERFLOW, false)
	}
	r.cqMu.Unlock()
}

// total is how many completions there were so far.
func (r *Ring) total() uint32 {
	r.cqMu.Lock()
	defer r.cqMu.Unlock()
	return r.posted
}

// setSQFlag sets or clears a bit that the program reads.
func (r *Ring) setSQFlag(bit uint32, on bool) {
	if p := r.mem.word(offSQFlags); on {
		atomic.OrUint32(p, bit)
	} else {
		atomic.AndUint32(p, ^bit)
	}
}

func (r *Ring) overflown() bool { return r.mem.load(offSQFlags)&linux.IORING_SQ_CQ_OVERFLOW != 0 }

// available is how many completions the program has not taken.
func (r *Ring) available() uint32 {
	return min(r.postedTail.Load()-r.mem.load(offCQHead), r.cqEntries)
}

// signal tells those who wait of completions that came since the last time. No
// lock is held.
func (r *Ring) signal(async bool) {
	r.cqMu.Lock()
	news := r.posted != r.signalled
	r.signalled = r.posted
	r.cqMu.Unlock()
	if !news {
		return
	}
	r.readyMu.Lock()
	wake := r.waiters > 0 && (r.available() >= r.want || r.overflown())
	r.readyMu.Unlock()
	if wake {
		r.cqWait.Notify(wait.In)
	}
	r.announce(async)
}

// announce tells pollers and the eventfd; async: the completion did not come while
// its request was submitted.
func (r *Ring) announce(async bool) {
	if !r.pollers.Empty() {
		r.pollers.Notify(wait.Readable)
	}
	ev := r.eventfd.Load().(eventTarget)
	if ev.file == nil || ev.async && !async || r.mem.load(offCQFlags)&linux.IORING_CQ_EVENTFD_DISABLED != 0 {
		return
	}
	r.mu.Lock()
	if ev = r.eventfd.Load().(eventTarget); ev.file != nil {
		ev.file.Retain()
	}
	r.mu.Unlock()
	if ev.file == nil {
		return
	}
	eventfd.Signal(ev.file)
	ev.file.Release()
}
