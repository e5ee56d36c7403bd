package mm

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
	"gosv/kernel/frame"
)

const (
	rw       = ProtRead | ProtWrite
	anon     = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	anonHere = anon | unix.MAP_FIXED
)

func newSpace(t testing.TB) *AddressSpace {
	t.Helper()
	before := freeFrames()
	as, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		as.Release()
		if after := freeFrames(); after != before {
			t.Errorf("%d frames free, %d at first", after, before)
		}
	})
	return as
}

func mustMap(t testing.TB, as *AddressSpace, m MapArgs) uint64 {
	t.Helper()
	addr, err := as.Mmap(m)
	if err != nil {
		t.Fatalf("mmap %+v: %v", m, err)
	}
	return addr
}

func TestMmapErrors(t *testing.T) {
	as := newSpace(t)
	const fixed = 0x20000000
	mustMap(t, as, MapArgs{Addr: fixed, Len: 4 * pageSize, Prot: rw, Flags: anonHere})
	for _, c := range []struct {
		name string
		m    MapArgs
		err  error
	}{
		{"no length", MapArgs{Flags: anon}, unix.EINVAL},
		{"length wraps", MapArgs{Len: ^uint64(0), Flags: anon}, unix.ENOMEM},
		{"too long", MapArgs{Len: 1 << 48, Flags: anon | unix.MAP_NORESERVE}, unix.ENOMEM},
		{"no type", MapArgs{Len: 1, Flags: unix.MAP_ANONYMOUS}, unix.EINVAL},
		{"misaligned", MapArgs{Addr: fixed + 1, Len: 1, Flags: anonHere}, unix.EINVAL},
		{"low page", MapArgs{Addr: 0, Len: 1, Flags: anonHere}, unix.EPERM},
		{"kernel half", MapArgs{Addr: cpu.UserTop, Len: 1, Flags: anonHere}, unix.ENOMEM},
		{"huge pages", MapArgs{Len: 2 << 20, Flags: anon | unix.MAP_HUGETLB}, unix.ENOMEM},
		{"no replace", MapArgs{Addr: fixed + pageSize, Len: 1, Flags: anon | unix.MAP_FIXED_NOREPLACE}, unix.EEXIST},
		{"validate", MapArgs{Len: 1, Flags: unix.MAP_SHARED_VALIDATE | unix.MAP_ANONYMOUS}, unix.EINVAL},
		{"more than all memory", MapArgs{Len: 1 << 30, Prot: rw, Flags: anon}, unix.ENOMEM},
		{"more, shared", MapArgs{Len: 1 << 30, Prot: rw, Flags: unix.MAP_SHARED | unix.MAP_ANONYMOUS}, unix.ENOMEM},
		{"more, no reserve", MapArgs{Len: 1 << 30, Prot: rw, Flags: anon | unix.MAP_NORESERVE}, nil},
		{"more, reserved addresses", MapArgs{Len: 64 << 30, Flags: anon}, nil},
	} {
		if _, err := as.Mmap(c.m); err != c.err {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
	}
}

func TestPlacement(t *testing.T) {
	as := newSpace(t)
	as.SetLayout(0x700000000000, 0x10000000, cpu.UserTop)
	a := mustMap(t, as, MapArgs{Len: 3 * pageSize, Prot: rw, Flags: anon})
	b := mustMap(t, as, MapArgs{Len: pageSize, Prot: ProtRead, Flags: anon})
	if a != 0x700000000000-3*pageSize || b != a-pageSize {
		t.Errorf("areas at %x, %x", a, b)
	}
	as.Munmap(a+pageSize, pageSize)
	if c := mustMap(t, as, MapArgs{Len: pageSize, Prot: rw, Flags: anon}); c != a+pageSize {
		t.Errorf("the hole at %x is not used: %x", a+pageSize, c)
	}
	if n := as.areas.n; n != 2 {
		t.Errorf("%d areas: the pieces were not joined", n)
	}
	if c := mustMap(t, as, MapArgs{Addr: 0x12345, Len: pageSize, Flags: anon}); c != 0x12000 {
		t.Errorf("hint 0x12345 gives %x", c)
	}
	if c := mustMap(t, as, MapArgs{Addr: a, Len: pageSize, Flags: anon}); c >= a {
		t.Errorf("taken hint gives %x", c)
	}
	if c := mustMap(t, as, MapArgs{Len: pageSize, Flags: anon | unix.MAP_32BIT}); c >= 1<<31 {
		t.Errorf("MAP_32BIT gives %x", c)
	}
	s := mustMap(t, as, MapArgs{Len: pageSize, Prot: rw, Flags: anon | unix.MAP_GROWSDOWN})
	if c := mustMap(t, as, MapArgs{Len: pageSize, Flags: anon}); c > s-guardGap-pageSize {
		t.Errorf("%x is in the guard gap of %x", c, s)
	}
}

func TestFaultSignals(t *testing.T) {
	as := newSpace(t)
	f := &testFile{cache: NewCache(&memDevice{fail: map[uint64]bool{1: true}})}
	f.cache.InitSize(2*pageSize + 100)
	defer f.cache.Drop()
	ro := mustMap(t, as, MapArgs{Len: pageSize, Prot: ProtRead, Flags: anon})
	none := mustMap(t, as, MapArgs{Len: pageSize, Flags: anon})
	file := mustMap(t, as, MapArgs{Len: 4 * pageSize, Prot: rw, Flags: unix.MAP_PRIVATE, File: f})
	defer as.Munmap(file, 4*pageSize)
	for _, c := range []struct {
		name string
		addr uint64
		acc  Access
		want FaultError
	}{
		{"nothing there", 0x1000, AccessRead, FaultError{Signal: int(syscall.SIGSEGV), Code: 1}},
		{"kernel half", cpu.UserTop, AccessRead, FaultError{Signal: int(syscall.SIGSEGV), Code: 1}},
		{"write to read-only", ro, AccessWrite, FaultError{Signal: int(syscall.SIGSEGV), Code: 2}},
		{"run read-only", ro, AccessExec, FaultError{Signal: int(syscall.SIGSEGV), Code: 2}},
		{"read of PROT_NONE", none, AccessRead, FaultError{Signal: int(syscall.SIGSEGV), Code: 2}},
		{"beyond the file", file + 3*pageSize, AccessRead, FaultError{Signal: int(syscall.SIGBUS), Code: 2}},
		{"beyond the file", file + 3*pageSize, AccessWrite, FaultError{Signal: int(syscall.SIGBUS), Code: 2}},
		{"bad sector", file + pageSize, AccessRead, FaultError{Signal: int(syscall.SIGBUS), Code: 2}},
	} {
		if err := as.Fault(c.addr, c.acc); err == nil || *err != c.want {
			t.Errorf("%s: %+v", c.name, err)
		}
	}
	if err := as.Fault(file+2*pageSize+200, AccessWrite); err != nil {
		t.Errorf("last page: %v", err)
	}
}

func TestStackGrowth(t *testing.T) {
	as := newSpace(t)
	as.SetLimits(^uint64(0), 1<<20, ^uint64(0), ^uint64(0))
	const top = 0x7ff000000000
	mustMap(t, as, MapArgs{Addr: top - pageSize, Len: pageSize, Prot: rw, Flags: anonHere, Grow: true, Name: "[stack]"})
	if err := as.Store64(top-300<<10, 1); err != nil {
		t.Fatal(err)
	}
	if a := as.areas.at(top - 1); a.start != top-300<<10 || as.vsize != 300<<10 {
		t.Errorf("the stack begins at %x", a.start)
	}
	if err := as.Fault(top-1<<20-1, AccessWrite); err == nil {
		t.Error("the stack grows beyond its limit")
	}
	mustMap(t, as, MapArgs{Addr: top - 900<<10 - guardGap, Len: pageSize, Prot: rw, Flags: anonHere})
	if err := as.Fault(top-900<<10, AccessWrite); err == nil {
		t.Error("the stack grows into the guard gap")
	}
	if err := as.Fault(top-800<<10, AccessWrite); err != nil {
		t.Error(err)
	}
}

func TestBrk(t *testing.T) {
	as := newSpace(t)
	as.SetBrk(0x10000123)
	start := as.Brk(0)
	if start != 0x10001000 {
		t.Fatalf("brk is %x", start)
	}
	if as.Brk(start+10000) != start+10000 || as.Store64(start+9990, 7) != nil {
		t.Error("the heap does not grow")
	}
	if as.Brk(start+pageSize) != start+pageSize || as.Store64(start+9990, 7) != unix.EFAULT {
		t.Error("the heap does not shrink")
	}
	if as.Brk(start+1<<30) != start+pageSize {
		t.Error("the heap is larger than memory")
	}
	mustMap(t, as, MapArgs{Addr: start + 4*pageSize, Len: pageSize, Flags: anonHere})
	if as.Brk(start+5*pageSize) != start+pageSize {
		t.Error("the heap grows over a mapping")
	}
	if as.Brk(start-1) != start+pageSize || as.Brk(start) != start {
		t.Error("wrong break")
	}
}

func TestSharedAnonymous(t *testing.T) {
	as := newSpace(t)
	addr := mustMap(t, as, MapArgs{Len: 2 * pageSize, Prot: rw, Flags: unix.MAP_SHARED | unix.MAP_ANONYMOUS})
	child, err := as.Fork()
	if err != nil {
		t.Fatal(err)
	}
	defer child.Release()
	if err := child.Store32(addr+pageSize, 42); err != nil {
		t.Fatal(err)
	}
	if v, err := as.Load32(addr + pageSize); v != 42 || err != nil {
		t.Errorf("%d %v", v, err)
	}
	k1, err1 := as.FutexKey(addr+8, false)
	k2, err2 := child.FutexKey(addr+8, false)
	if k1 != k2 || err1 != nil || err2 != nil {
		t.Error("the futex has two keys")
	}
	p1, _ := as.FutexKey(addr+8, true)
	p2, _ := child.FutexKey(addr+8, true)
	if p1 == p2 {
		t.Error("private futexes have one key")
	}
	if _, err := as.FutexKey(addr+2, false); err != unix.EINVAL {
		t.Error(err)
	}
	if _, err := as.FutexKey(0x1000, false); err != unix.EFAULT {
		t.Error(err)
	}
}

func TestTruncateUnmaps(t *testing.T) {
	as := newSpace(t)
	f := &testFile{cache: NewCache(nil)}
	data := bytes.Repeat([]byte("0123456789abcdef"), 1000)
	b := KernelBuf(data)
	if n, err := f.cache.Write(&b, 0); n != 16000 || err != nil {
		t.Fatal(n, err)
	}
	shared := mustMap(t, as, MapArgs{Len: 16000, Prot: rw, Flags: unix.MAP_SHARED, File: f})
	private := mustMap(t, as, MapArgs{Len: 16000, Prot: rw, Flags: unix.MAP_PRIVATE, File: f})
	for _, a := range []uint64{shared, private} {
		if err := as.Store32(a+8192, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.cache.SetSize(5000); err != nil {
		t.Fatal(err)
	}
	for _, a := range []uint64{shared, private} {
		if err := as.Fault(a+8192, AccessRead); err == nil || err.Signal != int(syscall.SIGBUS) {
			t.Errorf("beyond the end: %v", err)
		}
		if v, _ := as.Load32(a + 5004); v != 0 {
			t.Errorf("rest of the last page is %x", v)
		}
		if v, _ := as.Load32(a + 4996); v != 0x37363534 {
			t.Errorf("end of the file is %x", v)
		}
	}
	f.cache.SetSize(16000)
	if v, err := as.Load32(shared + 8192); v != 0 || err != nil {
		t.Errorf("%x %v after the file grew again", v, err)
	}
	as.Munmap(shared, 16000)
	as.Munmap(private, 16000)
	f.cache.Drop()
	if f.refs != 0 {
		t.Errorf("%d references", f.refs)
	}
}

func TestMadviseErrors(t *testing.T) {
	as := newSpace(t)
	addr := mustMap(t, as, MapArgs{Len: 4 * pageSize, Prot: rw, Flags: anon})
	as.Munmap(addr+pageSize, pageSize)
	as.Store32(addr+2*pageSize, 1)
	if err := as.Madvise(addr, 4*pageSize, unix.MADV_DONTNEED); err != unix.ENOMEM {
		t.Errorf("hole: %v", err)
	}
	if v, _ := as.Load32(addr + 2*pageSize); v != 0 {
		t.Error("the rest was not done")
	}
	if as.Madvise(addr, pageSize, 99) != unix.EINVAL || as.Madvise(addr+1, 1, unix.MADV_DONTNEED) != unix.EINVAL {
		t.Error("not EINVAL")
	}
	if as.Madvise(addr, 0, unix.MADV_DONTNEED) != nil {
		t.Error("empty range")
	}
	var vec [4]byte
	if err := as.Mincore(addr+2*pageSize, 2*pageSize, vec[:], func(Mappable) bool { return true }); err != nil || vec[0] != 1 || vec[1] != 0 {
		t.Errorf("mincore %v %v", vec, err)
	}
	if err := as.Madvise(addr+2*pageSize, 2*pageSize, unix.MADV_POPULATE_WRITE); err != nil {
		t.Error(err)
	}
	if as.Mincore(addr+2*pageSize, 2*pageSize, vec[:], func(Mappable) bool { return true }); vec[1] != 1 {
		t.Error("not populated")
	}
}

func TestMremap(t *testing.T) {
	as := newSpace(t)
	mustMap(t, as, MapArgs{Len: pageSize, Flags: anon})
	addr := mustMap(t, as, MapArgs{Len: 600 * pageSize, Prot: rw, Flags: anon})
	for i := uint64(0); i < 600; i += 7 {
		as.Store64(addr+i*pageSize, i+1)
	}
	if _, err := as.Mremap(addr, 600*pageSize, 700*pageSize, 0, 0, false); err != unix.ENOMEM {
		t.Errorf("no room to grow: %v", err)
	}
	to, err := as.Mremap(addr, 600*pageSize, 700*pageSize, unix.MREMAP_MAYMOVE, 0, false)
	if err != nil || to == addr {
		t.Fatalf("%x %v", to, err)
	}
	for i := uint64(0); i < 600; i += 7 {
		if v, err := as.Load64(to + i*pageSize); v != i+1 || err != nil {
			t.Fatalf("page %d: %d %v", i, v, err)
		}
	}
	if _, err := as.Load64(addr + 599*pageSize); err == nil && addr+599*pageSize > to+700*pageSize {
		t.Error("the old place is still there")
	}
	if a, err := as.Mremap(to, 700*pageSize, pageSize, 0, 0, false); a != to || err != nil || as.vsize != 2*pageSize {
		t.Errorf("shrink: %x %v, %d bytes", a, err, as.vsize)
	}
	kept, err := as.Mremap(to, pageSize, pageSize, unix.MREMAP_MAYMOVE|unix.MREMAP_DONTUNMAP, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := as.Load64(kept); v != 1 {
		t.Error("DONTUNMAP lost the page")
	}
	if v, err := as.Load64(to); v != 0 || err != nil {
		t.Errorf("the old place has %d, %v", v, err)
	}
	if _, err := as.Mremap(0x5000, pageSize, pageSize, 0, 0, false); err != unix.EFAULT {
		t.Error(err)
	}
}

func TestUserCopy(t *testing.T) {
	as := newSpace(t)
	addr := mustMap(t, as, MapArgs{Len: 3 * pageSize, Prot: rw, Flags: anon})
	as.Munmap(addr+2*pageSize, pageSize)
	edge := addr + 2*pageSize
	as.CopyOut(edge-6, []byte("hello\x00"))
	if s, err := as.CopyInString(edge-6, 4096); s != "hello" || err != nil {
		t.Errorf("%q %v", s, err)
	}
	if _, err := as.CopyInString(edge-6, 5); err != unix.ENAMETOOLONG {
		t.Error(err)
	}
	as.CopyOut(edge-6, []byte("hello!"))
	if _, err := as.CopyInString(edge-6, 4096); err != unix.EFAULT {
		t.Error(err)
	}
	long := strings.Repeat("x", 1000)
	as.CopyOut(addr+3500, append([]byte(long), 0))
	if s, err := as.CopyInString(addr+3500, 4096); s != long || err != nil {
		t.Errorf("%d bytes, %v", len(s), err)
	}
	if v, err := as.CAS32(addr, 0, 5); v != 0 || err != nil {
		t.Error(v, err)
	}
	if v, err := as.CAS32(addr, 0, 6); v != 5 || err != nil {
		t.Error(v, err)
	}
	if _, err := as.CAS32(addr+1, 0, 6); err != unix.EINVAL {
		t.Error(err)
	}
	if err := as.CopyIn(make([]byte, 8), cpu.UserTop-4); err != unix.EFAULT {
		t.Error(err)
	}

	b := UserIovec(as, []IOVec{{addr + 100, 3}, {0x50, 0}, {addr + 200, 4}, {edge - 2, 4}, {addr, 9}})
	if b.Len() != 20 {
		t.Errorf("length %d", b.Len())
	}
	if n, err := b.CopyTo([]byte("abcdefghijkl")); n != 9 || err != unix.EFAULT {
		t.Errorf("copied %d, %v", n, err)
	}
	b = UserIovec(as, []IOVec{{addr + 100, 3}, {addr + 200, 4}, {edge - 2, 2}})
	b.Limit(8)
	b.Skip(1)
	got := make([]byte, 20)
	if n, err := b.CopyFrom(got); string(got[:n]) != "bcdefgh" || err != nil {
		t.Errorf("%q %v", got[:n], err)
	}
}

func TestReadahead(t *testing.T) {
	d := &memDevice{pages: map[uint64][]byte{5: []byte("five")}}
	c := NewCache(d)
	c.InitSize(100*pageSize + 1)
	buf := make([]byte, 200*pageSize)
	b := KernelBuf(buf)
	if n, err := c.Read(&b, 0); n != 100*pageSize+1 || err != nil {
		t.Fatal(n, err)
	}
	if string(buf[5*pageSize:5*pageSize+4]) != "five" || d.reads != 101 || c.Pages() != 101 {
		t.Errorf("%d reads, %d pages", d.reads, c.Pages())
	}
	before := freeFrames()
	if n := reclaim(60); n < 60 || freeFrames()-before < uint64(n)-16 {
		t.Errorf("reclaimed %d", n)
	}
	c.Drop()
}

// Memory of the page cache makes room for the program, and the program is
// told when nothing is left.
func TestOutOfMemory(t *testing.T) {
	frame.Init([]frame.Region{{Base: cpu.ArenaBase + 300<<20, Size: 16 << 20}})
	zero := zeroFrame
	zeroFrame = frame.Alloc()
	zeroFrame.Pin()
	defer func() {
		zeroFrame = zero
		frame.Init([]frame.Region{{Base: cpu.ArenaBase, Size: 256 << 20}})
		zeroFrame = frame.Alloc()
		zeroFrame.Pin()
	}()
	as, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer as.Release()
	f := &testFile{cache: NewCache(&memDevice{})}
	f.cache.InitSize(8 << 20)
	m := mustMap(t, as, MapArgs{Len: 8 << 20, Prot: ProtRead, Flags: unix.MAP_SHARED, File: f})
	as.populate(m, m+8<<20)
	if f.cache.Pages() < 2000 {
		t.Fatalf("%d pages in the cache", f.cache.Pages())
	}
	addr := mustMap(t, as, MapArgs{Len: 12 << 20, Prot: rw, Flags: anon})
	for i := uint64(0); i < 12<<20; i += pageSize {
		if err := as.Fault(addr+i, AccessWrite); err != nil {
			t.Fatalf("at %d MiB: %v; %d pages in the cache", i>>20, err, f.cache.Pages())
		}
	}
	more := mustMap(t, as, MapArgs{Len: 8 << 20, Prot: rw, Flags: anon})
	var failed *FaultError
	for i := uint64(0); i < 8<<20 && failed == nil; i += pageSize {
		failed = as.Fault(more+i, AccessWrite)
	}
	if failed == nil || !failed.OOM {
		t.Fatalf("%+v", failed)
	}
	if _, free, reserved, _ := frame.Stats(); free < reserved {
		t.Errorf("%d frames free of the reserve of %d", free, reserved)
	}
	if err := as.CopyOut(more+8<<20-pageSize, []byte{1}); err != unix.EFAULT || !as.OutOfMemory() || as.OutOfMemory() {
		t.Errorf("copy: %v", err)
	}
	// mlock(2) reports it, and the caller is not killed for it later.
	if err := as.Mlock(more, 8<<20, false); err != unix.EAGAIN || as.OutOfMemory() {
		t.Errorf("mlock: %v", err)
	}
	if err := as.Mlock(more, 8<<20, true); err != nil {
		t.Errorf("mlock on fault: %v", err)
	}
	if child, err := as.Fork(); err != unix.ENOMEM {
		t.Errorf("fork: %v", err)
		child.Release()
	}
	as.Munmap(m, 8<<20)
	f.cache.Drop()
}

// TestParallel has threads fault, protect, fork and unmap in one address space;
// each checks memory of its own.
func TestParallel(t *testing.T) {
	as := newSpace(t)
	f := &testFile2{cache: NewCache(nil)}
	f.cache.InitSize(64 * pageSize)
	defer f.cache.Drop()
	common := mustMap(t, as, MapArgs{Len: 64 * pageSize, Prot: rw, Flags: unix.MAP_SHARED, File: f})
	cow := mustMap(t, as, MapArgs{Len: 64 * pageSize, Prot: rw, Flags: anon})
	large := mustMap(t, as, MapArgs{Addr: 0x40000000, Len: 3 * hugeSize, Prot: rw, Flags: anonHere})
	as.Madvise(large, 3*hugeSize, unix.MADV_HUGEPAGE)
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(g, 1))
			for range 400 {
				addr, err := as.Mmap(MapArgs{Len: 40 * pageSize, Prot: rw, Flags: anon})
				if err != nil {
					t.Error(err)
					return
				}
				at := addr + uint64(r.IntN(40))*pageSize
				as.Store64(at, g+1)
				// Words of one page are different threads'.
				page := uint64(r.IntN(64)) * pageSize
				as.Store64(cow+page+g*8, at)
				as.Store64(common+page+g*8, at)
				word := large + uint64(r.IntN(3*hugePages))*pageSize + g*8
				if r.IntN(3) == 0 { // a quarter of the pages of a huge one; the other threads use words that may be gone then
					quarter := (word - g*8) &^ (hugeSize/4 - 1)
					as.Madvise(quarter, hugeSize/4, unix.MADV_DONTNEED)
				}
				as.Store64(word, at)
				if v, err := as.Load64(word); v != at && v != 0 || err != nil {
					t.Errorf("word in a huge page is %x, want %x: %v", v, at, err)
				}
				if r.IntN(8) == 0 {
					child, err := as.Fork()
					if err != nil {
						t.Error(err)
						return
					}
					if v, err := child.Load64(at); v != g+1 || err != nil {
						t.Errorf("child has %d, %v", v, err)
					}
					child.Store64(cow+page+g*8, 99)
					child.Release()
				}
				if r.IntN(4) == 0 {
					as.Mprotect(addr, 20*pageSize, ProtRead)
					as.Mprotect(addr, 40*pageSize, rw)
				}
				if v, err := as.Load64(at); v != g+1 || err != nil {
					t.Errorf("own page has %d, %v", v, err)
				}
				for _, a := range []uint64{cow, common} {
					if v, err := as.Load64(a + page + g*8); v != at || err != nil {
						t.Errorf("word of thread %d is %x, want %x: %v", g, v, at, err)
					}
				}
				if err := as.Munmap(addr, 40*pageSize); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	as.Munmap(common, 64*pageSize)
}

// testFile2 is testFile for several threads.
type testFile2 struct{ cache *Cache }

func (f *testFile2) Cache() *Cache   { return f.cache }
func (f *testFile2) MapName() string { return "/file" }
func (f *testFile2) Retain()         {}
func (f *testFile2) Release()        {}

func TestAreaTree(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	var tree areaTree
	taken := map[uint64]uint64{}
	for range 3000 {
		lo := uint64(r.IntN(4000)+1) * pageSize
		hi := lo + uint64(r.IntN(5)+1)*pageSize
		if a := tree.find(lo); a == nil || a.start >= hi {
			tree.insert(&area{start: lo, end: hi})
			taken[lo] = hi
		} else if a.start < lo+20*pageSize {
			delete(taken, a.start)
			tree.extract(a.start, a.end)
		}
	}
	if tree.n != len(taken) {
		t.Fatalf("%d areas, want %d", tree.n, len(taken))
	}
	for range 1000 {
		n := uint64(r.IntN(40)+1) * pageSize
		hi := uint64(r.IntN(4200)+60) * pageSize
		got, ok := tree.root.highest(pageSize, hi, n)
		want, found := hi-n, false
		for ; want >= pageSize && !found; want -= pageSize {
			found = true
			for lo, end := range taken {
				if want < end && lo < want+n {
					found = false
					break
				}
			}
			if found {
				break
			}
		}
		if ok != found || ok && got != want {
			t.Fatalf("highest(%x, %x) = %x %v, want %x %v", hi, n, got, ok, want, found)
		}
	}
}

// Protection that comes back must not undo copy-on-write.
func TestProtectAfterFork(t *testing.T) {
	as := newSpace(t)
	addr := mustMap(t, as, MapArgs{Len: pageSize, Prot: rw, Flags: anon})
	as.Store32(addr, 1)
	child, err := as.Fork()
	if err != nil {
		t.Fatal(err)
	}
	defer child.Release()
	as.Mprotect(addr, pageSize, ProtRead)
	as.Mprotect(addr, pageSize, rw)
	as.Store32(addr, 2)
	if v, _ := child.Load32(addr); v != 1 {
		t.Errorf("the child reads %d", v)
	}
}

// A page that is written after msync is dirty again.
func TestSyncTwice(t *testing.T) {
	as := newSpace(t)
	d := &memDevice{}
	f := &testFile{cache: NewCache(d)}
	f.cache.InitSize(pageSize)
	addr := mustMap(t, as, MapArgs{Len: pageSize, Prot: rw, Flags: unix.MAP_SHARED, File: f})
	for v := byte(1); v < 4; v++ {
		as.CopyOut(addr, []byte{v})
		if err := as.Msync(addr, pageSize, unix.MS_SYNC); err != nil {
			t.Fatal(err)
		}
		if d.pages[0][0] != v || d.writes != int(v) {
			t.Errorf("the device has %d after %d writes, want %d", d.pages[0][0], d.writes, v)
		}
	}
	as.Munmap(addr, pageSize)
	f.cache.Drop()
}

// rangeDevice notes what is read at once.
type rangeDevice struct {
	memDevice
	ranges []string
}

func (d *rangeDevice) FillRange(index uint64, frames []frame.Frame) error {
	d.ranges = append(d.ranges, fmt.Sprint(index, "+", len(frames)))
	for i, f := range frames {
		if err := d.FillPage(index+uint64(i), f); err != nil {
			return err
		}
	}
	return nil
}

// A fault of a mapping reads the pages around it that are not there yet, in one go; where that fails, its own.
func TestReadAround(t *testing.T) {
	as := newSpace(t)
	defer as.Release()
	d := &rangeDevice{memDevice: memDevice{pages: map[uint64][]byte{50: []byte("fifty")}, fail: map[uint64]bool{90: true}}}
	f := &testFile{cache: NewCache(d)}
	f.cache.InitSize(95*pageSize + 1)
	m := mustMap(t, as, MapArgs{Len: 96 * pageSize, Prot: ProtRead, Flags: unix.MAP_PRIVATE, File: f})
	read := func(page uint64, want string, ranges ...string) {
		t.Helper()
		b := make([]byte, 5)
		if err := as.CopyIn(b, m+page*pageSize); err != nil || strings.TrimRight(string(b), "\x00") != want {
			t.Errorf("page %d: %q, %v", page, b, err)
		}
		if !slices.Equal(d.ranges, ranges) {
			t.Errorf("page %d: read %q at once, not %q", page, d.ranges, ranges)
		}
		d.ranges = nil
	}
	read(50, "fifty", "32+32")
	read(33, "")
	if err := as.Madvise(m, 32*pageSize, unix.MADV_RANDOM); err != nil {
		t.Fatal(err)
	}
	read(10, "")
	read(20, "")
	if err := as.Madvise(m, 32*pageSize, unix.MADV_NORMAL); err != nil {
		t.Fatal(err)
	}
	read(15, "", "11+9")
	read(70, "", "64+32")
	read(71, "", "71+25")
	if err := as.CopyIn(make([]byte, 1), m+90*pageSize); err != unix.EFAULT {
		t.Errorf("bad page: %v", err)
	}
	if err := as.Munmap(m, 96*pageSize); err != nil {
		t.Fatal(err)
	}
	f.cache.Drop()
}
