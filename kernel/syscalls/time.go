package syscalls

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/loader"
	"gosv/kernel/task"
	"gosv/kernel/wait"
)

// timeRows are the calls that read clocks, sleep, and make timers that signal.
var timeRows = []Row{
	{AMD64: 228, ARM64: 113, Name: "clock_gettime", Fn: sysClockGettime, Format: "clockid:clockid, tp:timespec.out"},
	{AMD64: 227, ARM64: 112, Name: "clock_settime", Fn: sysClockSettime, Format: "clockid:clockid, tp:timespec"},
	{AMD64: 229, ARM64: 114, Name: "clock_getres", Fn: sysClockGetres, Format: "clockid:clockid, res:timespec.out"},
	{AMD64: 230, ARM64: 115, Name: "clock_nanosleep", Blocks: true, Fn: sysClockNanosleep, Format: "clockid:clockid, flags:int, request:timespec, remain:ptr"},
	{AMD64: 305, ARM64: 266, Name: "clock_adjtime", Fn: sysClockAdjtime, Format: "clockid:clockid, tx:ptr",
		Level: Partial, Note: "as adjtimex; other clocks than CLOCK_REALTIME are EOPNOTSUPP"},
	{AMD64: 159, ARM64: 171, Name: "adjtimex", Fn: sysAdjtimex, Format: "tx:ptr",
		Level: Partial, Note: "ADJ_SETOFFSET and ADJ_TAI act; frequency, tick, offset and status are kept and shown, but the rate of the clock does not change"},
	{AMD64: 35, ARM64: 101, Name: "nanosleep", Blocks: true, Fn: sysNanosleep, Format: "request:timespec, remain:ptr"},
	{AMD64: 96, ARM64: 169, Name: "gettimeofday", Fn: sysGettimeofday, Format: "tv:timeval.out, tz:ptr"},
	{AMD64: 164, ARM64: 170, Name: "settimeofday", Fn: sysSettimeofday, Format: "tv:timeval, tz:ptr"},
	{AMD64: 201, ARM64: NoNumber, Name: "time", Fn: sysTime, Format: "tloc:ptr"},
	{AMD64: 100, ARM64: 153, Name: "times", Fn: sysTimes, Format: "buf:ptr"},
	{AMD64: 98, ARM64: 165, Name: "getrusage", Fn: sysGetrusage, Format: "who:int, usage:ptr",
		Level: Partial, Note: "times, ru_maxrss, ru_minflt, ru_nvcsw; user and system time are told apart by sampling; ru_majflt, ru_nivcsw, ru_inblock and ru_oublock are 0, and so are the fields that Linux does not fill in either"},
	{AMD64: 222, ARM64: 107, Name: "timer_create", Fn: sysTimerCreate, Format: "clockid:clockid, sevp:ptr, timerid:ptr"},
	{AMD64: 223, ARM64: 110, Name: "timer_settime", Fn: sysTimerSettime, Format: "timerid:int, flags:int, new:itimerspec, old:itimerspec.out"},
	{AMD64: 224, ARM64: 108, Name: "timer_gettime", Fn: sysTimerGettime, Format: "timerid:int, value:itimerspec.out"},
	{AMD64: 225, ARM64: 109, Name: "timer_getoverrun", Fn: sysTimerGetoverrun, Format: "timerid:int"},
	{AMD64: 226, ARM64: 111, Name: "timer_delete", Fn: sysTimerDelete, Format: "timerid:int"},
}

// interrupted is what Sleep returns for a signal.
const interrupted = wait.Interrupted

const maxSeconds = 1<<63/1_000_000_000 - 1

// getTimespec decodes a struct timespec as ns; times beyond 292 years are cut. ok
// is false for what Linux refuses with EINVAL.
func getTimespec(b []byte) (ns int64, ok bool) {
	sec, nsec := int64(le.Uint64(b)), int64(le.Uint64(b[8:]))
	if sec < 0 || nsec < 0 || nsec > 999_999_999 {
		return 0, false
	}
	if sec > maxSeconds {
		return 1<<63 - 1, true
	}
	return sec*1e9 + nsec, true
}

