//go:build metal

package cpu

import (
	"sync/atomic"
	"unsafe"
)

// clockParams make nanoseconds of the time-stamp counter: ns + (tsc-base)*mul>>32.
type clockParams struct {
	mul, base uint64
	ns        int64
}

var (
	clockSets [2]clockParams
	clock     uintptr // *clockParams in use
	apicMul   uint64  // timer ticks = ns * apicMul >> 32
	tscPerNS  uint64  // TSC ticks = ns * tscPerNS >> 32
	wallBase  int64   // ns since the epoch at boot

	// BootTSC is the counter at the kernel's first instruction.
	BootTSC uint64

	calTSC, calRef uint64 // the first sample of the TCG calibration
)

// mul32 is a*b>>32 without overflow for results below 2^64.
//
//go:nosplit
func mul32(a, b uint64) uint64 {
	return (a>>32)*b + (a&0xffffffff)*(b>>32) + (a&0xffffffff)*(b&0xffffffff)>>32
}

// Nanotime is CLOCK_MONOTONIC: ns since boot.
//
//go:nosplit
func Nanotime() int64 {
	p := (*clockParams)(unsafe.Pointer(atomic.LoadUintptr(&clock)))
	return p.ns + int64(mul32(RDTSC()-p.base, p.mul))
}

// TSCToNanos is the time at which the time-stamp counter had the value t.
//
//go:nosplit
func TSCToNanos(t uint64) int64 {
	p := (*clockParams)(unsafe.Pointer(atomic.LoadUintptr(&clock)))
	if t < p.base {
		return p.ns - int64(mul32(p.base-t, p.mul))
	}
	return p.ns + int64(mul32(t-p.base, p.mul))
}

// Walltime is CLOCK_REALTIME: ns since the epoch.
//
//go:nosplit
func Walltime() int64 { return wallBase + Nanotime() }

// WallOffset is how much CLOCK_REALTIME is more than CLOCK_MONOTONIC, in ns.
//
//go:nosplit
func WallOffset() int64 { return atomic.LoadInt64(&wallBase) }

// SetWalltime sets CLOCK_REALTIME.
//
//go:nosplit
func SetWalltime(ns int64) { atomic.StoreInt64(&wallBase, ns-Nanotime()) }

// TSCParams is what a vDSO needs: CLOCK_MONOTONIC is (tsc-base)*mul>>shift, and CLOCK_REALTIME is wall more. They do not
// change once the boot is over, but for SetWalltime.
func TSCParams() (mul uint64, shift uint, base uint64, wall int64) {
	p := (*clockParams)(unsafe.Pointer(atomic.LoadUintptr(&clock)))
	// Fold ns into base.
	back := uint64(0)
	if p.mul != 0 {
		hi, lo := uint64(p.ns)>>32, uint64(p.ns)<<32
		back = div128(hi, lo, p.mul)
	}
	return p.mul, 32, p.base - back, atomic.LoadInt64(&wallBase)
}

// div128 is hi:lo / d; the result fits because hi < d.
func div128(hi, lo, d uint64) (q uint64) {
	for i := 0; i < 64; i++ {
		carry := hi >> 63
		hi = hi<<1 | lo>>63
		lo <<= 1
		q <<= 1
		if carry != 0 || hi >= d {
			hi -= d
			q |= 1
		}
	}
	return q
}

// setClock switches to new parameters at the TSC value base without a step.
//
//go:nosplit
func setClock(mul, base uint64, ns int64) {
	i := 0
	if clock == uintptr(unsafe.Pointer(&clockSets[0])) {
		i = 1
	}
	p := &clockSets[i]
	p.mul, p.base, p.ns = mul, base, ns
	atomic.StoreUintptr(&clock, uintptr(unsafe.Pointer(p)))
}

//go:nosplit
func setTSCRate(mul uint64) {
	setClock(mul, BootTSC, 0)
	if mul != 0 {
		tscPerNS = (1 << 63 / mul) << 1
	}
}

// SetupClock finds the rate of the TSC. Under KVM the clock page says it; under TCG the local APIC counts nanoseconds and
// is the reference, over a short time now and a longer one in refineClock; else CPUID may know; else the PIT is asked,
// which takes 2 ms.
//
//go:nosplit
func SetupClock() {
	apicMul = 1 << 32 // KVM and QEMU count nanoseconds
	switch {
	case hyper == hyperKVM && kvmClock():
	case hyper == hyperTCG:
		apicWrite(apicLVTT, 1<<16|VecTimer)
		apicWrite(apicInit, 0xffffffff)
		calTSC, calRef = sampleAPIC()
		for i := uint64(0); ; i++ {
			t, r := sampleAPIC()
			if r-calRef > 150e3 {
				setTSCRate((r - calRef) << 32 / (t - calTSC))
				break
			}
		}
	case hyper != hyperNone && hyperMax >= 0x40000010 && cpuidRate(0x40000010):
	case cpuidCrystal():
	default:
		calibratePIT()
	}
	if clock == 0 {
		calibratePIT()
	}
	wallTime()
}

