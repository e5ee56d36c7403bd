package net

import (
	"sync/atomic"
	_ "unsafe" // for linkname

	"gosv/kernel/cpu"
	"gosv/kernel/wait"
)

// Telling a device that there are packets is what costs most of sending them: the
// hypervisor stops the CPU and serves the queue. When packets follow each other
// the device is told of several at once: of what a thread sends when the thread
// blocks, of what the stack answers to received packets at the end of the batch
// (xmit_more in Linux serves the latter). A packet that comes alone is not held
// up.
var unsent struct {
	holders atomic.Int32 // who send and will block or end their batch soon
	packets atomic.Int32 // that devices were not told of
	before  atomic.Int32 // packets at the begin of a batch
	last    atomic.Int64 // when something was sent
	links   atomic.Pointer[[]*link]
	timer   wait.Timer
	timing  atomic.Bool // timer runs
}

const (
	// unsentLimit is how many packets are told at the latest.
	unsentLimit = 32

	// unsentPause is the time without packets after which the next one is told at
	// once, in nanoseconds.
	unsentPause = 500e3

	// unsentTime is how long packets wait at the most, if the thread that sent
	// them computes and makes no call. It is long because the timer is not free.
	unsentTime = 2e6
)

func init() {
	wait.OnDeferred(Flush)
	tcpBeginBatch, tcpEndBatch = beginBatch, endBatch
}

// The TCP implementation's calls around a batch of received segments; see
// host/mkkernel/deps/delack.go.txt.
//
//go:linkname tcpBeginBatch gvisor.dev/gvisor/pkg/tcpip/transport/tcp.BeginBatch
var tcpBeginBatch func()

//go:linkname tcpEndBatch gvisor.dev/gvisor/pkg/tcpip/transport/tcp.EndBatch
var tcpEndBatch func()

// Hold lets packets wait from now on until Unhold. The caller is a thread of the
// application, or calls Flush.
func Hold() { unsent.holders.Add(1) }

// Unhold ends Hold. What waits is sent when the thread blocks or has run a while.
func Unhold() { unsent.holders.Add(-1) }

// beginBatch and endBatch are around the work on received segments. What threads
// of the application hold back stays so if there is no answer.
func beginBatch() {
	unsent.before.Store(unsent.packets.Load())
	Hold()
}

func endBatch() {
	Unhold()
	if unsent.packets.Load() > unsent.before.Load() {
		Flush()
	}
}

// Flush tells the devices of all packets.
func Flush() {
	wait.Undefer()
	unsent.packets.Store(0)
	if links := unsent.links.Load(); links != nil {
		for _, l := range *links {
			l.kick(l.unsent.Swap(0))
		}
	}
}

// flushed makes Flush tell the link's device, too.
func flushed(l *link) {
	for {
		old := unsent.links.Load()
		links := []*link{l}
		if old != nil {
			links = append(links, *old...)
		}
		if unsent.links.CompareAndSwap(old, &links) {
			return
		}
	}
}

// hold notes that queues of the link have n packets more, and reports whether
// the device need not be told just now.
func (l *link) hold(queues uint32, n int) bool {
	if unsent.holders.Load() == 0 {
		return false
	}
	now := cpu.Nanotime()
	if now-unsent.last.Swap(now) > unsentPause {
		return false
	}
	if unsent.packets.Add(int32(n)) >= unsentLimit {
		Flush()
		return false
	}
	l.unsent.Or(queues)
	if wait.Defer(now) && !unsent.timing.Swap(true) {
		unsent.timer.Start(now+unsentTime, unsentDue)
	}
	return true
}

// unsentDue runs while packets are sent, on the timers' goroutine.
func unsentDue() {
	since := wait.DeferredSince()
	now := cpu.Nanotime()
	switch {
	case since == 0:
		unsent.timing.Store(false)
		if since = wait.DeferredSince(); since == 0 || unsent.timing.Swap(true) {
			return
		}
	case now-since >= unsentTime:
		unsent.timing.Store(false)
		Flush()
		return
	}
	unsent.timer.Start(since+unsentTime, unsentDue)
}

// kick tells the device of packets.
func (l *link) kick(queues uint32) {
	for q := 0; queues != 0; q, queues = q+1, queues>>1 {
		if queues&1 != 0 {
			l.dev.Kick(q)
		}
	}
}
