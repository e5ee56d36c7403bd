package syscalls

import (
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/frame"
	"gosv/kernel/fs/eventfd"
	"gosv/kernel/mm"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

var pollFrames = sync.OnceFunc(func() {
	frame.Init([]frame.Region{{Base: cpu.ArenaBase, Size: 32 << 20}})
})

// pollThread is a thread with a page of memory and the descriptors: 0 a counter
// at zero, 1 one that can be read.
func pollThread(t *testing.T) (*task.Thread, uint64, *vfs.File) {
	pollFrames()
	as, err := mm.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(as.Release)
	at, err := as.Mmap(mm.MapArgs{Len: 16384, Prot: mm.ProtRead | mm.ProtWrite, Flags: unix.MAP_PRIVATE | unix.MAP_ANONYMOUS})
	if err != nil {
		t.Fatal(err)
	}
	files := vfs.NewFDTable(1024)
	idle := vfs.NewFile(eventfd.New(0, false), eventfd.Name, unix.O_RDWR)
	files.Install(idle, false)
	files.Install(vfs.NewFile(eventfd.New(1, false), eventfd.Name, unix.O_RDWR), false)
	return task.NewThread(as, files, nil), at, idle
}

func put64(t *testing.T, th *task.Thread, at uint64, vs ...uint64) {
	t.Helper()
	for i, v := range vs {
		if err := th.MM.Store64(at+uint64(8*i), v); err != nil {
			t.Fatal(err)
		}
	}
}

func get64(t *testing.T, th *task.Thread, at uint64) uint64 {
	t.Helper()
	v, err := th.MM.Load64(at)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func bump(f *vfs.File) {
	b := mm.KernelBuf([]byte{1, 0, 0, 0, 0, 0, 0, 0})
	f.Write(nil, &b)
}

// pollFD makes a struct pollfd.
func pollFD(fd int32, events uint16) uint64 { return uint64(uint32(fd)) | uint64(events)<<32 }

func TestPoll(t *testing.T) {
	th, at, idle := pollThread(t)
	put64(t, th, at, pollFD(0, unix.POLLIN), pollFD(1, unix.POLLIN|unix.POLLOUT), pollFD(-1, unix.POLLIN), pollFD(9, 0))
	if n, err := sysPoll(th, &Args{at, 4, 0}); n != 3-1 || err != nil {
		t.Error(n, err)
	}
	for i, want := range []uint64{0, unix.POLLIN | unix.POLLOUT, 0, unix.POLLNVAL} {
		if got := get64(t, th, at+uint64(8*i)) >> 48; got != want {
			t.Errorf("entry %d: %#x, want %#x", i, got, want)
		}
	}
	start := cpu.Nanotime()
	if n, err := sysPoll(th, &Args{at, 1, 20}); n != 0 || err != nil || cpu.Nanotime() < start+20e6 {
		t.Error(n, err, cpu.Nanotime()-start)
	}
	go func() {
		time.Sleep(10 * time.Millisecond)
		bump(idle)
	}()
	if n, err := sysPoll(th, &Args{at, 1, uint64(1<<32 - 1)}); n != 1 || err != nil {
		t.Error(n, err)
	}
	if _, err := sysPoll(th, &Args{8, 1, 0}); err != unix.EFAULT {
		t.Error(err)
	}
	if _, err := sysPoll(th, &Args{at, 1 << 20, 0}); err != unix.EINVAL {
		t.Error(err)
	}
}

func TestPpollTimes(t *testing.T) {
	th, at, _ := pollThread(t)
	put64(t, th, at, pollFD(0, unix.POLLIN), 0, 20e6)
	if n, err := sysPpoll(th, &Args{at, 1, at + 8}); n != 0 || err != nil || get64(t, th, at+16) != 0 {
		t.Error(n, err, get64(t, th, at+16))
	}
	put64(t, th, at, pollFD(1, unix.POLLIN), 100, 0)
	if n, err := sysPpoll(th, &Args{at, 1, at + 8}); n != 1 || err != nil || get64(t, th, at+8) != 99 {
		t.Error(n, err, get64(t, th, at+8))
	}
	put64(t, th, at+8, 0, 1e9)
	if _, err := sysPpoll(th, &Args{at, 1, at + 8}); err != unix.EINVAL {
		t.Error(err)
	}
	if _, err := sysPpoll(th, &Args{at, 1, 0, at, 4}); err != unix.EINVAL {
		t.Error(err)
	}
}

func TestInterrupted(t *testing.T) {
	th, at, _ := pollThread(t)
	th.Pending = func() bool { return true }
	put64(t, th, at, pollFD(0, unix.POLLIN), 100, 0)
	if _, err := sysPpoll(th, &Args{at, 1, at + 8}); err != linux.ERESTARTNOHAND || get64(t, th, at+8) != 99 {
		t.Error(err)
	}
	if _, err := sysPoll(th, &Args{at, 1, 1000}); err != linux.ERESTART_RESTARTBLOCK {
		t.Error(err)
	}
	put64(t, th, at, 1)
	if _, err := sysSelect(th, &Args{1, at, 0, 0, 0}); err != linux.ERESTARTNOHAND {
		t.Error(err)
	}
	if got := get64(t, th, at); got != 1 {
		t.Errorf("the set was changed to %#x", got)
	}
}

func TestSelect(t *testing.T) {
	th, at, idle := pollThread(t)
	in, out, ex, tv := at, at+512, at+1024, at+2048
	put64(t, th, in, 3, 1) // the second word is beyond nfds
	put64(t, th, out, 2)
	put64(t, th, ex, 3)
	put64(t, th, tv, 0, 0)
	if n, err := sysSelect(th, &Args{2, in, out, ex, tv}); n != 2 || err != nil {
		t.Error(n, err)
	}
	if i, o, e := get64(t, th, in), get64(t, th, out), get64(t, th, ex); i != 2 || o != 2 || e != 0 {
		t.Errorf("%#x %#x %#x", i, o, e)
	}
	if got := get64(t, th, in+8); got != 1 {
		t.Errorf("beyond nfds: %#x", got)
	}
	put64(t, th, in, 1)
	go func() {
		time.Sleep(5 * time.Millisecond)
		bump(idle)
	}()
	if n, err := sysSelect(th, &Args{64, in, 0, 0, 0}); n != 1 || err != nil {
		t.Error(n, err)
	}
	put64(t, th, in, 1<<7)
	if _, err := sysSelect(th, &Args{8, in, 0, 0, 0}); err != unix.EBADF {
		t.Error(err)
	}
	if _, err := sysSelect(th, &Args{uint64(1<<32 - 1), in, 0, 0, 0}); err != unix.EINVAL {
		t.Error(err)
	}
	put64(t, th, tv, 0, 2e6) // two seconds in microseconds: select takes it
	put64(t, th, in, 2)
	if n, err := sysSelect(th, &Args{2, in, 0, 0, tv}); n != 1 || err != nil || get64(t, th, tv) != 1 {
		t.Error(n, err, get64(t, th, tv))
	}
}

func TestEventCalls(t *testing.T) {
	th, at, _ := pollThread(t)
	call := func(want error, fn Handler, a ...uint64) uint64 {
		t.Helper()
		var args Args
		copy(args[:], a)
		v, err := fn(th, &args)
		if err != want {
			t.Errorf("got %v, want %v", err, want)
		}
		return v
	}
	call(unix.EINVAL, sysEpollCreate, 0)
	call(unix.EINVAL, sysEpollCreate1, 1)
	ep := call(nil, sysEpollCreate1, unix.EPOLL_CLOEXEC)
	if on, _ := th.Files.Cloexec(int(ep)); !on {
		t.Error("EPOLL_CLOEXEC")
	}
	th.MM.Store32(at, unix.EPOLLIN)
	th.MM.Store64(at+4, 0xabcdef)
	call(nil, sysEpollCtl, ep, unix.EPOLL_CTL_ADD, 1, at)
	call(unix.EEXIST, sysEpollCtl, ep, unix.EPOLL_CTL_ADD, 1, at)
	call(unix.EBADF, sysEpollCtl, ep, unix.EPOLL_CTL_ADD, 77, at)
	call(unix.EINVAL, sysEpollCtl, 0, unix.EPOLL_CTL_ADD, 1, at)
	call(unix.EINVAL, sysEpollCtl, ep, unix.EPOLL_CTL_ADD, ep, at)
	call(unix.EFAULT, sysEpollCtl, ep, unix.EPOLL_CTL_ADD, 1, 8)
	if n := call(nil, sysEpollWait, ep, at+100, 10, 1000); n != 1 || get64(t, th, at+104) != 0xabcdef {
		t.Error(n)
	}
	call(unix.EINVAL, sysEpollWait, ep, at, 0, 0)
	call(unix.EINVAL, sysEpollWait, 0, at, 1, 0)
	call(unix.EFAULT, sysEpollWait, ep, 1<<63, 1, 0)
	call(unix.EFAULT, sysEpollWait, ep, 8, 1, 0)

	tm := call(nil, sysTimerfdCreate, unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	call(unix.EINVAL, sysTimerfdCreate, 99, 0)
	put64(t, th, at, 0, 0, 0, 1e6)
	call(nil, sysTimerfdSettime, tm, 0, at, at+64)
	call(unix.EINVAL, sysTimerfdSettime, 1, 0, at, 0)
	call(nil, sysEpollCtl, ep, unix.EPOLL_CTL_DEL, 1, 0)
	th.MM.Store32(at, unix.EPOLLIN)
	call(nil, sysEpollCtl, ep, unix.EPOLL_CTL_ADD, tm, at)
	if n := call(nil, sysEpollPwait2, ep, at+100, 10, 0); n != 1 {
		t.Error(n)
	}

	th.MM.CopyOut(at, []byte("name\x00"))
	mem := call(nil, sysMemfdCreate, at, unix.MFD_ALLOW_SEALING)
	if f, err := th.Files.Get(int(mem)); err != nil || f.Name(vfs.Path{}) != "/memfd:name (deleted)" {
		t.Error(err)
	}
	call(unix.EINVAL, sysMemfdCreate, at, 1<<20)
	call(unix.EFAULT, sysMemfdCreate, 8, 0)

	th.MM.Store32(at, 1)
	call(nil, sysIoctl, 0, fionbio, at)
	if f, _ := th.Files.Get(0); !f.Nonblocking() {
		t.Error("FIONBIO")
	}
	call(nil, sysIoctl, 0, fioclex)
	call(unix.ENOTTY, sysIoctl, 0, unix.TCGETS, at)
	call(unix.EBADF, sysIoctl, 99, unix.TCGETS, at)
}

func BenchmarkPoll(b *testing.B) {
	t := &testing.T{}
	th, at, _ := pollThread(t)
	th.MM.Store64(at, pollFD(1, unix.POLLIN))
	b.ReportAllocs()
	for range b.N {
		sysPoll(th, &Args{at, 1, 0})
	}
}
