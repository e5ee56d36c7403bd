//go:build metal

package cpu

import (
	"sync/atomic"
	"unsafe"
)

// Fatal ends the machine after a crash report. It may be called from anywhere.
//
//go:nosplit
func Fatal(msg string) { crash(msg, nil) }

// Crash is Fatal for a trap: f is what the interrupted code had in its registers.
//
//go:nosplit
func Crash(msg string, f *Regs) { crash(msg, f) }

// crashGo is what crash becomes on the other side of an indirect call, which ends the linker's nosplit chain.
//
//go:nosplit
func crashGo(msg string, f *Regs) {
	InterruptSave()
	me := uint32(This().Index) + 1
	if !atomic.CompareAndSwapUint32(&dying, 0, me) {
		if dying == me {
			puts("\ngosv: crash within the crash report\n")
			finish(125, msg)
		}
		spin()
	}
	stopOthers()
	puts("\ngosv: kernel bug: ")
	puts(msg)
	puts(" on cpu ")
	putd(uint64(me - 1))
	puts(" thread ")
	putx(uint64(This().Cur))
	puts(" cr2 ")
	putx(uint64(ReadCR2()))
	bp := uint64(0)
	if f != nil {
		p := uintptr(unsafe.Pointer(f))
		for i := uintptr(0); i < unsafe.Sizeof(*f)/8; i++ {
			if i%4 == 0 {
				puts("\n ")
			}
			putc(' ')
			r := "r15r14r13r12r11r10r9 r8 bp di si dx cx bx ax vecerrip cs fl sp ss "[i*3:]
			putc(r[0])
			putc(r[1])
			putc(r[2])
			putc('=')
			putx(Load64(p + i*8))
		}
		bp = f.BP
	} else {
		bp = framePointer()
	}
	putc('\n')
	if f != nil {
		putFrame(f.IP)
	}
	for n := 0; n < 40 && bp >= 1<<63 && bp&7 == 0 && present(bp) && present(bp+8); n++ {
		putFrame(Load64(uintptr(bp + 8)))
		next := Load64(uintptr(bp))
		if next <= bp {
			break
		}
		bp = next
	}
	finish(125, msg)
}

//go:nosplit
func putFrame(pc uint64) {
	puts("  at ")
	putx(pc)
	symbolize(pc) // a fault in there ends the report, but the address stands above
	putc('\n')
}

// symbolGo writes the name of the function that pc is in. It is ordinary Go code, which runs here because symbolize has
// given it a goroutine without a stack limit; it must not allocate.
func symbolGo(pc uint64) {
	f := findfunc(uintptr(pc))
	if f.fn == 0 || f.module == 0 {
		return
	}
	names := uintptr(Load64(f.module + moduleNames))
	name := names + uintptr(Load32(f.fn+funcName))
	putc(' ')
	for n := 0; Load8(name) != 0 && n < 120; n++ {
		putc(Load8(name))
		name++
	}
	puts("+")
	entry := uintptr(Load32(f.fn))
	putd(pc - textStart() - uint64(entry))
}

// funcInfo is runtime.funcInfo: *_func and *moduledata.
type funcInfo struct{ fn, module uintptr }

const (
	funcName    = 4 // runtime._func.nameOff; entryOff is the first field
	moduleNames = 8 // runtime.moduledata.funcnametab
)

//go:linkname findfunc runtime.findfunc
func findfunc(pc uintptr) funcInfo

//go:nosplit
func textStart() uint64 {
	text, _, _, _, _ := imageEnds()
	return uint64(text)
}

func symbolize(pc uint64)

// present reports whether a kernel address is mapped.
//
//go:nosplit
func present(va uint64) bool {
	t := kernelRoot
	if t == 0 {
		return va >= KernelBase
	}
	for s := uint(39); ; s -= 9 {
		v := Load64(PhysToVirt(t) + uintptr(va>>s&511)*8)
		if v&PTEPresent == 0 {
			return false
		}
		if s == 12 || s < 39 && v&PTEHuge != 0 {
			return true
		}
		t = v & PTEAddrMask
	}
}

// stopOthers makes the other CPUs halt at their next instruction with interrupts on.
//
//go:nosplit
func stopOthers() {
	atomic.StoreUint32(&stopping, 1)
	for i := uint32(0); i < nCPU; i++ {
		if c := &cpus[i]; c != This() && lapic|uintptr(x2apic) != 0 {
			SendIPI(c)
		}
	}
	logLock = 0 // its holder may have stopped
}

// started says that the program runs.
var started uint32

// Started notes that the program runs: what goes wrong from now on is not that the machine is too small to start it.
func Started() { atomic.StoreUint32(&started, 1) }

// finish writes the report of a machine that died, and ends it.
//
//go:nosplit
func finish(status int, msg string) {
	puts("gosv: end status=")
	putd(uint64(status))
	puts(" panic=\"")
	for i := 0; i < len(msg); i++ {
		if msg[i] == '"' || msg[i] == '\\' {
			putc('\\')
		}
		putc(msg[i])
	}
	puts("\"")
	if atomic.LoadUint32(&started) != 0 {
		puts(" started=1")
	}
	puts("\n")
	PowerOff(status)
}

func crash(msg string, f *Regs)
func framePointer() uint64

// NotePanic remembers the first line that the runtime writes about its own end: n bytes at p, which are present.
//
//go:nosplit
func NotePanic(p, n uintptr) {
	if panicDone != 0 {
		return
	}
	for i := uintptr(0); i < n; i++ {
		b := Load8(p + i)
		if b == '\n' {
			panicDone = boolBit(isPanic())
			if panicDone == 0 {
				panicN = 0
			}
			if panicDone != 0 {
				return
			}
			continue
		}
		if panicN < len(panicAt) {
			panicAt[panicN] = b
			panicN++
		}
	}
}

//go:nosplit
func boolBit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

//go:nosplit
func isPanic() bool {
	return notePrefix("panic: ") || notePrefix("fatal error: ") || notePrefix("runtime: ")
}

//go:nosplit
func notePrefix(s string) bool {
	if panicN < len(s) {
		return false
	}
	for i := 0; i < len(s); i++ {
		if panicAt[i] != s[i] {
			return false
		}
	}
	return true
}

// Exit is exit_group of the kernel's own Go program. A status other than 0 is the runtime's after a panic.
//
//go:nosplit
func Exit(status int) {
	if status == 0 {
		PowerOff(0)
	}
	InterruptSave()
	stopOthers()
	if panicN == 0 {
		finish(125, "the kernel's runtime exited")
	}
	finish(125, unsafe.String(&panicAt[0], panicN))
}
