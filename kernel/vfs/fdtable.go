package vfs

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
	"gosv/kernel/sysctl"
)

// An FDTable maps descriptors to open files (clone(2), CLONE_FILES). Get takes no
// lock.
type FDTable struct {
	slots atomic.Pointer[[]fdSlot]
	limit atomic.Uint64 // RLIMIT_NOFILE
	refs  atomic.Int32

	// mu guards changes of slots, and the fields below.
	mu      sync.Mutex
	used    []uint64 // bit per descriptor
	cloexec []uint64
	next    int // no free descriptor below
}

type fdSlot struct{ f atomic.Pointer[File] }

// maxFDs bounds the numbers of descriptors, and so the size of a table.
const maxFDs = 1 << 20

// MaxOpen is fs.nr_open: descriptors of a process, whatever RLIMIT_NOFILE says.
var MaxOpen sysctl.Uint32 = maxFDs

// NewFDTable returns an empty table with one reference and the limit.
func NewFDTable(limit uint64) *FDTable {
	t := new(FDTable)
	t.refs.Store(1)
	t.limit.Store(limit)
	s := make([]fdSlot, 64)
	t.slots.Store(&s)
	t.used, t.cloexec = make([]uint64, 1), make([]uint64, 1)
	return t
}

// SetLimit sets RLIMIT_NOFILE.
func (t *FDTable) SetLimit(n uint64) { t.limit.Store(n) }

// Retain and Release count the threads that share the table.
func (t *FDTable) Retain() { t.refs.Add(1) }

// Release drops a reference; the last one closes all files.
func (t *FDTable) Release() {
	if t.refs.Add(-1) == 0 {
		t.CloseRange(0, maxFDs)
		t.mu.Lock()
		t.slots.Store(new([]fdSlot)) // a process that nobody waits for keeps the table
		t.used, t.cloexec, t.next = nil, nil, 0
		t.mu.Unlock()
	}
}

// Shared reports whether other threads use the table too.
func (t *FDTable) Shared() bool { return t.refs.Load() > 1 }

// Get returns the file of a descriptor with a reference for the caller; EBADF.
func (t *FDTable) Get(fd int) (*File, error) {
	s := *t.slots.Load()
	if uint(fd) >= uint(len(s)) {
		return nil, unix.EBADF
	}
	for {
		f := s[fd].f.Load()
		if f == nil {
			return nil, unix.EBADF
		}
		if f.tryRetain() {
			return f, nil
		}
		// It was closed under us: the slot is empty by now, or has another file.
		if n := *t.slots.Load(); s[fd].f.Load() == f {
			s = n
		}
	}
}

// Install puts f, which is new, at the lowest free descriptor and takes over the caller's
// reference; with EMFILE and ENFILE the caller keeps it.
func (t *FDTable) Install(f *File, cloexec bool) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tooMany() && !privileged(t) {
		return 0, unix.ENFILE
	}
	return t.install(f, 0, cloexec)
}

// InstallTwo is Install for both ends of a pipe: both, or neither.
func (t *FDTable) InstallTwo(a, b *File, cloexec bool) (int, int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tooMany() && !privileged(t) {
		return 0, 0, unix.ENFILE
	}
	x, err := t.install(a, 0, cloexec)
	if err != nil {
		return 0, 0, err
	}
	y, err := t.install(b, 0, cloexec)
	if err != nil {
		t.take(x)
		return 0, 0, err
	}
	return x, y, nil
}

// Reserve takes the lowest free descriptor for a file that is still to be made:
// until Fill it is not open, and no other file gets it.
func (t *FDTable) Reserve() (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tooMany() && !privileged(t) {
		return 0, unix.ENFILE
	}
	return t.install(nil, 0, false)
}

// Fill puts f at a reserved descriptor and takes over the caller's reference.
func (t *FDTable) Fill(fd int, f *File, cloexec bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refs.Load() <= 0 { // the process has ended meanwhile
		f.Release()
		return
	}
	t.setCloexec(fd, cloexec)
	(*t.slots.Load())[fd].f.Store(f)
}

