package syscalls

import (
	"encoding/binary"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/fs/pipe"
	"gosv/kernel/fs/tmpfs"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

var ringRoot = sync.OnceFunc(func() {
	if _, err := vfs.MountRoot(tmpfs.New(tmpfs.Options{}), "tmpfs", 0); err != nil {
		panic(err)
	}
})

// testRing is a ring of a program that does as it is told.
type testRing struct {
	t            testing.TB
	th           *task.Thread
	fd           uint64
	p            linux.IOURingParams
	rings, sqes  uint64
	tail         uint32
	at           uint64 // memory of the program
	pipeR, pipeW int
}

func newTestRing(t testing.TB, entries uint64, flags uint32) *testRing {
	pollFrames()
	ringRoot()
	var r testRing
	r.t = t
	tt, ok := t.(*testing.T)
	if !ok {
		tt = new(testing.T)
	}
	r.th, r.at, _ = pollThread(tt)
	r.th.FS = vfs.NewFSContext()
	pr, pw, err := pipe.New(r.th.Creds(), 0)
	if err != nil {
		t.Fatal(err)
	}
	r.pipeR, r.pipeW, _ = r.th.Files.InstallTwo(pr, pw, false)
	r.p.Flags = flags
	b := unsafe.Slice((*byte)(unsafe.Pointer(&r.p)), unsafe.Sizeof(r.p))
	r.must(0, r.th.MM.CopyOut(r.at, b))
	r.fd = r.must(sysIOUringSetup(r.th, &Args{entries, r.at}))
	r.must(0, r.th.MM.CopyIn(b, r.at))
	const rw = unix.PROT_READ | unix.PROT_WRITE
	r.rings = r.must(sysMmap(r.th, &Args{0, uint64(r.p.SQOff.Array + r.p.SQEntries*4), rw, unix.MAP_SHARED, r.fd, 0}))
	r.sqes = r.must(sysMmap(r.th, &Args{0, uint64(r.p.SQEntries) * 64, rw, unix.MAP_SHARED, r.fd, linux.IORING_OFF_SQES}))
	for i := range r.p.SQEntries {
		r.store(r.p.SQOff.Array+i*4, i)
	}
	return &r
}

func (r *testRing) must(v uint64, err error) uint64 {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

func (r *testRing) store(off, v uint32) { r.must(0, r.th.MM.Store32(r.rings+uint64(off), v)) }
func (r *testRing) load(off uint32) uint32 {
	v, err := r.th.MM.Load32(r.rings + uint64(off))
	return uint32(r.must(uint64(v), err))
}

// add fills an entry.
func (r *testRing) add(q linux.IOURingSQE) {
	i := uint64(r.tail & (r.p.SQEntries - 1))
	r.must(0, r.th.MM.CopyOut(r.sqes+i*64, unsafe.Slice((*byte)(unsafe.Pointer(&q)), 64)))
	r.tail++
	r.store(r.p.SQOff.Tail, r.tail)
}

func (r *testRing) enter(n, least uint64, flags uint64) (uint64, error) {
	return sysIOUringEnter(r.th, &Args{r.fd, n, least, flags})
}

// take returns the results of the completions that there are, by user data.
func (r *testRing) take() map[uint64]int32 {
	m := make(map[uint64]int32)
	head, tail := r.load(r.p.CQOff.Head), r.load(r.p.CQOff.Tail)
	for ; head != tail; head++ {
		var b [16]byte
		r.must(0, r.th.MM.CopyIn(b[:], r.rings+uint64(r.p.CQOff.CQEs+head&(r.p.CQEntries-1)*16)))
		m[binary.LittleEndian.Uint64(b[:])] = int32(binary.LittleEndian.Uint32(b[8:]))
	}
	r.store(r.p.CQOff.Head, head)
	return m
}

// close ends the program's use of the ring.
func (r *testRing) close() {
	r.th.MM.Munmap(r.rings, uint64(r.p.SQOff.Array+r.p.SQEntries*4))
	r.th.MM.Munmap(r.sqes, uint64(r.p.SQEntries)*64)
	r.th.Files.CloseRange(0, 1<<20)
}

// settle waits until a count is back where it was.
func settle(t testing.TB, what string, want int64, count func() int64) {
	t.Helper()
	for i := 0; count() > want; i++ {
		if i > 2000 {
			t.Fatalf("%d %s, there were %d", count(), what, want)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestRingEnds closes a ring with requests of all kinds in flight: no goroutine and
// no file is left.
func TestRingEnds(t *testing.T) {
	newTestRing(t, 1, 0).close()
	new(wait.Timer).Start(1, func() {}) // the goroutine of all timers
	time.Sleep(10 * time.Millisecond)
	goroutines, files := int64(runtime.NumGoroutine()), vfs.OpenFiles()
	for _, flags := range []uint32{0, linux.IORING_SETUP_SQPOLL, linux.IORING_SETUP_SINGLE_ISSUER | linux.IORING_SETUP_DEFER_TASKRUN} {
		r := newTestRing(t, 64, flags)
		put64(t, r.th, r.at, 1000, 0)
		in := int32(r.pipeR)
		r.add(linux.IOURingSQE{Opcode: linux.IORING_OP_READ, FD: in, Addr: r.at, Len: 8, UserData: 1})
		r.add(linux.IOURingSQE{Opcode: linux.IORING_OP_POLL_ADD, FD: in, OpFlags: unix.POLLIN, Len: linux.IORING_POLL_ADD_MULTI, UserData: 2})
		r.add(linux.IOURingSQE{Opcode: linux.IORING_OP_TIMEOUT, FD: -1, Addr: r.at, Len: 1, UserData: 3})
		r.add(linux.IOURingSQE{Opcode: linux.IORING_OP_SPLICE, FD: int32(r.pipeW), FileIndex: uint32(in), Addr: ^uint64(0), Off: ^uint64(0), Len: 8, UserData: 4})
		r.add(linux.IOURingSQE{Opcode: linux.IORING_OP_READ, FD: in, Addr: r.at, Len: 8, UserData: 5, Flags: linux.IOSQE_IO_LINK})
		r.add(linux.IOURingSQE{Opcode: linux.IORING_OP_LINK_TIMEOUT, FD: -1, Addr: r.at, Len: 1, UserData: 6, Flags: linux.IOSQE_IO_LINK})
		r.add(linux.IOURingSQE{Opcode: linux.IORING_OP_NOP, UserData: 7})
		r.add(linux.IOURingSQE{Opcode: linux.IORING_OP_NOP, UserData: 8, Flags: linux.IOSQE_IO_DRAIN})
		if n, err := r.enter(8, 0, linux.IORING_ENTER_SQ_WAKEUP); n != 8 || err != nil {
			t.Fatal(n, err)
		}
		time.Sleep(5 * time.Millisecond)
		if m := r.take(); len(m) > 1 { // the splice of a pipe into itself is wrong
			t.Errorf("complete: %v", m)
		}
		r.close()
		settle(t, "files", files, vfs.OpenFiles)
		settle(t, "goroutines", goroutines, func() int64 { return int64(runtime.NumGoroutine()) })
	}
}

// TestRingParallel reads a pipe through a ring while others write to it, cancel and
// poll, for the race detector.
func TestRingParallel(t *testing.T) {
	r := newTestRing(t, 64, 0)
	defer r.close()
	w, _ := r.th.Files.Get(r.pipeW)
	const rounds = 300
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range rounds {
				bump(w)
			}
		})
	}
	got := 0
	for got < 2*rounds {
		r.add(linux.IOURingSQE{Opcode: linux.IORING_OP_READ, FD: int32(r.pipeR), Addr: r.at, Len: 8, UserData: 1})
		r.add(linux.IOURingSQE{Opcode: linux.IORING_OP_POLL_ADD, FD: int32(r.pipeR), OpFlags: unix.POLLIN, UserData: 2})
		r.add(linux.IOURingSQE{Opcode: linux.IORING_OP_ASYNC_CANCEL, FD: -1, Addr: 2, UserData: 3})
		if n, err := r.enter(3, 3, linux.IORING_ENTER_GETEVENTS); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		m := r.take()
		if m[1] != 8 {
			t.Fatal(m)
		}
		got++
	}
	wg.Wait()
	w.Release()
}

// FuzzRing has the program write anything into the memory that it shares with the
// kernel, and submit it: the kernel lives, and nothing is left when the ring ends.
func FuzzRing(f *testing.F) {
	f.Add(uint32(0), uint32(1), uint32(0), make([]byte, 64))
	f.Add(uint32(0), uint32(8), uint32(4), []byte{linux.IORING_OP_READ, linux.IOSQE_IO_LINK, 0, 0, 2, 0, 0, 0})
	f.Add(uint32(linux.IORING_SETUP_SUBMIT_ALL), ^uint32(0), ^uint32(0), []byte{linux.IORING_OP_POLL_ADD, 0, 0, 0, 2, 0, 0, 0})
	f.Fuzz(func(t *testing.T, flags, tail, index uint32, entries []byte) {
		const allowed = linux.IORING_SETUP_SUBMIT_ALL | linux.IORING_SETUP_COOP_TASKRUN | linux.IORING_SETUP_SQPOLL
		r := newTestRing(t, 8, flags&allowed&^linux.IORING_SETUP_SQPOLL)
		entries = entries[:min(len(entries), 8*64)]
		for i := 0; i < len(entries); i += 64 {
			if e := entries[i:]; len(e) > 8 { // addresses in the program's memory, as a rule
				e = append([]byte(nil), e[:min(64, len(e))]...)
				if len(e) >= 24 && e[23] == 0 {
					binary.LittleEndian.PutUint64(e[16:], r.at+uint64(binary.LittleEndian.Uint16(e[16:])))
				}
				copy(entries[i:], e)
			}
		}
		r.th.MM.CopyOut(r.sqes, entries)
		r.store(r.p.SQOff.Array, index)
		r.store(r.p.SQOff.Tail, tail)
		put64(t, r.th, r.at+4096, 0, 0, r.at+4096+32, 0, 0, 1000)
		put64(t, r.th, r.at+4096+16, r.at+4096+32)
		before := r.load(r.p.SQOff.Dropped)
		n, err := r.enter(8, 0, 0)
		if err != nil || n > 8 {
			t.Fatal(n, err)
		}
		if index >= 8 && tail > 0 && (n != 0 || r.load(r.p.SQOff.Dropped) != before+1) {
			t.Errorf("a bad index: submitted %d, dropped %d", n, r.load(r.p.SQOff.Dropped))
		}
		// Whatever is in the other words.
		for off := uint64(0); off < 512; off += 4 {
			r.th.MM.Store32(r.rings+off, tail^index+uint32(off))
		}
		r.enter(8, 0, linux.IORING_ENTER_GETEVENTS) //nolint:errcheck // it comes back, that is all
		files := vfs.OpenFiles()
		r.close()
		settle(t, "files", files-1, vfs.OpenFiles)
	})
}

func BenchmarkRingNop(b *testing.B) {
	r := newTestRing(b, 64, 0)
	defer r.close()
	b.ReportAllocs()
	r.batches(b, linux.IOURingSQE{Opcode: linux.IORING_OP_NOP})
}

// batches measures one request of a submission of 64.
func (r *testRing) batches(b *testing.B, q linux.IOURingSQE) {
	for range 64 {
		r.add(q)
	}
	b.ResetTimer()
	for i := 0; i < b.N; i += 64 {
		r.store(r.p.SQOff.Tail, r.load(r.p.SQOff.Head)+64)
		if n, err := r.enter(64, 64, linux.IORING_ENTER_GETEVENTS); n != 64 || err != nil {
			b.Fatal(n, err)
		}
		r.store(r.p.CQOff.Head, r.load(r.p.CQOff.Tail))
	}
}

func BenchmarkRingRead(b *testing.B) {
	r := newTestRing(b, 64, 0)
	defer r.close()
	f := tmpfs.NewAnonymousFile(r.th.Creds(), "/memfd:x", 0o600, 0)
	r.must(0, f.Inode().SetAttr(&vfs.SetAttr{Mask: vfs.SetSize, Size: 4096}))
	fd, _ := r.th.Files.Install(f, false)
	b.ReportAllocs()
	r.batches(b, linux.IOURingSQE{Opcode: linux.IORING_OP_READ, FD: int32(fd), Addr: r.at, Len: 512})
}
