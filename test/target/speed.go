package target

import (
	"sync"
	"time"
)

// Time-outs of tests are for a machine that is not busy. Where it is slower, or has other work, they take longer in the same measure.

const (
	// quiet is how long work takes on a quiet machine of the kind that the limits were chosen on.
	quiet = 20 * time.Millisecond
	// most bounds how much longer a time-out can get: a test that hangs has to end.
	most = 10
	// holds is how long a measurement holds.
	holds = 5 * time.Second
)

var speed struct {
	sync.Mutex
	at     time.Time
	factor float64
}

var sink uint64

// work is a chain of multiplications, which no processor does at once.
func work() {
	x := sink | 1
	for range 16_000_000 {
		x = x*6364136223846793005 + 1442695040888963407
	}
	sink = x
}

// Slowness is how many times slower this machine is now than a quiet one, between 1 and 10.
func Slowness() float64 {
	speed.Lock()
	defer speed.Unlock()
	if time.Since(speed.at) > holds {
		start := time.Now()
		work()
		f := float64(time.Since(start)) / float64(quiet)
		// One sample of a busy machine may find it idle: what it was before counts, too.
		if speed.at.IsZero() {
			speed.factor = f
		} else {
			speed.factor = max(f, (f+speed.factor)/2)
		}
		speed.at = time.Now()
	}
	return min(max(speed.factor, 1), most)
}

// Patience is a time-out as it is on this machine now.
func Patience(d time.Duration) time.Duration { return time.Duration(float64(d) * Slowness()) }

// overdue calls late once when more than limit has passed since the time that since tells, by the speed of the machine then. The function
// that it returns ends the watch and reports whether late was called.
func overdue(since func() time.Time, limit time.Duration, late func()) (stop func() bool) {
	done := make(chan struct{})
	told := make(chan bool, 1)
	go func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				told <- false
				return
			case <-tick.C:
				if over := time.Since(since()); over > limit && over > Patience(limit) {
					late()
					told <- true
					return
				}
			}
		}
	}()
	return func() bool {
		close(done)
		return <-told
	}
}
