package mm

import (
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkFault is a write fault to an anonymous page, with its frame and its
// share of the unmapping.
func BenchmarkFault(b *testing.B) {
	benchFault(b, unix.MADV_NOHUGEPAGE)
}

// BenchmarkFaultAhead is the same per page, when the program goes from start to end.
func BenchmarkFaultAhead(b *testing.B) { benchFault(b, unix.MADV_NORMAL) }

func benchFault(b *testing.B, advice int) {
	as := newSpace(b)
	const n = 4096
	faults := 0
	for i := 0; i < b.N; {
		addr := mustMap(b, as, MapArgs{Len: n * pageSize, Prot: rw, Flags: anon})
		as.Madvise(addr, n*pageSize, advice)
		for k := uint64(0); k < n && i < b.N; k++ {
			if p := as.slot(addr + k*pageSize); p == nil || *p == 0 {
				as.Fault(addr+k*pageSize, AccessWrite)
				faults++
			}
			i++
		}
		as.Munmap(addr, n*pageSize)
	}
	b.ReportMetric(float64(faults)/float64(b.N), "faults/page")
}

func BenchmarkMmapTouchMunmap(b *testing.B) {
	as := newSpace(b)
	mustMap(b, as, MapArgs{Len: 4096, Prot: ProtRead, Flags: anon})
	b.ReportAllocs()
	for b.Loop() {
		addr, _ := as.Mmap(MapArgs{Len: pageSize, Prot: rw, Flags: anon})
		as.Fault(addr, AccessWrite)
		as.Munmap(addr, pageSize)
	}
}

func BenchmarkForkCOW(b *testing.B) {
	as := newSpace(b)
	addr := mustMap(b, as, MapArgs{Len: 1 << 20, Prot: rw, Flags: anon})
	as.populate(addr, addr+1<<20)
	for b.Loop() {
		child, _ := as.Fork()
		child.Fault(addr, AccessWrite)
		child.Release()
		as.Fault(addr, AccessWrite)
	}
}

func BenchmarkRead4K(b *testing.B) {
	c := NewCache(nil)
	c.InitSize(1 << 20)
	buf := make([]byte, 4096)
	b.SetBytes(4096)
	b.ReportAllocs()
	for b.Loop() {
		d := KernelBuf(buf)
		c.Page(3, true)
		c.Read(&d, 3*4096)
	}
}
