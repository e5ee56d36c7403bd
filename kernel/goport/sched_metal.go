//go:build metal

package goport

import (
	"sync/atomic"
	"unsafe"

	"gosv/kernel/cpu"
)

// The scheduler of machine threads. There are few of them: one per processor that runs Go code, and some that wait. Each
// CPU has its own run queue and its own list of deadlines; an idle CPU takes work from the others. Timers are one-shot
// and set only when there is something to wait for, so an idle machine sleeps.
var sched struct {
	lock uint32
	cpus [cpu.MaxCPUs]cpuSched

	idle  uint32 // number of idle CPUs, for a look without the lock
	kicks uint32 // CPUs to be interrupted when the lock is given back
}

type cpuSched struct {
	head, tail uint32 // run queue
	times      uint32 // threads that block with a deadline, the next one first
	idle       uint32
	armed      int64 // when the timer will fire, 0 if it will not
	setting    int64 // the same, if the timer is to be set when the lock is given back
	settingNow int64 // the time when that was found
	sliceEnd   int64 // when the running thread has to give way, if others wait
	halted     int64 // when the CPU went to sleep, 0 if it is awake
	slept      int64 // how long the last time
}

const slice = 10e6 // ns

// lock spins with interrupts off, and answers other CPUs meanwhile.
//
//go:nosplit
func lock(l *uint32) {
	for i := 0; !atomic.CompareAndSwapUint32(l, 0, 1); i++ {
		cpu.Await(i)
	}
}

//go:nosplit
func unlock(l *uint32) { atomic.StoreUint32(l, 0) }

//go:nosplit
func lockSched() { lock(&sched.lock) }

// unlockSched gives sched.lock back, and then does what leaves the machine for the hypervisor: the CPUs that were woken
// meanwhile would wait for the lock that long, or, if the host runs one of them in place of this one, for a time slice of the
// host's.
//
//go:nosplit
func unlockSched() {
	kicks := sched.kicks
	sched.kicks = 0
	unlock(&sched.lock)
	for i := uint32(0); kicks != 0; i, kicks = i+1, kicks>>1 {
		if kicks&1 != 0 {
			cpu.SendIPI(cpu.ByIndex(i))
		}
	}
	if q := mine(cpu.This()); q.setting != 0 {
		at := q.setting
		q.setting = 0
		cpu.SetTimer(at, q.settingNow)
	}
}

//go:nosplit
func mine(c *cpu.CPU) *cpuSched { return &sched.cpus[c.Index&(cpu.MaxCPUs-1)] }

// index is the number of the CPU that q belongs to.
//
//go:nosplit
func (q *cpuSched) index() uint32 {
	return uint32((uintptr(unsafe.Pointer(q)) - uintptr(unsafe.Pointer(&sched.cpus))) / unsafe.Sizeof(*q))
}

// enqueue appends t to the run queue of q.
//
//go:nosplit
func (q *cpuSched) enqueue(t *thread) {
	t.runNext = 0
	if q.tail != 0 {
		ref(q.tail).runNext = t.num()
	} else {
		q.head = t.num()
	}
	q.tail = t.num()
}

//go:nosplit
func (q *cpuSched) dequeue() *thread {
	n := q.head
	if n == 0 {
		return nil
	}
	t := ref(n)
	q.head = t.runNext
	if q.head == 0 {
		q.tail = 0
	}
	return t
}

// ready makes t runnable: on the CPU where it ran last if that is idle, else on any idle one, else here. sched.lock is
// held.
//
//go:nosplit
func ready(t *thread) {
	t.state = threadReady
	t.futex = 0
	if sysmon == t.num() {
		sysmon = 0
	}
	if t.deadline != 0 {
		dropDeadline(t)
	}
	self := cpu.This()
	if t.allowed != 0 {
		readyPinned(t, self)
		return
	}
	target := -1
	if sched.idle != 0 {
		if last := t.cpu & (cpu.MaxCPUs - 1); sched.cpus[last].idle != 0 {
			target = int(last)
		} else {
			for i := 0; i < cpu.NumCPU() && i < cpu.MaxCPUs; i++ {
				if sched.cpus[i].idle != 0 {
					target = i
					break
				}
			}
		}
	}
	if target >= 0 {
		q := &sched.cpus[target]
		q.idle = 0 // claimed: do not send a second IPI
		sched.idle--
		q.enqueue(t)
		if uint32(target) != self.Index {
			sched.kicks |= 1 << uint(target)
		}
		return
	}
	q := mine(self)
	q.enqueue(t)
	if q.sliceEnd == 0 {
		now := cpu.Nanotime()
		q.watch(now)
		q.arm(now)
	}
}

