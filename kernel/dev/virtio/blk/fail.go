package blk

import (
	"strconv"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
	"gosv/kernel/wait"
)

// watchLimit is how many times in a row the watch may find that the device has completed nothing. The time is counted in
// steps: a machine that was stopped for long gets one step more, not a time-out.
const watchLimit = 12

// watchInterval is the time between looks, in nanoseconds.
var watchInterval int64 = 5e9

// maxReports is how many failed requests are logged.
const maxReports = 10

// watch looks after a device that has requests. Its fields are guarded by Disk.mu.
type watch struct {
	timer wait.Timer
	on    bool
	ended uint64 // Disk.ended at the last look
	idle  int    // looks that found nothing new
}

// working reports whether the device has requests. mu is held.
func (d *Disk) working() bool { return len(d.free) < slots || d.waiting != nil }

// watchLocked starts the watch if it is not on and the device has something to do. mu is held.
func (d *Disk) watchLocked() {
	if d.watch.on || !d.working() {
		return
	}
	d.watch.on, d.watch.ended, d.watch.idle = true, d.ended, 0
	d.watch.timer.Start(cpu.Nanotime()+watchInterval, d.look)
}

// look is the watch. What the device has completed without an interrupt is taken, too.
func (d *Disk) look() {
	d.mu.Lock()
	finished := d.reap()
	switch {
	case d.dead || !d.working() || d.dev.CheckStatus():
		d.watch.on = false
	case d.ended != d.watch.ended:
		d.watch.ended, d.watch.idle = d.ended, 0
	case d.watch.idle+1 < watchLimit:
		d.watch.idle++
	default:
		d.watch.on = false
		d.dev.Fail("it has not completed a request for " + strconv.Itoa(int(watchLimit*watchInterval/1e9)) + " s")
	}
	if d.watch.on {
		d.watch.timer.Start(cpu.Nanotime()+watchInterval, d.look)
	}
	d.mu.Unlock()
	d.run(finished)
}

// failed ends all transfers with EIO; the device was reset. If it may still touch memory, the frames that it has are kept for
// ever.
func (d *Disk) failed(quiet bool) {
	d.mu.Lock()
	d.dead = true
	var list *transfer
	end := func(t *transfer) {
		if t != nil && !t.failed {
			t.failed, t.err = true, unix.EIO
			d.account(t)
			t.next, list = list, t
		}
	}
	for t := d.waiting; t != nil; {
		next := t.next
		end(t)
		t = next
	}
	for _, t := range d.slots {
		end(t)
		if t == nil || quiet || t.kept {
			continue
		}
		t.kept = true
		for _, f := range t.all {
			f.Ref()
		}
		if t.mem != 0 {
			t.mem.Ref()
		}
	}
	d.waiting, d.last = nil, nil
	d.mu.Unlock()
	d.run(list)
}

// report logs a transfer that failed.
func (d *Disk) report(t *transfer) {
	n := d.reports.Add(1)
	if n > maxReports {
		return
	}
	op := "read"
	switch t.op {
	case typeOut:
		op = "write"
	case typeFlush:
		op = "flush"
	case typeDiscard:
		op = "discard"
	}
	line := "gosv: virtio-blk: I/O error, " + op + " of sectors " + strconv.FormatUint(t.first, 10) + " to " + strconv.FormatUint(max(t.end, t.first+1)-1, 10)
	if n == maxReports {
		line += "; later ones are not logged"
	}
	cpu.Log(line + "\n")
}