func getTimeval(b []byte) (ns int64, ok bool) {
	sec, usec := int64(le.Uint64(b)), int64(le.Uint64(b[8:]))
	if sec < 0 || usec < 0 || usec > 999_999 {
		return 0, false
	}
	if sec > maxSeconds {
		return 1<<63 - 1, true
	}
	return sec*1e9 + usec*1e3, true
}

func putTimespec(b []byte, ns int64) {
	le.PutUint64(b, uint64(ns/1e9))
	le.PutUint64(b[8:], uint64(ns%1e9))
}

func putTimeval(b []byte, ns int64) {
	le.PutUint64(b, uint64(ns/1e9))
	le.PutUint64(b[8:], uint64(ns%1e9/1e3))
}

// copyInTimespec reads a struct timespec as ns; EINVAL, EFAULT.
func copyInTimespec(t *task.Thread, addr uint64) (int64, error) {
	var b [16]byte
	if err := t.MM.CopyIn(b[:], addr); err != nil {
		return 0, err
	}
	ns, ok := getTimespec(b[:])
	if !ok {
		return 0, unix.EINVAL
	}
	return ns, nil
}

func copyOutTimespec(t *task.Thread, addr uint64, ns int64) error {
	var b [16]byte
	putTimespec(b[:], ns)
	return t.MM.CopyOut(addr, b[:])
}

func sysClockGettime(t *task.Thread, a *Args) (uint64, error) {
	c, err := t.Clock(int32(a[0]))
	if err != nil {
		return 0, err
	}
	if c.Alarm() {
		return 0, unix.EINVAL
	}
	return 0, copyOutTimespec(t, a[1], c.Now())
}

func sysClockSettime(t *task.Thread, a *Args) (uint64, error) {
	c, err := t.Clock(int32(a[0]))
	if err != nil {
		return 0, err
	}
	if !c.Realtime() && !c.Dynamic() {
		return 0, unix.EINVAL
	}
	var b [16]byte
	if err := t.MM.CopyIn(b[:], a[1]); err != nil {
		return 0, err
	}
	if c.Dynamic() {
		return 0, unix.EPERM // a clock of CPU time
	}
	ns, ok := getTimespec(b[:])
	if !ok {
		return 0, unix.EINVAL
	}
	return 0, setWalltime(t, ns)
}

func setWalltime(t *task.Thread, ns int64) error {
	if !t.Creds().Has(unix.CAP_SYS_TIME) {
		return unix.EPERM
	}
	return task.SetWalltime(ns)
}

func sysClockGetres(t *task.Thread, a *Args) (uint64, error) {
	c, err := t.Clock(int32(a[0]))
	if err != nil {
		return 0, err
	}
	if c.Alarm() {
		return 0, unix.EINVAL
	}
	if a[1] == 0 {
		return 0, nil
	}
	return 0, copyOutTimespec(t, a[1], c.Resolution())
}

func sysNanosleep(t *task.Thread, a *Args) (uint64, error) {
	ns, err := copyInTimespec(t, a[0])
	if err != nil {
		return 0, err
	}
	return sleepUntil(t, after(ns), a[1])
}

// sleepUntil sleeps to a time of the monotonic clock. A signal without a handler
// lets it go on; with one, the rest is stored at remain.
func sleepUntil(t *task.Thread, deadline int64, remain uint64) (uint64, error) {
	if !sleepTo(t, deadline) {
		return 0, nil
	}
	left := deadline - cpu.Nanotime()
	if left <= 0 {
		return 0, nil
	}
	if remain != 0 {
		if err := copyOutTimespec(t, remain, left); err != nil {
			return 0, err
		}
	}
	return 0, t.RestartWith(func(t *task.Thread) (uint64, error) { return sleepUntil(t, deadline, remain) })
}

// sleepTo sleeps to a deadline, and reports whether a signal came before.
func sleepTo(t *task.Thread, deadline int64) bool {
	t.Clear()
	for t.Sleep(deadline) != interrupted {
		if wait.Passed(deadline) {
			return false
		}
	}
	return true
}

