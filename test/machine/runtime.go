//go:build metal

package main

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"gosv/kernel/cpu"
	"gosv/kernel/dev/serial"
	"gosv/kernel/goport"
	"gosv/kernel/wait"
)

var sink [][]byte

func testGC() {
	t := time.Now()
	sink = make([][]byte, 64)
	total := 0
	for i := 0; total < 100<<20; i++ {
		n := 1000 + i*7919%60000
		b := make([]byte, n)
		b[0], b[n-1] = 1, 2
		sink[i%len(sink)] = b
		total += n
	}
	sink = nil
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	check(m.NumGC > 5 && goport.HeapBytes() < 48<<20, "gc: %d MB allocated, %d cycles, heap %d kB, took %v", m.TotalAlloc>>20, m.NumGC, goport.HeapBytes()>>10, time.Since(t))
}

func testChannels() {
	t := time.Now()
	a, b := make(chan int), make(chan int)
	go func() {
		for v := range a {
			b <- v + 1
		}
		close(b)
	}()
	const n = 20000
	s := 0
	for i := range n {
		a <- i
		s += <-b
	}
	close(a)
	var wg sync.WaitGroup
	var cnt atomic.Int64
	for range 1000 {
		wg.Go(func() { runtime.Gosched(); cnt.Add(1) })
	}
	wg.Wait()
	check(s == n*(n+1)/2 && cnt.Load() == 1000, "channels: %v per round trip", time.Since(t)/n)
}

func testClock() {
	const n = 200000
	t := time.Now()
	last := cpu.Nanotime()
	back := 0
	for range n {
		now := cpu.Nanotime()
		if now < last {
			back++
		}
		last = now
	}
	check(back == 0, "clock: Nanotime %v, went back %d times, wall %v", time.Since(t)/n, back, time.Now().UTC())
	mul, shift, base, wall := cpu.TSCParams()
	d := int64(-1 << 62)
	for range 20 {
		d = max(d, int64(mulShift(cpu.RDTSC()-base, mul, shift))-cpu.Nanotime())
	}
	check(d < 1000 && d > -20000 && wall > 1e18, "clock: the vDSO's parameters are %d ns off", d)
}

func mulShift(a, b uint64, shift uint) uint64 {
	hi, lo := a>>32*b, a&0xffffffff*b
	return hi + lo>>shift
}

func testSleep() {
	halts := goport.Stats.Halts
	for _, d := range []time.Duration{50 * time.Microsecond, 200 * time.Microsecond, time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond} {
		var s wait.Sleeper
		best := time.Hour
		for range 5 {
			t := cpu.Nanotime()
			s.Sleep(t + int64(d))
			best = min(best, time.Duration(cpu.Nanotime()-t))
		}
		check(best >= d && best < d+d/2+500*time.Microsecond, "sleep: %v took %v", d, best)
	}
	t := time.Now()
	time.Sleep(100 * time.Millisecond)
	el := time.Since(t)
	check(el >= 100*time.Millisecond && el < 150*time.Millisecond, "sleep: time.Sleep of 100 ms took %v; %d halts", el, goport.Stats.Halts-halts)
}

//go:noinline
func deref(p *int) int { return *p }

func testPanics() {
	for i := range 3 {
		func() {
			defer func() { r := recover(); check(r != nil, "panics: recovered %v", r) }()
			switch i {
			case 0:
				deref(nil)
			case 1:
				z := 0
				_ = 1 / z
			case 2:
				deref((*int)(unsafe.Pointer(uintptr(0x10))))
			}
		}()
	}
}

// testPreempt needs asynchronous preemption: the loop has no safe point, and the collector must stop it.
func testPreempt() {
	var stop, n atomic.Int64
	go func() {
		x := 1
		for stop.Load() == 0 {
			for range 1000 {
				x = x*3 + 1
			}
			n.Store(int64(x))
		}
	}()
	time.Sleep(30 * time.Millisecond)
	t := time.Now()
	runtime.GC()
	d := time.Since(t)
	stop.Store(1)
	check(d < time.Second, "preempt: GC against a spinning goroutine took %v", d)
}

func spinWork(n int) (x uint64) {
	for i := range n {
		x = x*6364136223846793005 + uint64(i)
	}
	return
}

func testParallel() {
	const n = 30e6
	t := time.Now()
	spinWork(n)
	one := time.Since(t)
	t = time.Now()
	var wg sync.WaitGroup
	cpus := runtime.GOMAXPROCS(0)
	for range cpus {
		wg.Go(func() { spinWork(n) })
	}
	wg.Wait()
	all := time.Since(t)
	check(cpus == cpu.NumCPU(), "parallel: 1 worker %v, %d workers %v: speed-up %.2f", one, cpus, all, float64(one)*float64(cpus)/float64(all))
}

// testSwitch is the price of a thread that blocks and is woken by another: what a futex round trip is made of.
func testSwitch() {
	var a, b wait.Sleeper
	const n = 20000
	go func() {
		for range n {
			a.Sleep(0)
			b.Wake()
		}
	}()
	t := cpu.Nanotime()
	sw := goport.Stats.Switches
	for range n {
		a.Wake()
		b.Sleep(0)
	}
	check(true, "switch: sleep and wake round trip %d ns, %d machine switches", (cpu.Nanotime()-t)/n, goport.Stats.Switches-sw)
}

// echo sends lines back that come on COM1, until "quit".
func echo() {
	p, err := serial.Open(serial.COM1, serial.COM1IRQ)
	if err != nil {
		check(false, "echo: %v", err)
		return
	}
	var s wait.Sleeper
	p.Queue().Add(&wait.Waiter{Mask: wait.Readable, Notify: func(wait.Events) { s.Wake() }})
	var line []byte
	b := make([]byte, 100)
	for !strings.Contains(string(line), "quit") {
		n, _ := p.Read(b)
		if n == 0 {
			s.Sleep(0)
			continue
		}
		p.Write(b[:n])
		line = append(line, b[:n]...)
	}
	check(true, "echo: %d bytes, %d interrupts", len(line), interrupts(goport.InterruptPin))
}

func idle() {
	cpu.Log("idle\n")
	s, ticks, ipis := goport.Stats, interrupts(goport.InterruptTimer), interrupts(goport.InterruptIPI)
	time.Sleep(10 * time.Second)
	e := goport.Stats
	check(e.Halts-s.Halts < 100, "idle: %d halts, %d ticks, %d IPIs in 10 s", e.Halts-s.Halts,
		interrupts(goport.InterruptTimer)-ticks, interrupts(goport.InterruptIPI)-ipis)
}

// interrupts is how many interrupts of a kind there were on all CPUs.
func interrupts(kind goport.InterruptKind) (n uint64) {
	for _, c := range goport.Interrupts() {
		if c.Kind == kind {
			for _, k := range c.Counts {
				n += k
			}
		}
	}
	return n
}

// crashMachine faults where no goroutine is: in a commit function on the scheduler's stack, with interrupts off.
func crashMachine() {
	goport.Park(func(g goport.G, arg unsafe.Pointer) bool {
		cpu.InterruptSave()
		*(*int)(arg) = 1
		return false
	}, nil)
}

//go:noinline
func crashStack(n int) int {
	var b [1000]int
	b[n%1000] = n
	return crashStack(n+1) + b[n/2%1000]
}

func crashMap() {
	m := map[int]int{}
	for range 4 {
		go func() {
			for i := 0; ; i++ {
				m[i%100] = i
			}
		}()
	}
	time.Sleep(10 * time.Second)
}
