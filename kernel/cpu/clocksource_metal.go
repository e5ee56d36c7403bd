//go:build metal

package cpu

import (
	"sync/atomic"
	"unsafe"
)

// pvclock is the page that KVM fills in (Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW): room for one of
// its structures, whichever way it lies.
var pvclock [128]byte

// kvmClock takes rate and wall clock from KVM. The rate is the hypervisor's own, as good as its calibration.
//
//go:nosplit
func kvmClock() bool {
	features, _, _, _ := CPUID(0x40000001, 0)
	if hyperMax < 0x40000001 || features&(1<<3) == 0 {
		return false
	}
	p := (uintptr(unsafe.Pointer(&pvclock)) + 63) &^ 63
	WriteMSR(msrKVMSystem, uint64(p-KernelBase)|1)
	var mul uint64
	for range 1000 {
		v := atomic.LoadUint32((*uint32)(unsafe.Pointer(p)))
		m, shift := uint64(Load32(p+24)), int8(Load8(p+28))
		if v&1 == 0 && v != 0 && atomic.LoadUint32((*uint32)(unsafe.Pointer(p))) == v {
			mul = m // ns = (tsc << shift) * m >> 32
			if shift >= 0 {
				mul <<= uint8(shift) & 31
			} else {
				mul >>= uint8(-shift) & 31
			}
			break
		}
		Pause()
	}
	WriteMSR(msrKVMSystem, 0)
	if mul == 0 {
		return false
	}
	setTSCRate(mul)
	return true
}

// kvmWall reads the wall clock of the hypervisor: the time of boot of the guest, for which the system time is 0.
//
//go:nosplit
func kvmWall() bool {
	features, _, _, _ := CPUID(0x40000001, 0)
	if hyper != hyperKVM || features&(1<<3) == 0 {
		return false
	}
	p := (uintptr(unsafe.Pointer(&pvclock)) + 63) &^ 63
	Store64(p, 0)
	WriteMSR(msrKVMSystem, uint64(p-KernelBase)|1)
	sys := uint64(0)
	for range 1000 {
		v := Load32(p)
		tsc, base, m, shift := Load64(p+8), Load64(p+16), uint64(Load32(p+24)), int8(Load8(p+28))
		if v&1 == 0 && v != 0 && Load32(p) == v {
			d := RDTSC() - tsc
			if shift >= 0 {
				d <<= uint8(shift) & 31
			} else {
				d >>= uint8(-shift) & 31
			}
			sys = base + mul32(d, m)
			break
		}
	}
	WriteMSR(msrKVMSystem, 0)
	WriteMSR(msrKVMWall, uint64(p-KernelBase))
	sec, nsec := int64(Load32(p+4)), int64(Load32(p+8))
	if sec == 0 {
		return false
	}
	wallBase = sec*1e9 + nsec + int64(sys) - Nanotime()
	return true
}

//go:nosplit
func wallTime() {
	if !kvmWall() {
		rtcWall()
	}
}

// rtcRegs are the CMOS registers of a time (Motorola MC146818): second, minute, hour, day, month, year.
var rtcRegs = [6]uint8{0, 2, 4, 7, 8, 9}

//go:nosplit
func cmos(reg uint8) uint8 {
	Outb(0x70, reg)
	return Inb(0x71)
}

// rtcWall reads the CMOS clock twice, until both readings agree, outside of an update.
//
//go:nosplit
func rtcWall() {
	var v, last [6]int64
	for range 10 {
		for n := 0; cmos(10)&0x80 != 0 && n < 10000; n++ {
			Pause()
		}
		same := true
		for i := range rtcRegs {
			last[i] = v[i]
			v[i] = int64(cmos(rtcRegs[i]))
			same = same && v[i] == last[i]
		}
		if same {
			break
		}
	}
	b := cmos(11)
	pm := v[2]&0x80 != 0
	v[2] &= 0x7f
	if b&4 == 0 { // BCD
		for i := range v {
			v[i] = v[i]&15 + v[i]>>4*10
		}
	}
	if b&2 == 0 { // 12 hours
		v[2] %= 12
		if pm {
			v[2] += 12
		}
	}
	if v[4] < 1 || v[4] > 12 || v[3] < 1 || v[3] > 31 || v[5] > 99 {
		return // no clock: 1970
	}
	y, m := v[5]+2000, v[4]
	if m <= 2 {
		y--
		m += 12
	}
	days := 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + v[3] - 1 - 719468
	wallBase = (((days*24+v[2])*60+v[1])*60+v[0])*1e9 - Nanotime()
}
