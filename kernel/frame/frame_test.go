package frame

import (
	"math/rand/v2"
	"sync"
	"testing"

	"gosv/kernel/cpu"
)

func initTest(t testing.TB, regions ...Region) {
	Init(regions)
	t.Cleanup(func() { Init([]Region{{cpu.ArenaBase, 256 << 20}}) })
}

func freeFrames() uint64 {
	_, f, _, _ := Stats()
	return f
}

// Frames never overlap, come zeroed, and join to whole blocks again.
func TestRandom(t *testing.T) {
	initTest(t, Region{cpu.ArenaBase + 3*Size + 5, 20<<20 + 77}, Region{cpu.ArenaBase + 64<<20, 9 << 20})
	total, before, _, _ := Stats()
	if total != before || total < 28<<20/Size {
		t.Fatalf("total %d, free %d", total, before)
	}
	type block struct {
		f     Frame
		order uint
	}
	r := rand.New(rand.NewPCG(1, 2))
	owner := map[Frame]bool{}
	var held []block
	for range 20000 {
		if r.IntN(5) < 3 {
			var b block
			switch r.IntN(3) {
			case 0:
				b.f = AllocUser()
			case 1:
				b.f = Alloc()
			default:
				b.order = uint(r.IntN(MaxOrder + 1))
				b.f = AllocOrder(b.order)
			}
			if b.f == 0 {
				continue
			}
			if uint64(b.f)%(Size<<b.order) != 0 {
				t.Fatalf("block %x of order %d is not aligned", b.f, b.order)
			}
			for i := Frame(0); i < 1<<b.order; i++ {
				g := b.f + i*Size
				if owner[g] {
					t.Fatalf("frame %x handed out twice", g)
				}
				owner[g] = true
				for _, c := range g.Bytes() {
					if c != 0 {
						t.Fatalf("frame %x is not zeroed", g)
					}
				}
				g.Bytes()[r.IntN(Size)] = 1
			}
			held = append(held, b)
		} else if len(held) > 0 {
			i := r.IntN(len(held))
			b := held[i]
			held[i] = held[len(held)-1]
			held = held[:len(held)-1]
			freeBlock(b.f, b.order, owner)
		}
	}
	for _, b := range held {
		freeBlock(b.f, b.order, owner)
	}
	if after := freeFrames(); after != before {
		t.Fatalf("%d frames free, %d at first", after, before)
	}
}

func freeBlock(f Frame, order uint, owner map[Frame]bool) {
	for i := Frame(0); i < 1<<order; i++ {
		delete(owner, f+i*Size)
	}
	if order == 0 {
		f.Unref()
	} else {
		FreeOrder(f, order)
	}
}

func TestReserve(t *testing.T) {
	initTest(t, Region{cpu.ArenaBase, 8 << 20})
	var held []Frame
	for f := AllocUser(); f != 0; f = AllocUser() {
		held = append(held, f)
	}
	_, free, reserved, _ := Stats()
	if free < reserved || free > reserved+2*cacheSize {
		t.Errorf("%d frames free, %d in reserve", free, reserved)
	}
	if AllocUserOrder(0) != 0 || AllocRaw() != 0 {
		t.Error("the application got into the reserve")
	}
	for i := uint64(0); i < reserved; i++ {
		f := Alloc()
		if f == 0 {
			t.Fatalf("no frame for the kernel after %d of %d", i, reserved)
		}
		held = append(held, f)
	}
	for _, f := range held {
		f.Unref()
	}
}

func TestRefs(t *testing.T) {
	before := freeFrames()
	f := AllocUserOrder(9)
	if f == 0 || uint64(f)%(2<<20) != 0 {
		t.Fatalf("2 MiB block at %x", f)
	}
	for i := Frame(0); i < 512; i++ {
		g := f + i*Size
		g.Ref()
		g.Unref()
		if g.Refs() != 1 {
			t.Fatalf("frame %d has %d references", i, g.Refs())
		}
		g.Unref()
	}
	if after := freeFrames(); after != before {
		t.Errorf("%d frames free, %d at first", after, before)
	}
	foreign := Frame(cpu.ArenaBase + 512<<20)
	foreign.Unref()
	if foreign.Refs() < 1<<20 {
		t.Error("a frame outside our memory is counted")
	}
}

func TestParallel(t *testing.T) {
	before := freeFrames()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(3, uint64(g)))
			var held []Frame
			for range 5000 {
				if f := AllocUser(); f != 0 {
					f.Bytes()[7] = byte(g)
					held = append(held, f)
				}
				if r.IntN(2) == 0 && len(held) > 0 {
					i := r.IntN(len(held))
					f := held[i]
					if f.Bytes()[7] != byte(g) {
						t.Error("frame has two owners")
					}
					f.Bytes()[7] = 0xff
					f.Unref()
					held = append(held[:i], held[i+1:]...)
				}
			}
			for _, f := range held {
				f.Unref()
			}
		})
	}
	wg.Wait()
	if after := freeFrames(); after != before {
		t.Errorf("%d frames free, %d at first", after, before)
	}
}

func BenchmarkAllocUser(b *testing.B) {
	for b.Loop() {
		AllocUser().Unref()
	}
}

func BenchmarkAllocRaw(b *testing.B) {
	for b.Loop() {
		AllocRaw().Unref()
	}
}
