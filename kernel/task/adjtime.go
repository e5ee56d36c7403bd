package task

import (
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
)

// Timex is the part of struct timex that adjtimex(2) reads or writes.
type Timex struct {
	Modes               uint32
	Offset, Freq        int64
	MaxError, EstError  int64
	Status              int32
	Constant, Tolerance int64
	Seconds, Fraction   int64 // microseconds, or nanoseconds with STA_NANO
	Tick                int64
	TAI                 int32
}

// Bits of Timex.Modes and Timex.Status, and states of the clock (adjtimex(2),
// include/uapi/linux/timex.h).
const (
	adjOffset    = 0x0001
	adjFrequency = 0x0002
	adjMaxError  = 0x0004
	adjEstError  = 0x0008
	adjStatus    = 0x0010
	adjTimeConst = 0x0020
	adjTAI       = 0x0080
	adjSetOffset = 0x0100
	adjMicro     = 0x1000
	adjNano      = 0x2000
	adjReadOnly  = 0x2000 // with adjAdjtime
	adjTick      = 0x4000
	adjAdjtime   = 0x8000

	staPLL      = 0x0001
	staPPSFreq  = 0x0002
	staPPSTime  = 0x0004
	staUnsync   = 0x0040
	staClockErr = 0x1000
	staNano     = 0x2000
	staReadOnly = 0xff00

	timeOK    = 0
	timeError = 5
)

// Bounds of what adjtimex(2) sets (include/linux/timex.h of Linux).
const (
	phaseLimit    = 16_000_000 // us, of the errors
	errorGrowth   = 500        // us each second, of the maximum error
	maxFreq       = 500 << 16  // ppm with a fraction of 16 bits
	maxConstant   = 10
	maxTAI        = 100_000
	maxOffset     = 500_000_000 // ns
	minTick       = 9_000
	maxTick       = 11_000
	maxFreqParam  = 1<<63/freqScale - 1
	freqScale     = 65_536_000 // PPM_SCALE of Linux
	usualTick     = 10_000     // us, USER_HZ is 100
	usualConstant = 2
)

// discipline is the state of the clock that adjtimex(2) tells: what was set, as the
// rate of the clock does not follow it.
var discipline = struct {
	mu       sync.Mutex
	offset   int64 // ns
	adjust   int64 // us, of adjtime(3)
	freq     int64
	maxError int64 // at the time since
	since    int64
	estError int64
	status   int32
	constant int64
	tick     int64
}{maxError: phaseLimit, estError: phaseLimit, status: staUnsync, constant: usualConstant, tick: usualTick}

// clockStepped is what a step of the clock does to the discipline: nobody knows any
// more how wrong the clock is.
func clockStepped() {
	d := &discipline
	d.mu.Lock()
	d.adjust, d.offset = 0, 0
	d.status |= staUnsync
	d.maxError, d.estError = phaseLimit, phaseLimit
	d.mu.Unlock()
}

// AdjustClock is adjtimex(2); it fills in x and returns the state of the clock,
// TIME_*. EPERM, EINVAL.
func (t *Thread) AdjustClock(x *Timex) (int, error) {
	if err := t.checkTimex(x); err != nil {
		return 0, err
	}
	if x.Modes&adjSetOffset != 0 {
		delta, ok := x.delta()
		if !ok {
			return 0, unix.EINVAL
		}
		if err := ShiftWalltime(delta); err != nil {
			return 0, err
		}
	}
	d := &discipline
	d.mu.Lock()
	defer d.mu.Unlock()
	ageError()
	tai := TAIOffset()
	if x.Modes&adjAdjtime != 0 {
		old := d.adjust
		if x.Modes&adjReadOnly == 0 {
			d.adjust = x.Offset
		}
		x.Offset = old
	} else {
		if tai = x.apply(tai); tai != TAIOffset() {
			SetTAIOffset(tai)
		}
		x.Offset = d.offset
		if d.status&staNano == 0 {
			x.Offset /= 1000
		}
	}
	x.Freq, x.MaxError, x.EstError, x.Status = d.freq, d.maxError, d.estError, d.status
	x.Constant, x.Tolerance, x.Tick, x.TAI = d.constant, maxFreq, d.tick, tai
	now := Walltime()
	x.Seconds, x.Fraction = now/1e9, now%1e9
	if d.status&staNano == 0 {
		x.Fraction /= 1000
	}
	if d.status&(staUnsync|staClockErr|staPPSFreq|staPPSTime) != 0 { // there is no PPS signal
		return timeError, nil
	}
	return timeOK, nil
}

