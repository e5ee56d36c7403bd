//go:build metal

package main

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"gosv/kernel/cpu"
	"gosv/kernel/frame"
	"gosv/kernel/goport"
)

// A space is an address space made by hand: code at codeAt, and a page of data at dataAt.
type space struct {
	root       uint64
	code, data frame.Frame
}

const (
	codeAt = 0x400000
	dataAt = 0x600000
	hole   = 0x602000
)

func newSpace() *space {
	s := &space{root: uint64(frame.Alloc()), code: frame.Alloc(), data: frame.Alloc()}
	cpu.InitRoot(s.root)
	s.mapPage(codeAt, uint64(s.code)|cpu.PTEPresent|cpu.PTEUser)
	s.mapPage(dataAt, uint64(s.data)|cpu.PTEPresent|cpu.PTEUser|cpu.PTEWrite|cpu.PTENoExec)
	return s
}

func (s *space) entry(va uint64) uintptr {
	t := s.root
	for shift := 39; ; shift -= 9 {
		e := cpu.PhysToVirt(t) + uintptr(va>>shift&511)*8
		if shift == 12 {
			return e
		}
		if cpu.Load64(e) == 0 {
			cpu.Store64(e, uint64(frame.Alloc())|cpu.PTEPresent|cpu.PTEWrite|cpu.PTEUser)
		}
		t = cpu.Load64(e) & cpu.PTEAddrMask
	}
}

func (s *space) mapPage(va, pte uint64) { cpu.Store64(s.entry(va), pte) }

// load puts machine code at codeAt and returns a thread that starts there.
func (s *space) load(code ...byte) *cpu.Context {
	copy(s.code.Bytes(), code)
	x := cpu.NewContext()
	x.Regs.IP, x.Regs.SP = codeAt, dataAt+4096
	return x
}

// run enters until something other than an interrupt happens.
func (s *space) run(x *cpu.Context) uint64 {
	for {
		x.Enter(s.root)
		if v := x.Regs.Vec; v < cpu.VecTimer || v == cpu.VecSyscall {
			return v
		}
		goport.PollInterrupts()
		runtime.Gosched()
	}
}

func testRing3() {
	s := newSpace()
	x := s.load(0x0f, 0x05, 0xeb, 0xfc) // 1: syscall; jmp 1b
	const n = 100000
	s.run(x)
	best := int64(1 << 62)
	for range 5 {
		t := cpu.Nanotime()
		for range n {
			x.Regs.AX = 38
			s.run(x)
		}
		best = min(best, cpu.Nanotime()-t)
	}
	check(x.Regs.Vec == cpu.VecSyscall && x.Regs.IP == codeAt+2, "ring3: null system call %d ns", best/n)

	x = s.load(0x48, 0x8b, 0x04, 0x25, 0, 0x20, 0x60, 0) // mov hole, %rax
	v := s.run(x)
	check(v == cpu.VecPageFault && x.Fault == hole && x.Regs.IP == codeAt && x.Regs.Err&cpu.FaultUser != 0, "ring3: page fault at %#x, error %#x", x.Fault, x.Regs.Err)
	x = s.load(0xfa) // cli
	check(s.run(x) == cpu.VecGP, "ring3: a privileged instruction is vector %d", x.Regs.Vec)
	x = s.load(0x0f, 0x01, 0x4c, 0x24, 0xf0) // sidt -16(%rsp): UMIP
	v = s.run(x)
	check(v == cpu.VecGP || v == cpu.VecPageFault, "ring3: SIDT is vector %d", v)
	x = s.load(0x31, 0xc9, 0xf7, 0xf1) // div by zero
	check(s.run(x) == cpu.VecDivide, "ring3: division by zero is vector %d", x.Regs.Vec)
	x = s.load(0xcc)
	check(s.run(x) == cpu.VecBreakpoint, "ring3: INT3 is vector %d", x.Regs.Vec)
	x = s.load(0x0f, 0x0b)
	check(s.run(x) == cpu.VecInvalidOp, "ring3: UD2 is vector %d", x.Regs.Vec)
	x = s.load(0xcd, 0x80)
	check(s.run(x) == cpu.VecGP, "ring3: INT 0x80 is vector %d", x.Regs.Vec)

	// What a program or a debugger could put in the registers.
	for _, ip := range []uint64{1 << 47, 1 << 63, 0xffff800000000000, 0xffffffff80200000, cpu.UserTop} {
		x = s.load(0x0f, 0x05)
		s.run(x)
		x.Regs.IP, x.Regs.CX = ip, ip
		v = s.run(x)
		check(v == cpu.VecGP || v == cpu.VecPageFault, "ring3: instruction pointer %#x is vector %d", ip, v)
	}
	x = s.load(0x0f, 0x05)
	x.Regs.Flags = ^uint64(0) &^ cpu.FlagTF
	x.Regs.CS, x.Regs.SS = cpu.KernelCS, cpu.KernelSS
	check(s.run(x) == cpu.VecSyscall && x.Regs.Flags&0x3000 == 0, "ring3: all flags set: %#x", x.Regs.Flags)
	x = s.load(0x9d, 0x0f, 0x05) // popf: TF NT AC...; syscall
	*(*uint64)(unsafe.Pointer(s.data.Virt() + 4088)) = 0x7fd5 | cpu.FlagAC
	x.Regs.SP = dataAt + 4088
	v = s.run(x)
	check(v == cpu.VecDebug || v == cpu.VecSyscall, "ring3: single step is vector %d", v)

	// wrfsbase %rax; wrgsbase %rbx; syscall; rdfsbase %rcx...: bases survive.
	if cpu.HasFSGSBase() {
		x = s.load(0xf3, 0x48, 0x0f, 0xae, 0xd0, 0xf3, 0x48, 0x0f, 0xae, 0xdb, 0x0f, 0x05, 0xf3, 0x48, 0x0f, 0xae, 0xc2, 0xf3, 0x48, 0x0f, 0xae, 0xcf, 0x0f, 0x05)
		x.Regs.AX, x.Regs.BX = 0x123456789000, 0xffffffff80200000 // GS may look like the kernel's
		s.run(x)
		check(x.FSBase == 0x123456789000 && x.GSBase == 0xffffffff80200000, "ring3: FS %#x, GS %#x", x.FSBase, x.GSBase)
		s.run(x)
		check(x.Regs.DX == 0x123456789000 && x.Regs.DI == 0xffffffff80200000, "ring3: FS %#x, GS %#x after a system call", x.Regs.DX, x.Regs.DI)
	}
	x.Release()
	cpu.DropRoot(s.root)
}

