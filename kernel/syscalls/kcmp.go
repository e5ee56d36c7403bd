package syscalls

import (
	"encoding/binary"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
	"gosv/kernel/random"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// kcmpRows is kcmp(2).
var kcmpRows = []Row{
	{AMD64: 312, ARM64: 272, Name: "kcmp", Fn: sysKcmp, Format: "pid1:int, pid2:int, type:flags.kcmp, idx1:uint, idx2:uint",
		Level: Partial, Note: "no KCMP_EPOLL_TFD and no KCMP_SYSVSEM (EOPNOTSUPP)"},
}

// Types of kcmp(2) (include/uapi/linux/kcmp.h).
const (
	kcmpFile     = 0
	kcmpVM       = 1
	kcmpFiles    = 2
	kcmpFS       = 3
	kcmpSighand  = 4
	kcmpIO       = 5
	kcmpSysVSem  = 6
	kcmpEpollTFD = 7
)

// sysKcmp tells whether two threads share an object, and gives those that differ
// an order.
func sysKcmp(t *task.Thread, a *Args) (uint64, error) {
	x, y := task.Tasks.Thread(int(int32(a[0]))), task.Tasks.Thread(int(int32(a[1])))
	if x == nil || y == nil {
		return 0, unix.ESRCH
	}
	if !t.MayTrace(x.Proc) || !t.MayTrace(y.Proc) {
		return 0, unix.EPERM
	}
	switch int32(a[2]) {
	case kcmpFile:
		f, err := fileOf(x, a[3])
		if err != nil {
			return 0, err
		}
		defer f.Release()
		g, err := fileOf(y, a[4])
		if err != nil {
			return 0, err
		}
		defer g.Release()
		return order(unsafe.Pointer(f), unsafe.Pointer(g)), nil
	case kcmpVM:
		return order(unsafe.Pointer(x.MM), unsafe.Pointer(y.MM)), nil
	case kcmpFiles:
		return order(unsafe.Pointer(x.Files), unsafe.Pointer(y.Files)), nil
	case kcmpFS:
		return order(unsafe.Pointer(x.FS), unsafe.Pointer(y.FS)), nil
	case kcmpSighand:
		return order(unsafe.Pointer(x.SigHand()), unsafe.Pointer(y.SigHand())), nil
	case kcmpIO:
		return 0, nil // there are none, as for threads of Linux that have set no I/O priority
	case kcmpSysVSem, kcmpEpollTFD:
		return 0, unix.EOPNOTSUPP
	}
	return 0, unix.EINVAL
}

// fileOf returns the file of another thread's descriptor, with a reference.
func fileOf(t *task.Thread, fd uint64) (*vfs.File, error) {
	files := t.Proc.Files()
	if files == nil || fd > 1<<31-1 {
		return nil, unix.EBADF
	}
	defer files.Release()
	return files.Get(int(fd))
}

// cookie hides where the kernel's objects are.
var cookie = sync.OnceValue(func() [2]uint64 {
	var b [16]byte
	random.Read(b[:])
	return [2]uint64{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:]) | 1}
})

// order is kcmp's result for two objects: 0 if they are one, else 1 or 2.
func order(a, b unsafe.Pointer) uint64 {
	if a == b {
		return 0
	}
	c := cookie()
	if (uint64(uintptr(a))^c[0])*c[1] < (uint64(uintptr(b))^c[0])*c[1] {
		return 1
	}
	return 2
}