// checkTimex refuses what Linux refuses, in Linux's order.
func (t *Thread) checkTimex(x *Timex) error {
	may := t.Creds().Has(unix.CAP_SYS_TIME)
	m := x.Modes
	switch {
	case m&adjAdjtime != 0:
		if m&(adjAdjtime|adjOffset) == 0 {
			return unix.EINVAL
		}
		if m&adjReadOnly == 0 && !may {
			return unix.EPERM
		}
	case m != 0 && !may:
		return unix.EPERM
	case m&adjTick != 0 && (x.Tick < minTick || x.Tick > maxTick):
		return unix.EINVAL
	}
	if m&adjSetOffset != 0 {
		if !may {
			return unix.EPERM
		}
		if _, ok := x.delta(); !ok {
			return unix.EINVAL
		}
	}
	if m&adjFrequency != 0 && (x.Freq > maxFreqParam || x.Freq < -maxFreqParam) {
		return unix.EINVAL
	}
	return nil
}

// delta is how far ADJ_SETOFFSET moves the clock, in ns.
func (x *Timex) delta() (ns int64, ok bool) {
	unit, top := int64(1e3), int64(1e6)
	if x.Modes&adjNano != 0 {
		unit, top = 1, 1e9
	}
	if x.Fraction < 0 || x.Fraction >= top {
		return 0, false
	}
	// What is further than any time of the clock is refused by ShiftWalltime.
	return min(max(x.Seconds, -maxSeconds+1), maxSeconds-1)*1e9 + x.Fraction*unit, true
}

// ageError lets the maximum error grow with time. discipline.mu is held.
func ageError() {
	d := &discipline
	now := cpu.Nanotime()
	n := (now - d.since) / 1e9
	d.since += n * 1e9
	if d.maxError = min(d.maxError+n*errorGrowth, phaseLimit); d.maxError == phaseLimit && n > 0 {
		d.status |= staUnsync
	}
}

// apply takes over what the modes say, and returns the offset of CLOCK_TAI.
// discipline.mu is held.
func (x *Timex) apply(tai int32) int32 {
	d := &discipline
	clamp := func(v, low, high int64) int64 { return min(max(v, low), high) }
	if x.Modes&adjStatus != 0 {
		if d.status&staPLL != 0 && x.Status&staPLL == 0 {
			d.status = staUnsync
		}
		d.status = d.status&staReadOnly | x.Status&^staReadOnly
	}
	if x.Modes&adjNano != 0 {
		d.status |= staNano
	}
	if x.Modes&adjMicro != 0 {
		d.status &^= staNano
	}
	if x.Modes&adjFrequency != 0 {
		d.freq = clamp(x.Freq, -maxFreq, maxFreq)
	}
	if x.Modes&adjMaxError != 0 {
		d.maxError, d.since = clamp(x.MaxError, 0, phaseLimit), cpu.Nanotime()
	}
	if x.Modes&adjEstError != 0 {
		d.estError = clamp(x.EstError, 0, phaseLimit)
	}
	if x.Modes&adjTimeConst != 0 {
		d.constant = clamp(x.Constant, 0, maxConstant)
		if d.status&staNano == 0 {
			d.constant = min(d.constant+4, maxConstant)
		}
	}
	if x.Modes&adjTAI != 0 && x.Constant >= 0 && x.Constant <= maxTAI {
		tai = int32(x.Constant)
	}
	if x.Modes&adjOffset != 0 && d.status&staPLL != 0 {
		offset := x.Offset
		if d.status&staNano == 0 {
			offset = clamp(offset, -maxOffset/1000, maxOffset/1000) * 1000
		}
		d.offset = clamp(offset, -maxOffset, maxOffset)
	}
	if x.Modes&adjTick != 0 {
		d.tick = x.Tick
	}
	return tai
}