func testCopy() {
	s := newSpace()
	buf := make([]byte, 9000)
	for i := range buf {
		buf[i] = byte(i * 7)
	}
	left := cpu.CopyToUser(s.root, dataAt+100, unsafe.Pointer(&buf[0]), 3000)
	got := make([]byte, 9000)
	left2 := cpu.CopyFromUser(s.root, unsafe.Pointer(&got[0]), dataAt+100, 3000)
	check(left == 0 && left2 == 0 && string(got[:3000]) == string(buf[:3000]), "copy: 3000 bytes there and back")
	bad := 0
	for _, n := range []uintptr{1, 7, 8, 9, 63, 64, 65, 600, 4000} {
		for _, over := range []uintptr{1, 3, 8, 9, 64, 100} {
			if l := cpu.CopyToUser(s.root, dataAt+4096-uint64(n), unsafe.Pointer(&buf[0]), n+over); l != over {
				bad++
			}
			if l := cpu.CopyFromUser(s.root, unsafe.Pointer(&got[0]), dataAt+4096-uint64(n), n+over); l != over || string(got[:n]) != string(buf[:n]) {
				bad++
			}
			if l := cpu.ZeroUser(s.root, dataAt+4096-uint64(n), n+over); l < over || l > over+7 {
				bad++
			}
		}
	}
	check(bad == 0, "copy: faults in the middle, %d wrong", bad)
	check(cpu.CopyToUser(s.root, codeAt, unsafe.Pointer(&buf[0]), 8) == 8, "copy: not to a read-only page")
	v, ok := cpu.LoadUser32(s.root, dataAt)
	prev, ok2 := cpu.CASUser32(s.root, dataAt, v, 77)
	v2, _ := cpu.LoadUser32(s.root, dataAt)
	prev3, ok3 := cpu.CASUser32(s.root, dataAt, 5, 6)
	_, ok4 := cpu.LoadUser32(s.root, hole)
	_, ok5 := cpu.CASUser32(s.root, hole, 0, 1)
	check(ok && ok2 && prev == v && v2 == 77 && ok3 && prev3 == 77 && !ok4 && !ok5, "copy: words of user memory")

	if _, b, _, _ := cpu.CPUID(7, 0); b&(1<<20) != 0 { // SMAP: the kernel itself has no business there
		p := uintptr(dataAt)
		func() {
			defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
			defer func() { r := recover(); check(r != nil, "copy: a stray access to user memory: %v", r) }()
			_ = *(*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&p)))
		}()
	}

	page := make([]byte, 4096)
	for _, n := range []uintptr{8, 64, 512, 4096} {
		check(true, "copy: %d bytes to user memory take %d ns", n, price(func() { cpu.CopyToUser(s.root, dataAt, unsafe.Pointer(&page[0]), n) }))
	}
	check(true, "copy: clearing a page takes %d ns, in package frame %d", price(func() { cpu.ZeroPage(s.data.Virt()) }), price(func() { s.data.Zero() }))
	check(true, "copy: copying a page takes %d ns, in package frame %d", price(func() { cpu.CopyPage(s.data.Virt(), s.code.Virt()) }), price(func() { s.data.CopyFrom(s.code) }))
	check(true, "copy: a frame from the allocator and back takes %d ns, zeroed %d", price(func() { frame.AllocRaw().Unref() }), price(func() { frame.AllocUser().Unref() }))

	// Copies in several address spaces on all CPUs, with garbage collections and preemption in between.
	var wg sync.WaitGroup
	var wrong atomic.Int64
	for g := range 4 {
		wg.Go(func() {
			s := newSpace()
			b, c := make([]byte, 2000), make([]byte, 2000)
			for i := range b {
				b[i] = byte(g + 1)
			}
			for range 20000 {
				if cpu.CopyToUser(s.root, dataAt, unsafe.Pointer(&b[0]), 2000) != 0 || cpu.CopyFromUser(s.root, unsafe.Pointer(&c[0]), dataAt, 2000) != 0 || c[0] != byte(g+1) || c[1999] != byte(g+1) {
					wrong.Add(1)
				}
			}
			cpu.DropRoot(s.root)
		})
	}
	for range 20 {
		runtime.GC()
	}
	wg.Wait()
	check(wrong.Load() == 0, "copy: 4 address spaces in parallel, %d wrong", wrong.Load())
	cpu.DropRoot(s.root)
}

