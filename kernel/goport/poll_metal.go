//go:build metal

package goport

import (
	"sync/atomic"

	"gosv/kernel/cpu"
)

// The runtime's netpoller sees two descriptors that live here: its own eventfd (netpollBreak), and the interrupt file,
// which becomes readable when interrupts wait for PollInterrupts. sched.lock guards all of it.
var (
	pollData   [nSlots]uint64 // epoll_data
	pollReady  [nSlots]uint32
	pollET     [nSlots]uint32 // edge triggered: report once
	pollWaiter uint32         // the thread in epoll_wait
)

const (
	fdEpoll = 100
	fdEvent = 101
	fdIRQ   = 102

	eventSlot = 0
	irqSlot   = 1
	nSlots    = 2
)

//go:nosplit
func epollCtl(r *cpu.Regs) {
	n := r.DX - fdEvent
	if n >= nSlots || r.DI != fdEpoll || r.SI != 1 { // EPOLL_CTL_ADD
		r.AX = einval
		return
	}
	ev := uintptr(r.R10) // struct epoll_event is packed
	pollET[n] = cpu.Load32(ev) >> 31
	pollData[n] = uint64(cpu.Load32(ev+4)) | uint64(cpu.Load32(ev+8))<<32
}

// post marks slot n ready and wakes the netpoller.
//
//go:nosplit
func post(n uint32) {
	atomic.StoreUint32(&pollReady[n], 1)
	if pollWaiter != 0 {
		t := ref(pollWaiter)
		if collect(&t.Regs) {
			pollWaiter = 0
			ready(t)
		}
	}
}

// collect stores the ready events as the result of an epoll_wait: the event buffer is kernel memory, so that the waker
// can fill it in.
//
//go:nosplit
func collect(r *cpu.Regs) bool {
	r.AX = 0
	for n := range pollReady {
		if pollReady[n] == 0 || pollData[n] == 0 {
			continue
		}
		ev := uintptr(r.SI) + uintptr(r.AX)*12
		cpu.Store32(ev, 1) // EPOLLIN
		cpu.Store32(ev+4, uint32(pollData[n]))
		cpu.Store32(ev+8, uint32(pollData[n]>>32))
		r.AX++
		if pollET[n] != 0 {
			pollReady[n] = 0
		}
	}
	return r.AX != 0
}

//go:nosplit
func epollWait(c *cpu.CPU, t *thread, r *cpu.Regs) {
	ms := int32(r.R10)
	for o := uint64(0); o < nSlots*12; o += 4 {
		cpu.Store32(uintptr(r.SI+o), 0) // page in the event buffer before locking
	}
	var at int64
	if ms > 0 {
		at = cpu.Nanotime() + int64(ms)*1e6
	}
	lockSched()
	if collect(r) || ms == 0 || pollWaiter != 0 {
		unlockSched()
		return
	}
	pollWaiter = t.num()
	t.block(at)
	unlockSched()
	schedule(c)
}
