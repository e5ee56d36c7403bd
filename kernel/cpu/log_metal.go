//go:build metal

package cpu

import "unsafe"

// The kernel log is COM1, and a ring of its last bytes for crash reports and dmesg.

const (
	com1    = 0x3f8
	logSize = 16 << 10
)

var (
	logRing [logSize]byte
	logEnd  uint64 // bytes ever written
	logLock SpinLock
	dying   uint32 // CPU index+1 of the one that writes a crash report
	lastPut byte
	panicAt [200]byte // the first line of the runtime that says why it ends
	panicN  int

	panicDone uint32 // panicAt is complete
)

//go:nosplit
func putc(b byte) {
	if b == '\n' && lastPut != '\r' {
		putRaw('\r')
	}
	putRaw(b)
	logRing[logEnd%logSize] = b
	logEnd++
	lastPut = b
}

//go:nosplit
func putRaw(b byte) {
	for n := 0; Inb(com1+5)&0x20 == 0 && n < 1e6; n++ {
		Pause()
	}
	Outb(com1, b)
}

// LogBytes writes the n bytes at p to the kernel log. They are in memory that is present.
//
//go:nosplit
func LogBytes(p, n uintptr) {
	f := logLock.Lock()
	for i := uintptr(0); i < n; i++ {
		putc(Load8(p + i))
	}
	logLock.Unlock(f)
}

// Log writes s to the kernel log.
//
//go:nosplit
func Log(s string) { LogBytes(uintptr(unsafe.Pointer(unsafe.StringData(s))), uintptr(len(s))) }

// LogTail copies the last bytes of the log to b and returns how many there were.
func LogTail(b []byte) int {
	f := logLock.Lock()
	n := min(uint64(len(b)), logEnd, logSize)
	for i := uint64(0); i < n; i++ {
		b[i] = logRing[(logEnd-n+i)%logSize]
	}
	logLock.Unlock(f)
	return int(n)
}

//go:nosplit
func puts(s string) {
	for i := 0; i < len(s); i++ {
		putc(s[i])
	}
}

//go:nosplit
func putx(v uint64) {
	for i := 60; i >= 0; i -= 4 {
		putc("0123456789abcdef"[v>>uint(i)&15])
	}
}

//go:nosplit
func putd(v uint64) {
	var b [20]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + v%10)
		v /= 10
		if v == 0 {
			break
		}
	}
	for ; i < len(b); i++ {
		putc(b[i])
	}
}

// LogRaw writes b to the UART as it is; it is a program's output and no part of the log.
func LogRaw(b []byte) {
	for len(b) > 0 {
		n := min(len(b), 64) // interrupts are off for this many bytes
		f := logLock.Lock()
		for _, c := range b[:n] {
			putRaw(c)
		}
		lastPut = b[n-1]
		logLock.Unlock(f)
		b = b[n:]
	}
}
