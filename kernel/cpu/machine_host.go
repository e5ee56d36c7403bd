//go:build !metal

package cpu

import (
	"math/rand/v2"
	"os"
	"runtime"
	"time"
)

var bootTime = time.Now()

// NumCPU is the number of processors.
func NumCPU() int { return runtime.GOMAXPROCS(0) }

// ID is the number of the current processor; goroutines of the host have none.
func ID() int { return 0 }

// Nanotime is CLOCK_MONOTONIC in nanoseconds.
func Nanotime() int64 { return int64(time.Since(bootTime)) + 1 }

// Walltime is CLOCK_REALTIME in nanoseconds.
func Walltime() int64 { return time.Now().UnixNano() }

// TSCParams describes the clock to the vDSO; the host's has no counter.
func TSCParams() (mul uint64, shift uint, base uint64, wall int64) {
	return 1, 0, 0, bootTime.UnixNano()
}

// CPUID answers as a plain x86-64 processor with SSE2 would.
func CPUID(leaf, sub uint32) (a, b, c, d uint32) {
	switch leaf {
	case 0:
		return 1, 0x756e6547, 0x6c65746e, 0x49656e69 // GenuineIntel
	case 1:
		return 0x000006f0, 0, 0, 0x078bfbff
	case 0x80000000:
		return 0x80000001, 0, 0, 0
	case 0x80000001:
		return 0, 0, 1, 0x20100800 // LM, NX, SYSCALL
	}
	return 0, 0, 0, 0
}

// Random64 returns entropy of the hardware.
func Random64() (uint64, bool) { return rand.Uint64(), true }

// Fatal ends the test with msg.
func Fatal(msg string) { panic("cpu: " + msg) }

// PowerOff ends the process with status.
func PowerOff(status int) { os.Exit(status) }

// Ports of the host do not exist: reads return all ones, as an empty bus does.

// Inb reads an I/O port.
func Inb(port uint16) uint8 { return 0xff }

// Inw reads an I/O port.
func Inw(port uint16) uint16 { return 0xffff }

// Inl reads an I/O port.
func Inl(port uint16) uint32 { return 0xffffffff }

// Outb writes an I/O port.
func Outb(port uint16, v uint8) {}

// Outw writes an I/O port.
func Outw(port uint16, v uint16) {}

// Outl writes an I/O port.
func Outl(port uint16, v uint32) {}