// testFPU has threads that each keep a value in YMM1's upper half, or XMM1, over system calls and switches.
func testFPU() {
	var wg sync.WaitGroup
	var wrong atomic.Int64
	_, _, c, _ := cpu.CPUID(1, 0)
	avx := c&(1<<28) != 0
	t := time.Now()
	for g := range 6 {
		wg.Go(func() {
			s := newSpace()
			x := s.load(
				0xc4, 0xe2, 0x7d, 0x1a, 0x0c, 0x25, 0x00, 0x00, 0x60, 0x00, // vbroadcastf128 0x600000, %ymm1
				0x0f, 0x05, // 1: syscall
				0xc4, 0xe3, 0x7d, 0x19, 0x0c, 0x25, 0x40, 0x00, 0x60, 0x00, 0x01, // vextractf128 $1, %ymm1, 0x600040
				0xeb, 0xf1) // jmp 1b
			if !avx {
				x = s.load(
					0x0f, 0x28, 0x0c, 0x25, 0x00, 0x00, 0x60, 0x00, // movaps 0x600000, %xmm1
					0x0f, 0x05, // 1: syscall
					0x0f, 0x29, 0x0c, 0x25, 0x40, 0x00, 0x60, 0x00, // movaps %xmm1, 0x600040
					0xeb, 0xf4) // jmp 1b
			}
			d := s.data.Bytes()
			for i := range 16 {
				d[i] = byte(g*16 + i)
			}
			for i := range 2000 {
				if s.run(x) != cpu.VecSyscall || i > 0 && string(d[0x40:0x50]) != string(d[:0x10]) {
					wrong.Add(1)
				}
				if i%3 == 0 {
					x.Release()
					runtime.Gosched()
				}
				if i%100 == 50 {
					b := make([]byte, cpu.FPStateSize())
					x.SaveFP(b)
					if x.RestoreFP(b) != nil {
						wrong.Add(1)
					}
					y := cpu.NewContext()
					y.Copy(x)
					x.Release()
					x = y
				}
			}
			x.Release()
			b := make([]byte, cpu.FPStateSize())
			x.SaveFP(b)
			b[26] = 0xff
			if x.RestoreFP(b) == nil {
				wrong.Add(1)
			}
			cpu.DropRoot(s.root)
		})
	}
	wg.Wait()
	check(wrong.Load() == 0, "fpu: 6 threads, %d wrong, state of %d bytes, took %v", wrong.Load(), cpu.FPStateSize(), time.Since(t))
}

// testStopTheWorld collects garbage while programs compute on every CPU.
func testStopTheWorld() {
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range cpu.NumCPU() {
		wg.Go(func() {
			s := newSpace()
			x := s.load(0xeb, 0xfe) // jmp .
			for !stop.Load() {
				x.Enter(s.root)
				goport.PollInterrupts()
				x.Release()
				runtime.Gosched()
			}
			cpu.DropRoot(s.root)
		})
	}
	time.Sleep(20 * time.Millisecond)
	var worst, sum time.Duration
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		t := time.Now()
		runtime.GC()
		d := time.Since(t)
		worst, sum = max(worst, d), sum+d
	}
	runtime.ReadMemStats(&after)
	stop.Store(true)
	wg.Wait()
	pauses := time.Duration(after.PauseTotalNs - before.PauseTotalNs)
	check(worst < time.Second, "stw: a GC while all CPUs are in ring 3 took %v on average, %v at most; the world stopped for %v of it", sum/10, worst, pauses/time.Duration(after.NumGC-before.NumGC))
}

// price is the least time of f in ns, over some batches: other work of the host disturbs the longer ones.
func price(f func()) int64 {
	best := int64(1 << 62)
	for range 40 {
		t := cpu.Nanotime()
		for range 500 {
			f()
		}
		best = min(best, (cpu.Nanotime()-t)/500)
	}
	return best
}
