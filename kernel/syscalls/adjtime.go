package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/task"
)

// The fields of struct timex (adjtimex(2)).
const (
	timexSize      = 208
	timexModes     = 0
	timexOffset    = 8
	timexFreq      = 16
	timexMaxError  = 24
	timexEstError  = 32
	timexStatus    = 40
	timexConstant  = 48
	timexPrecision = 56
	timexTolerance = 64
	timexTime      = 72
	timexTick      = 88
	timexPPS       = 96 // its fields end at timexTAI
	timexTAI       = 160
)

func sysAdjtimex(t *task.Thread, a *Args) (uint64, error) { return adjtimex(t, a[0], nil) }

func sysClockAdjtime(t *task.Thread, a *Args) (uint64, error) {
	return adjtimex(t, a[1], func() error {
		c, err := t.Clock(int32(a[0]))
		if err == nil && !c.Realtime() {
			err = unix.EOPNOTSUPP
		}
		return err
	})
}

// adjtimex reads the struct timex at addr, calls check, and writes what the clock is
// set to.
func adjtimex(t *task.Thread, addr uint64, check func() error) (uint64, error) {
	var b [timexSize]byte
	if err := t.MM.CopyIn(b[:], addr); err != nil {
		return 0, err
	}
	if check != nil {
		if err := check(); err != nil {
			return 0, err
		}
	}
	word := func(at int) int64 { return int64(le.Uint64(b[at:])) }
	x := task.Timex{
		Modes: le.Uint32(b[timexModes:]), Offset: word(timexOffset), Freq: word(timexFreq),
		MaxError: word(timexMaxError), EstError: word(timexEstError), Status: int32(le.Uint32(b[timexStatus:])),
		Constant: word(timexConstant), Seconds: word(timexTime), Fraction: word(timexTime + 8), Tick: word(timexTick),
	}
	state, err := t.AdjustClock(&x)
	if err != nil {
		return 0, err
	}
	put := func(at int, v int64) { le.PutUint64(b[at:], uint64(v)) }
	put(timexOffset, x.Offset)
	put(timexFreq, x.Freq)
	put(timexMaxError, x.MaxError)
	put(timexEstError, x.EstError)
	le.PutUint32(b[timexStatus:], uint32(x.Status))
	put(timexConstant, x.Constant)
	put(timexPrecision, 1)
	put(timexTolerance, x.Tolerance)
	put(timexTime, x.Seconds)
	put(timexTime+8, x.Fraction)
	put(timexTick, x.Tick)
	clear(b[timexPPS:timexTAI])
	le.PutUint32(b[timexTAI:], uint32(x.TAI))
	return uint64(state), t.MM.CopyOut(addr, b[:])
}
