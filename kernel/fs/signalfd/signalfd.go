// Package signalfd is signalfd(2): pending signals as something to read.
package signalfd

import (
	"encoding/binary"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// Name is what /proc/PID/fd shows.
const Name = "anon_inode:[signalfd]"

// A Thread is whose signals are read.
type Thread interface {
	// TakeSignal removes a pending signal of set.
	TakeSignal(set linux.SigSet) (linux.SigInfo, bool)
	// HasSignal reports whether a signal of set is pending.
	HasSignal(set linux.SigSet) bool
	// SignalQueue is told when a signal becomes pending.
	SignalQueue() *wait.Queue
}

// File is the object behind the descriptor. Polling looks at the signals of the
// thread that made it, reading at those of the thread that reads.
type File struct {
	vfs.FileDefaults
	maker Thread
	mask  atomic.Uint64
}

// New returns a file for the signals of mask.
func New(maker Thread, mask linux.SigSet) *File {
	f := &File{maker: maker}
	f.mask.Store(uint64(mask))
	return f
}

// Of returns the object behind an open file, nil if it is none.
func Of(f *vfs.File) *File {
	s, _ := f.Impl().(*File)
	return s
}

// Mask is the set of signals.
func (f *File) Mask() linux.SigSet { return linux.SigSet(f.mask.Load()) }

// SetMask replaces it.
func (f *File) SetMask(m linux.SigSet) {
	f.mask.Store(uint64(m))
	f.maker.SignalQueue().Notify(wait.Readable)
}

// infoSize is the size of struct signalfd_siginfo.
const infoSize = 128

// Read is read(2) by the thread that made the file.
func (f *File) Read(_ *vfs.File, dst *mm.Buf, _ int64) (int64, error) {
	return f.ReadFrom(f.maker, dst)
}

// ReadFrom takes as many signals of t as there are and fit; EAGAIN without any.
func (f *File) ReadFrom(t Thread, dst *mm.Buf) (int64, error) {
	if dst.Len() < infoSize {
		return 0, unix.EINVAL
	}
	total := int64(0)
	for dst.Len() >= infoSize {
		info, ok := t.TakeSignal(f.Mask())
		if !ok {
			break
		}
		b := encode(&info)
		if _, err := dst.CopyTo(b[:]); err != nil {
			if total == 0 {
				return 0, err
			}
			break
		}
		total += infoSize
	}
	if total == 0 {
		return 0, unix.EAGAIN
	}
	return total, nil
}

func (f *File) Readiness() wait.Events {
	if f.maker.HasSignal(f.Mask()) {
		return wait.Readable
	}
	return 0
}

func (f *File) Queue() *wait.Queue { return f.maker.SignalQueue() }

// FDInfo appends what /proc/PID/fdinfo shows.
func (f *File) FDInfo(b []byte) []byte {
	b = append(b, "sigmask:\t"...)
	s := strconv.FormatUint(f.mask.Load(), 16)
	for n := len(s); n < 16; n++ {
		b = append(b, '0')
	}
	return append(append(b, s...), '\n')
}

// encode makes a struct signalfd_siginfo (include/uapi/linux/signalfd.h): the
// fields of the siginfo's union have places of their own there.
func encode(i *linux.SigInfo) (b [infoSize]byte) {
	le := binary.LittleEndian
	put := func(at, from int) { copy(b[at:at+4], i[from:from+4]) }
	copy(b[:12], i[:12]) // signo, errno, code
	sig, code := i.Signo(), i.Code()
	switch {
	case code == linux.SI_TIMER:
		put(24, 16) // tid
		put(32, 20) // overrun
		put(44, 24) // int
		copy(b[48:56], i[24:32])
	case code <= 0 || code == linux.SI_KERNEL:
		put(12, 16) // pid
		put(16, 20) // uid
		if code < 0 {
			put(44, 24)
			copy(b[48:56], i[24:32]) // ptr
		}
	case sig == int(unix.SIGCHLD):
		put(12, 16)
		put(16, 20)
		put(40, 24)              // status
		copy(b[56:72], i[32:48]) // utime, stime
	case sig == int(unix.SIGIO):
		put(28, 16) // band
		put(20, 24) // fd
	default: // a fault
		copy(b[72:80], i[16:24]) // addr
		le.PutUint16(b[80:], le.Uint16(i[24:]))
	}
	return b
}