// addDeadline puts t in the list of the CPU that runs the caller. sched.lock is held.
//
//go:nosplit
func addDeadline(t *thread, at int64) {
	t.deadline = at
	q := &sched.cpus[t.cpu&(cpu.MaxCPUs-1)]
	if q.times == 0 || ref(q.times).deadline > at {
		t.timeNext = q.times
		q.times = t.num()
		return
	}
	p := ref(q.times)
	for p.timeNext != 0 && ref(p.timeNext).deadline <= at {
		p = ref(p.timeNext)
	}
	t.timeNext = p.timeNext
	p.timeNext = t.num()
}

//go:nosplit
func dropDeadline(t *thread) {
	t.deadline = 0
	q := &sched.cpus[t.cpu&(cpu.MaxCPUs-1)]
	if q.times == t.num() {
		q.times = t.timeNext
		return
	}
	for n := q.times; n != 0; {
		p := ref(n)
		if p.timeNext == t.num() {
			p.timeNext = t.timeNext
			return
		}
		n = p.timeNext
	}
}

// expire readies the threads of q whose deadline has passed, and raises the timer interrupt if it is due. sched.lock is
// held.
//
//go:nosplit
func (q *cpuSched) expire(now int64) {
	for q.times != 0 && ref(q.times).deadline <= now {
		t := ref(q.times)
		if t.futex != 0 {
			futexRemove(t)
		}
		if pollWaiter == t.num() {
			pollWaiter = 0
		}
		ready(t)
	}
	if timer.at != 0 && timer.at <= now {
		timer.at = 0
		raise(timerSlot)
	}
}

// arm has this CPU's timer set for what comes next. A timer that fires too early is left alone: the interrupt is cheaper
// than the reprogramming, but for a CPU that goes to sleep for long, as it did the last time. sched.lock is held.
//
//go:nosplit
func (q *cpuSched) arm(now int64) {
	var next int64
	if q.times != 0 {
		next = ref(q.times).deadline
	}
	if timer.at != 0 && timer.owner == q.index() && (next == 0 || timer.at < next) {
		next = timer.at
	}
	if q.idle == 0 && q.sliceEnd != 0 && (next == 0 || q.sliceEnd < next) {
		next = q.sliceEnd
	}
	long := q.idle != 0 && q.slept > slice
	if next == 0 || q.armed > now && (q.armed == next || q.armed < next && !long) {
		return
	}
	q.armed, q.setting, q.settingNow = next, next, now
}

// maxSpin is the longest sleep that is not worth a timer, in ns. The runtime sleeps for 3 and 10 µs: before it takes the next
// goroutine of a processor that may be about to run it, and for locks.
const maxSpin = 10e3

// shortSleep spends a short sleep awake if nobody else wants the CPU, and reports whether it did. With one CPU there is
// always somebody: who is waited for.
//
//go:nosplit
func shortSleep(c *cpu.CPU, at int64) bool {
	q := mine(c)
	if cpu.NumCPU() == 1 || atomic.LoadUint32(&q.head) != 0 || at-cpu.Nanotime() > maxSpin {
		return false
	}
	for cpu.Nanotime() < at && atomic.LoadUint32(&q.head) == 0 {
		cpu.PollIPI()
	}
	return true
}

// rewatch answers an interrupt of another CPU, which may have put a thread into this one's run queue.
//
//go:nosplit
func rewatch(c *cpu.CPU) {
	lockSched()
	now := cpu.Nanotime()
	mine(c).watch(now)
	mine(c).arm(now)
	unlockSched()
}

// block marks the current thread as waiting, with a deadline if at is not 0. sched.lock is held.
//
//go:nosplit
func (t *thread) block(at int64) {
	t.state = threadBlocked
	if at != 0 {
		addDeadline(t, at)
	}
}