// Unreserve gives a reserved descriptor back.
func (t *FDTable) Unreserve(fd int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.isUsed(fd) { // else the process has ended meanwhile
		t.used[fd/64] &^= 1 << (fd % 64)
		t.next = min(t.next, fd)
	}
}

// install finds a descriptor from min on; mu is held.
func (t *FDTable) install(f *File, min int, cloexec bool) (int, error) {
	fd := t.free(max(min, t.next))
	if uint64(fd) >= t.limit.Load() || t.refs.Load() <= 0 {
		return 0, unix.EMFILE
	}
	if err := t.put(fd, f, cloexec); err != nil {
		return 0, err
	}
	if min <= t.next {
		t.next = fd + 1
	}
	return fd, nil
}

// free returns the lowest free descriptor from fd on.
func (t *FDTable) free(fd int) int {
	for i := fd / 64; i < len(t.used); i++ {
		w := ^t.used[i]
		if i == fd/64 {
			w &= ^uint64(0) << (fd % 64)
		}
		if w != 0 {
			return i*64 + bits.TrailingZeros64(w)
		}
	}
	return max(fd, len(t.used)*64)
}

// put fills an empty slot; mu is held.
func (t *FDTable) put(fd int, f *File, cloexec bool) error {
	if fd >= int(MaxOpen.Load()) {
		return unix.EMFILE
	}
	s := *t.slots.Load()
	if fd >= len(s) {
		n := max(len(s)*2, (fd+64)&^63)
		if mm.TryAdmit(uint64(n)*8) != nil {
			return unix.ENOMEM
		}
		grown := make([]fdSlot, n)
		for i := range s {
			grown[i].f.Store(s[i].f.Load())
		}
		t.used = append(t.used, make([]uint64, n/64-len(t.used))...)
		t.cloexec = append(t.cloexec, make([]uint64, n/64-len(t.cloexec))...)
		s = grown
		t.slots.Store(&grown)
	}
	t.used[fd/64] |= 1 << (fd % 64)
	t.setCloexec(fd, cloexec)
	s[fd].f.Store(f)
	return nil
}

func (t *FDTable) setCloexec(fd int, on bool) {
	if on {
		t.cloexec[fd/64] |= 1 << (fd % 64)
	} else {
		t.cloexec[fd/64] &^= 1 << (fd % 64)
	}
}

// take empties a slot and returns what was in it, or nil; mu is held.
func (t *FDTable) take(fd int) *File {
	s := *t.slots.Load()
	if uint(fd) >= uint(len(s)) {
		return nil
	}
	f := s[fd].f.Load()
	if f == nil {
		return nil
	}
	s[fd].f.Store(nil)
	t.used[fd/64] &^= 1 << (fd % 64)
	t.next = min(t.next, fd)
	return f
}

// drop lets go of a file that was taken out of the table: the process loses its
// record locks on it and its F_NOTIFY (fcntl(2)).
func (t *FDTable) drop(f *File) {
	f.endNotify(t)
	f.releaseRecordLocks(t)
	if f.flusher != nil {
		f.flusher.Flush(t)
	}
	f.Release()
}

// Close is close(2).
func (t *FDTable) Close(fd int) error {
	t.mu.Lock()
	f := t.take(fd)
	t.mu.Unlock()
	if f == nil {
		return unix.EBADF
	}
	t.drop(f)
	return nil
}

// Dup is fcntl(F_DUPFD): the lowest free descriptor from min on.
func (t *FDTable) Dup(fd, min int, cloexec bool) (int, error) {
	if min < 0 || uint64(min) >= t.limit.Load() {
		return 0, unix.EINVAL
	}
	f, err := t.Get(fd)
	if err != nil {
		return 0, err
	}
	t.mu.Lock()
	n, err := t.install(f, min, cloexec)
	t.mu.Unlock()
	if err != nil {
		f.Release()
	}
	return n, err
}

// DupTo is dup2(2) and dup3(2) for two different descriptors: newfd is closed
// first if it is open.
func (t *FDTable) DupTo(fd, newfd int, cloexec bool) error {
	if newfd < 0 || uint64(newfd) >= t.limit.Load() {
		return unix.EBADF
	}
	f, err := t.Get(fd)
	if err != nil {
		return err
	}
	t.mu.Lock()
	if t.isReserved(newfd) {
		t.mu.Unlock()
		f.Release()
		return unix.EBUSY
	}
	old := t.take(newfd)
	err = t.put(newfd, f, cloexec)
	t.mu.Unlock()
	if old != nil {
		t.drop(old)
	}
	if err != nil {
		f.Release()
	}
	return err
}