// sampleAPIC reads the TSC and the nanoseconds since the APIC timer was started, as close together as it gets.
//
//go:nosplit
func sampleAPIC() (tsc, ns uint64) {
	best := ^uint64(0)
	for range 8 {
		t0 := RDTSC()
		r := uint64(0xffffffff - apicRead(apicCur))
		t1 := RDTSC()
		if t1-t0 < best {
			best = t1 - t0
			tsc, ns = t0+(t1-t0)/2, r
		}
	}
	return
}

// refineClock ends the calibration that SetupClock began: the first use of the timer of the boot CPU is its end, some
// milliseconds later.
//
//go:nosplit
func refineClock() {
	f := InterruptSave()
	t, r := sampleAPIC()
	apicWrite(apicInit, 0)
	apicWrite(apicLVTT, VecTimer)
	if r > calRef && t > calTSC {
		mul := (r - calRef) << 32 / (t - calTSC)
		now := RDTSC()
		setClock(mul, now, TSCToNanos(now)) // no step
		tscPerNS = (1 << 63 / mul) << 1
	}
	calTSC = 0
	InterruptRestore(f)
}

// cpuidRate reads the TSC rate in kHz from a hypervisor leaf.
//
//go:nosplit
func cpuidRate(leaf uint32) bool {
	khz, bus, _, _ := CPUID(leaf, 0)
	if khz == 0 {
		return false
	}
	setTSCRate(1e6 << 32 / uint64(khz))
	if bus != 0 {
		apicMul = uint64(bus) << 32 / 1e6
	}
	return true
}

// cpuidCrystal reads the TSC rate from the leaf made for it (CPUID 0x15). It is trusted only when the processor also
// says what the crystal's frequency is, which the APIC timer shares.
//
//go:nosplit
func cpuidCrystal() bool {
	if m, _, _, _ := CPUID(0, 0); m < 0x15 {
		return false
	}
	den, num, hz, _ := CPUID(0x15, 0)
	if den == 0 || num == 0 || hz == 0 {
		return false
	}
	rate := uint64(hz) * uint64(num) / uint64(den)
	setTSCRate((1e9 << 32) / rate)
	apicMul = uint64(hz) << 32 / 1e9
	return true
}

//go:nosplit
func pitRead() uint16 {
	Outb(0x43, 0)
	lo := Inb(0x40)
	return uint16(lo) | uint16(Inb(0x40))<<8
}

// calibratePIT measures the TSC and the APIC timer against PIT channel 0.
//
//go:nosplit
func calibratePIT() {
	const pitHz, ticks = 1193182, 2400 // about 2 ms
	Outb(0x43, 0x34)
	Outb(0x40, 0)
	Outb(0x40, 0)
	lvt := apicRead(apicLVTT)
	apicWrite(apicLVTT, 1<<16|VecTimer)
	p0 := pitRead()
	t0 := RDTSC()
	apicWrite(apicInit, 0xffffffff)
	a0 := apicRead(apicCur)
	for n := 0; p0-pitRead() < ticks && n < 1e7; n++ {
	}
	p1 := pitRead()
	t1 := RDTSC()
	a1 := apicRead(apicCur)
	apicWrite(apicInit, 0)
	apicWrite(apicLVTT, lvt)
	ns := uint64(p0-p1) * 1e9 / pitHz
	if ns == 0 || t1 == t0 {
		ns, t1 = 1, t0+1 // no PIT: take the counter for nanoseconds
	}
	setTSCRate(ns << 32 / (t1 - t0))
	apicMul = uint64(a0-a1) << 32 / ns
}

// SetTimer makes the timer of this CPU fire at the time at. Interrupts are off.
//
//go:nosplit
func SetTimer(at, now int64) {
	if calTSC != 0 && This().Index == 0 {
		refineClock()
	}
	d := at - now
	if d < 500 {
		d = 500
	}
	if d > 3e9 {
		d = 3e9 // the counter has 32 bits; a spare wake-up does no harm
	}
	if tscDeadline != 0 {
		WriteMSR(msrTSCDead, RDTSC()+mul32(uint64(d), tscPerNS))
		return
	}
	n := mul32(uint64(d), apicMul)
	if n > 0xffffffff {
		n = 0xffffffff
	}
	apicWrite(apicInit, uint32(n))
}

// StopTimer cancels SetTimer.
//
//go:nosplit
func StopTimer() {
	if tscDeadline != 0 {
		WriteMSR(msrTSCDead, 0)
		return
	}
	apicWrite(apicInit, 0)
}
