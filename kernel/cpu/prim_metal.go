//go:build metal

package cpu

// Implemented in assembly. The exported ones are single instructions, or loops around one.

// Inb reads an I/O port; so do Inw and Inl. Outb, Outw, Outl write one.
func Inb(port uint16) uint8
func Inw(port uint16) uint16
func Inl(port uint16) uint32
func Outb(port uint16, v uint8)
func Outw(port uint16, v uint16)
func Outl(port uint16, v uint32)

// RDTSC reads the time-stamp counter.
func RDTSC() uint64

// Pause is the hint of a spin loop.
func Pause()

// CPUID runs the instruction of that name.
func CPUID(leaf, sub uint32) (a, b, c, d uint32)

// ReadMSR and WriteMSR access a model-specific register, which must exist.
func ReadMSR(msr uint32) uint64
func WriteMSR(msr uint32, v uint64)

// ReadCR2 is the address of the last page fault.
func ReadCR2() uintptr

// InterruptSave turns interrupts off and returns what InterruptRestore needs to undo that.
func InterruptSave() uintptr
func InterruptRestore(flags uintptr)

// HaltOnce waits for an interrupt, with interrupts on, and turns them off again.
func HaltOnce()

// ZeroPage clears the page at p, CopyPage copies one, CopyBytes copies n bytes without regard to Go's write barriers.
func ZeroPage(p uintptr)
func CopyPage(dst, src uintptr)
func CopyBytes(dst, src uintptr, n uintptr)

func cpuSelf() uintptr
func readCR3() uint64
func writeCR3(v uint64)
func readCR4() uint64
func readDR6() uint64
func writeDR6(v uint64)
func writeDR7(v uint64)
func writeDR(r *DebugRegs)
func writeCR4(v uint64)
func invlpg(va uintptr)
func rdrand() (v uint64, ok bool)
func rdseed() (v uint64, ok bool)
func spin()
func tripleFault()
func loadTables(gdt, idt uintptr)
func setXCR0(v uint64)
func saveFPU(p uintptr)
func fxsave(p uintptr)
func fpUntouched() bool
func loadFPU(p uintptr)
func stubAddr() uintptr
func syscallAddr() uintptr
func apStartAddr() uintptr
func imageEnds() (text, etext, rodata, data, end uintptr)
func kcall(nr, a, b, c uint64) uint64