// schedule picks the thread that resume will continue. The current thread has already been saved and put in its new
// state. Runs on the machine stack, with interrupts off.
//
//go:nosplit
func schedule(c *cpu.CPU) {
	q := mine(c)
	before := c.Cur
	for {
		lockSched()
		now := cpu.Nanotime()
		if q.halted != 0 {
			q.slept, q.halted = now-q.halted, 0
		}
		q.expire(now)
		if atomic.LoadUint32(&cpu.IRQPending) != 0 {
			post(irqSlot)
		}
		if q.idle != 0 {
			q.idle = 0
			sched.idle--
		}
		t := q.dequeue()
		if t == nil {
			t = steal(q)
		}
		if t != nil {
			t.state = threadRunning
			t.cpu = c.Index
			c.Cur = t.addr()
			q.sliceEnd = 0
			q.watch(now)
			q.arm(now)
			unlockSched()
			cpu.LeaveIdle(c)
			if t.addr() != before {
				cpu.ReleaseFPU(c)
			}
			Stats.Switches++
			return
		}
		q.idle = 1
		sched.idle++
		c.Cur = 0
		q.halted = now
		q.arm(now)
		cpu.EnterIdle(c)
		unlockSched()
		cpu.ReleaseFPU(c)
		Stats.Halts++
		cpu.HaltOnce()
	}
}

// steal takes a thread from another CPU's run queue.
//
//go:nosplit
func steal(q *cpuSched) *thread {
	for i := 0; i < cpu.NumCPU() && i < cpu.MaxCPUs; i++ {
		if o := &sched.cpus[i]; o != q && o.head != 0 {
			if t := o.takeFor(q.index()); t != nil {
				return t
			}
		}
	}
	return nil
}

// yield puts the current thread at the end of the run queue, or gives it to an idle CPU: if who waits here may run nowhere
// else, that one has found nothing to do.
//
//go:nosplit
func yield(c *cpu.CPU) {
	q := mine(c)
	if atomic.LoadUint32(&q.head) == 0 {
		return
	}
	lockSched()
	t := current(c)
	t.state = threadReady
	if sched.idle == 0 || t.allowed != 0 || !toIdle(t) {
		q.enqueue(t)
	}
	unlockSched()
	schedule(c)
}

// toIdle gives t, which may run everywhere, to an idle CPU, and reports whether there was one. sched.lock is held.
//
//go:nosplit
func toIdle(t *thread) bool {
	for i := 0; i < cpu.NumCPU() && i < cpu.MaxCPUs; i++ {
		if o := &sched.cpus[i]; o.idle != 0 {
			o.idle = 0
			sched.idle--
			o.enqueue(t)
			sched.kicks |= 1 << uint(i)
			return true
		}
	}
	return false
}

// tick is the timer interrupt. It reports whether the current thread should give way: somebody waits whose deadline has
// come, or the slice is over. f is what it interrupted, nil for ring 3.
//
//go:nosplit
func tick(c *cpu.CPU, f *cpu.Regs) bool {
	countIRQ(c, timerSlot)
	q := mine(c)
	lockSched()
	q.armed = 0
	now := cpu.Nanotime()
	before := q.tail
	q.expire(now)
	end := q.sliceEnd != 0 && now >= q.sliceEnd
	if end {
		q.sliceEnd = 0
		if sysmon != 0 && c.Cur != 0 {
			raise(watchSlot)
			if f != nil {
				pressYield(current(c), f)
			}
		}
	}
	over := q.head != 0 && (q.tail != before || end)
	if c.Cur != 0 { // if not, schedule goes on behind its halt, and does this
		q.watch(now)
		q.arm(now)
	}
	unlockSched()
	return over
}

// preempted continues the trap entry on the machine stack, once the thread has been saved.
//
//go:nosplit
func preempted() {
	c := cpu.This()
	Stats.Preempts++
	yield(c)
	resuming()
}

// Stats counts what the machine layer does.
var Stats struct {
	Faults, Signals, Kills, Switches, Preempts, Halts uint64
}

// timer is what SetTimer set.
var timer struct {
	at    int64
	owner uint32 // index of the CPU whose hardware timer is set for it
}