func sysClockNanosleep(t *task.Thread, a *Args) (uint64, error) {
	c, err := t.Clock(int32(a[0]))
	if err != nil {
		return 0, err
	}
	if !c.Sleepable() {
		return 0, unix.EOPNOTSUPP
	}
	ns, err := copyInTimespec(t, a[2])
	if err != nil {
		return 0, err
	}
	absolute := a[1]&unix.TIMER_ABSTIME != 0
	switch {
	case c.OfThread(t):
		return 0, unix.EINVAL // the thread's own time stands while it sleeps
	case c.CPUTime():
		remain := a[3]
		if !absolute {
			ns = addTime(c.Now(), ns)
		}
		return sleepCPUTime(t, c, ns, absolute, remain)
	case c.TAI():
		if !absolute {
			ns = addTime(c.Now(), ns)
		}
		return sleepTAI(t, c, ns, absolute, a[3])
	case !absolute:
		return sleepUntil(t, after(ns), a[3])
	}
	if sleepTo(t, c.Deadline(ns)) {
		return 0, linux.ERESTARTNOHAND
	}
	return 0, nil
}

// sleepCPUTime sleeps until other threads have used so much time.
func sleepCPUTime(t *task.Thread, c task.Clock, at int64, absolute bool, remain uint64) (uint64, error) {
	t.Clear()
	for {
		left := at - c.Now()
		if left <= 0 {
			return 0, nil
		}
		if t.Sleep(after(max(left/int64(cpu.NumCPU()), 1e6))) == interrupted {
			return 0, sleepInterrupted(t, c, at, absolute, remain, sleepCPUTime)
		}
	}
}

// sleepTAI sleeps on CLOCK_TAI. A change of the offset of the clock wakes the
// thread, as its relative times are on that clock too.
func sleepTAI(t *task.Thread, c task.Clock, at int64, absolute bool, remain uint64) (uint64, error) {
	w := t.Waiter(wait.In)
	wait.ClockSet.Add(w)
	defer func() {
		wait.ClockSet.Remove(w)
		t.Done(w)
	}()
	t.Clear()
	for c.Now() < at {
		if t.Sleep(c.Deadline(at)) == interrupted {
			return 0, sleepInterrupted(t, c, at, absolute, remain, sleepTAI)
		}
	}
	return 0, nil
}

// sleepInterrupted is what a sleep on the clock c returns when a signal came. With a
// relative time, the rest is stored at remain, and again goes on with the sleep.
func sleepInterrupted(t *task.Thread, c task.Clock, at int64, absolute bool, remain uint64,
	again func(*task.Thread, task.Clock, int64, bool, uint64) (uint64, error)) error {
	if absolute {
		return linux.ERESTARTNOHAND
	}
	if remain != 0 {
		if err := copyOutTimespec(t, remain, max(at-c.Now(), 0)); err != nil {
			return err
		}
	}
	return t.RestartWith(func(t *task.Thread) (uint64, error) { return again(t, c, at, absolute, remain) })
}

// addTime is a time after another one; it does not overflow.
func addTime(at, ns int64) int64 {
	if ns > 1<<63-1-at {
		return 1<<63 - 1
	}
	return at + ns
}

func sysGettimeofday(t *task.Thread, a *Args) (uint64, error) {
	var b [16]byte
	if a[0] != 0 {
		putTimeval(b[:], task.Walltime())
		if err := t.MM.CopyOut(a[0], b[:]); err != nil {
			return 0, err
		}
	}
	if a[1] != 0 {
		return 0, t.MM.Store64(a[1], loader.Timezone())
	}
	return 0, nil
}

// zoneSet is whether settimeofday(2) has set the time zone.
var zoneSet atomic.Bool

func sysSettimeofday(t *task.Thread, a *Args) (uint64, error) {
	var b [16]byte
	ns, zone, ok := int64(0), uint64(0), true
	if a[0] != 0 {
		if err := t.MM.CopyIn(b[:], a[0]); err != nil {
			return 0, err
		}
		if ns, ok = getTimeval(b[:]); int64(le.Uint64(b[8:])) < 0 || le.Uint64(b[8:]) > 1e6 {
			return 0, unix.EINVAL
		}
	}
	if a[1] != 0 {
		var err error
		if zone, err = t.MM.Load64(a[1]); err != nil {
			return 0, err
		}
	}
	if !ok {
		return 0, unix.EINVAL
	}
	if !t.Creds().Has(unix.CAP_SYS_TIME) {
		return 0, unix.EPERM
	}
	if a[1] != 0 {
		west := int32(uint32(zone))
		if west > 15*60 || west < -15*60 {
			return 0, unix.EINVAL
		}
		loader.SetTimezone(zone)
		// The first zone, if it comes without a time, says that the clock of the
		// machine told local time.
		if !zoneSet.Swap(true) && a[0] == 0 && west != 0 {
			return 0, task.ShiftWalltime(int64(west) * 60e9)
		}
	}
	if a[0] == 0 {
		return 0, nil
	}
	return 0, task.SetWalltime(ns)
}