// Cloexec returns FD_CLOEXEC of a descriptor.
func (t *FDTable) Cloexec(fd int) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.isOpen(fd) {
		return false, unix.EBADF
	}
	return t.cloexec[fd/64]&(1<<(fd%64)) != 0, nil
}

// SetCloexec sets FD_CLOEXEC.
func (t *FDTable) SetCloexec(fd int, on bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.isOpen(fd) {
		return unix.EBADF
	}
	t.setCloexec(fd, on)
	return nil
}

func (t *FDTable) isUsed(fd int) bool {
	return uint(fd) < uint(len(t.used)*64) && t.used[fd/64]&(1<<(fd%64)) != 0
}

func (t *FDTable) isOpen(fd int) bool { return t.isUsed(fd) && (*t.slots.Load())[fd].f.Load() != nil }

func (t *FDTable) isReserved(fd int) bool {
	return t.isUsed(fd) && (*t.slots.Load())[fd].f.Load() == nil
}

// CloseRange closes the descriptors from first to last.
func (t *FDTable) CloseRange(first, last uint) { t.closeIf(first, last, false) }

// CloexecRange sets FD_CLOEXEC on the descriptors from first to last.
func (t *FDTable) CloexecRange(first, last uint) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.used {
		t.cloexec[i] |= t.used[i] & rangeMask(i, first, last)
	}
}

// CloseExec closes the descriptors with FD_CLOEXEC (execve(2)).
func (t *FDTable) CloseExec() { t.closeIf(0, maxFDs, true) }

// rangeMask returns the bits of word i that stand for first to last.
func rangeMask(i int, first, last uint) uint64 {
	lo := uint(i) * 64
	if last < lo || first > lo+63 {
		return 0
	}
	m := ^uint64(0)
	if first > lo {
		m <<= first - lo
	}
	if last < lo+63 {
		m &= ^uint64(0) >> (lo + 63 - last)
	}
	return m
}

func (t *FDTable) closeIf(first, last uint, cloexec bool) {
	t.mu.Lock()
	for i := 0; i < len(t.used); i++ {
		w := t.used[i] & rangeMask(i, first, last)
		if cloexec {
			w &= t.cloexec[i]
		}
		for ; w != 0; w &= w - 1 {
			if f := t.take(i*64 + bits.TrailingZeros64(w)); f != nil {
				t.mu.Unlock()
				t.drop(f)
				t.mu.Lock()
			}
		}
	}
	t.mu.Unlock()
}

// Size is about how many bytes Clone takes.
func (t *FDTable) Size() uint64 { return uint64(len(*t.slots.Load())) * 8 }

// Clone returns a copy with the same files, for a new process.
func (t *FDTable) Clone() *FDTable {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := NewFDTable(t.limit.Load())
	old := *t.slots.Load()
	s := make([]fdSlot, len(old))
	for i := range old {
		if f := old[i].f.Load(); f != nil {
			f.Retain()
			s[i].f.Store(f)
		}
	}
	n.slots.Store(&s)
	n.used = append([]uint64(nil), t.used...)
	n.cloexec = append([]uint64(nil), t.cloexec...)
	for fd := range s {
		if s[fd].f.Load() == nil { // what is reserved is so for the other table
			n.used[fd/64] &^= 1 << (fd % 64)
		}
	}
	n.next = 0
	return n
}

// Each calls yield for the open descriptors in ascending order; the file is
// retained only during the call.
func (t *FDTable) Each(yield func(fd int, f *File, cloexec bool) bool) {
	for fd := 0; fd < len(*t.slots.Load()); fd++ {
		f, err := t.Get(fd)
		if err != nil {
			continue
		}
		on, _ := t.Cloexec(fd)
		ok := yield(fd, f, on)
		f.Release()
		if !ok {
			return
		}
	}
}