func sysTime(t *task.Thread, a *Args) (uint64, error) {
	sec := uint64(task.Walltime() / 1e9)
	if a[0] != 0 {
		if err := t.MM.Store64(a[0], sec); err != nil {
			return 0, err
		}
	}
	return sec, nil
}

// tick is the unit of clock_t, in ns.
const tick = 10_000_000

func sysTimes(t *task.Thread, a *Args) (uint64, error) {
	if a[0] != 0 {
		var b [32]byte
		user, sys := t.Proc.CPUTime()
		cuser, csys := t.Proc.ChildCPUTime()
		for i, ns := range [...]int64{user, sys, cuser, csys} {
			le.PutUint64(b[8*i:], uint64(ns/tick))
		}
		if err := t.MM.CopyOut(a[0], b[:]); err != nil {
			return 0, err
		}
	}
	return uint64(cpu.Nanotime() / tick), nil
}

func sysGetrusage(t *task.Thread, a *Args) (uint64, error) {
	var u task.Usage
	switch int32(a[0]) {
	case unix.RUSAGE_SELF:
		u = t.Proc.Usage()
	case unix.RUSAGE_CHILDREN:
		u = t.Proc.ChildUsage()
	case unix.RUSAGE_THREAD:
		u = t.ThreadUsage()
	default:
		return 0, unix.EINVAL
	}
	return 0, copyOutUsage(t, a[1], &u)
}

func sysTimerCreate(t *task.Thread, a *Args) (uint64, error) {
	c, err := t.Clock(int32(a[0]))
	if err != nil {
		return 0, err
	}
	if !c.Timed() {
		return 0, unix.EOPNOTSUPP
	}
	var ev *task.SigEvent
	if a[1] != 0 {
		var b [64]byte
		if err := t.MM.CopyIn(b[:], a[1]); err != nil {
			return 0, err
		}
		ev = &task.SigEvent{Value: le.Uint64(b[0:]), Signo: int32(le.Uint32(b[8:])), Notify: int32(le.Uint32(b[12:])), TID: int32(le.Uint32(b[16:]))}
	}
	id, err := t.NewTimer(c, ev)
	if err != nil {
		return 0, err
	}
	if err := t.MM.Store32(a[2], uint32(id)); err != nil {
		t.Proc.DeleteTimer(id)
		return 0, err
	}
	return 0, nil
}

func sysTimerSettime(t *task.Thread, a *Args) (uint64, error) {
	if a[2] == 0 {
		return 0, unix.EINVAL
	}
	var b [32]byte
	if err := t.MM.CopyIn(b[:], a[2]); err != nil {
		return 0, err
	}
	period, ok1 := getTimespec(b[0:])
	value, ok2 := getTimespec(b[16:])
	if !ok1 || !ok2 {
		return 0, unix.EINVAL
	}
	v, p, err := t.Proc.SetTimer(int32(a[0]), a[1]&unix.TIMER_ABSTIME != 0, value, period)
	if err != nil || a[3] == 0 {
		return 0, err
	}
	return 0, copyOutItimerspec(t, a[3], v, p)
}

func copyOutItimerspec(t *task.Thread, addr uint64, value, period int64) error {
	var b [32]byte
	putTimespec(b[0:], period)
	putTimespec(b[16:], value)
	return t.MM.CopyOut(addr, b[:])
}

func sysTimerGettime(t *task.Thread, a *Args) (uint64, error) {
	v, p, err := t.Proc.Timer(int32(a[0]))
	if err != nil {
		return 0, err
	}
	return 0, copyOutItimerspec(t, a[1], v, p)
}

func sysTimerGetoverrun(t *task.Thread, a *Args) (uint64, error) {
	n, err := t.Proc.TimerOverrun(int32(a[0]))
	return uint64(n), err
}

func sysTimerDelete(t *task.Thread, a *Args) (uint64, error) {
	return 0, t.Proc.DeleteTimer(int32(a[0]))
}
