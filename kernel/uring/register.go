package uring

import (
	"encoding/binary"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/mm"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// resources are what a ring's program has registered. Ring.mu is held.
type resources struct {
	files               []slot
	hasFiles            bool
	allocFrom, allocEnd int // where IORING_FILE_INDEX_ALLOC looks
	allocNext           int
	buffers             []*buffer
	hasBuffers          bool
	groups              map[uint16]*group
	personalities       map[uint16]*vfs.Creds
	lastPersonality     uint16
	restricted          bool
	registerOps, sqeOps uint64
	flagsAllowed        uint8
	flagsRequired       uint8
	restrictionsSet     bool
	noDrain             bool // IOSQE_CQE_SKIP_SUCCESS was used
	drainNext           bool
}

// A slot holds a registered file.
type slot struct {
	f   *vfs.File
	tag uint64
}

// A buffer is a registered one: a range of a program's memory. It is not pinned:
// when the program unmaps it, its use is EFAULT.
type buffer struct {
	as      *mm.AddressSpace
	addr, n uint64
	tag     uint64
}

const (
	maxFiles       = 1 << 15
	maxFixed       = 1 << 14 // registered buffers
	maxFixedSize   = 1 << 30
	maxPersonality = 1<<16 - 1
)

func init() {
	Ops[linux.IORING_OP_FILES_UPDATE] = &Op{Name: "FILES_UPDATE", IOPoll: true, Prep: func(q *Request) error {
		if q.Flags&linux.IOSQE_FIXED_FILE != 0 || q.OpFlags != 0 || q.FileIndex != 0 || q.Len == 0 {
			return unix.EINVAL
		}
		return nil
	}, start: func(r *Ring, q *Request) {
		var n uint64
		var err error
		if uint32(q.Off) == linux.IORING_FILE_INDEX_ALLOC {
			n, err = r.allocFiles(q)
		} else {
			n, err = r.updateFiles(q.user.t, uint32(q.Off), q.Addr, 0, q.Len)
		}
		r.finish(q, int64(n), err)
	}}
	Ops[linux.IORING_OP_NOP] = &Op{Name: "NOP", IOPoll: true, start: func(r *Ring, q *Request) { r.complete(q, 0) }}
	Ops[linux.IORING_OP_MSG_RING] = &Op{Name: "MSG_RING", IOPoll: true, File: true, Prep: func(q *Request) error {
		if q.BufIndex != 0 || q.Addr != linux.IORING_MSG_DATA || q.FileIndex != 0 || q.OpFlags != 0 {
			return unix.EINVAL
		}
		return nil
	}, start: func(r *Ring, q *Request) {
		to := Of(q.File)
		switch {
		case to == nil:
			r.fail(q, unix.EBADFD)
		case to.disabled.Load():
			r.fail(q, unix.EBADFD)
		case !to.tryPost(q.Off, int32(q.Len), 0):
			r.fail(q, unix.EOVERFLOW)
		default:
			r.complete(q, 0)
			if to != r {
				r.told = append(r.told, to)
			}
		}
	}}
}

// allowed checks a submission against the restrictions.
func (r *Ring) allowed(q *Request) bool {
	if !r.restricted {
		return true
	}
	return r.sqeOps&(1<<q.Opcode) != 0 && q.Flags&r.flagsRequired == r.flagsRequired &&
		q.Flags&^(r.flagsAllowed|r.flagsRequired) == 0
}

func (r *Ring) fixedFile(i uint32) *vfs.File {
	if uint64(i) >= uint64(len(r.files)) {
		return nil
	}
	return r.files[i].f
}

// freeResources drops everything that is registered.
func (r *Ring) freeResources() {
	for i := range r.files {
		r.drop(r.files[i].f)
	}
	r.resources = resources{}
}

// arg reads the argument struct of a call, of a fixed size.
func arg(t *task.Thread, addr uint64, n int) ([]byte, error) {
	b := make([]byte, n)
	return b, t.MM.CopyIn(b, addr)
}

// Register is io_uring_register(2).
func (r *Ring) Register(t *task.Thread, op uint32, addr uint64, nr uint32) (uint64, error) {
	if r.flags&linux.IORING_SETUP_SINGLE_ISSUER != 0 && r.issuer.Load() != t && (r.issuer.Load() != nil || !r.disabled.Load()) {
		return 0, unix.EEXIST
	}
	if op == linux.IORING_REGISTER_RING_FDS || op == linux.IORING_UNREGISTER_RING_FDS {
		return registerRingFDs(t, op == linux.IORING_REGISTER_RING_FDS, addr, nr)
	}
	r.mu.Lock()
	defer r.unlock(true)
	if r.restricted && (op >= 64 || r.registerOps&(1<<op) == 0) {
		return 0, unix.EACCES
	}
	switch op {
	case linux.IORING_REGISTER_BUFFERS:
		return 0, r.registerBuffers(t, addr, 0, nr, false)
	case linux.IORING_UNREGISTER_BUFFERS:
		return 0, r.unregister(addr, nr, r.hasBuffers, r.unregisterBuffers)
	case linux.IORING_REGISTER_FILES:
		return 0, r.registerFiles(t, addr, 0, nr, false)
	case linux.IORING_UNREGISTER_FILES:
		return 0, r.unregister(addr, nr, r.hasFiles, r.unregisterFiles)
	case linux.IORING_REGISTER_EVENTFD, linux.IORING_REGISTER_EVENTFD_ASYNC:
		if nr != 1 {
			return 0, unix.EINVAL
		}
		return 0, r.registerEventfd(t, addr, op == linux.IORING_REGISTER_EVENTFD_ASYNC)
	case linux.IORING_UNREGISTER_EVENTFD:
		if addr != 0 || nr != 0 {
			return 0, unix.EINVAL
		}
		old := r.eventfd.Swap(eventTarget{}).(eventTarget)
		if old.file == nil {
			return 0, unix.ENXIO
		}
		r.drop(old.file)
		return 0, nil
	case linux.IORING_REGISTER_FILES_UPDATE:
		b, err := arg(t, addr, 16)
		if err != nil {
			return 0, err
		}
		if binary.LittleEndian.Uint32(b[4:]) != 0 {
			return 0, unix.EINVAL
		}
		return r.updateFiles(t, binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint64(b[8:]), 0, nr)
	case linux.IORING_REGISTER_PROBE:
		return 0, probe(t, addr, nr)
	case linux.IORING_REGISTER_PERSONALITY:
		if addr != 0 || nr != 0 {
			return 0, unix.EINVAL
		}
		return r.registerPersonality(t.Creds())
	case linux.IORING_UNREGISTER_PERSONALITY:
		if addr != 0 || r.personalities[uint16(nr)] == nil || nr > maxPersonality {
			return 0, unix.EINVAL
		}
		delete(r.personalities, uint16(nr))
		return 0, nil
	case linux.IORING_REGISTER_RESTRICTIONS:
		return 0, r.registerRestrictions(t, addr, nr)
	case linux.IORING_REGISTER_ENABLE_RINGS:
		if addr != 0 || nr != 0 {
			return 0, unix.EINVAL
		}
		return 0, r.enable(t)
	case linux.IORING_REGISTER_FILES2, linux.IORING_REGISTER_BUFFERS2:
		return 0, r.registerTagged(t, op == linux.IORING_REGISTER_FILES2, addr, nr)
	case linux.IORING_REGISTER_FILES_UPDATE2, linux.IORING_REGISTER_BUFFERS_UPDATE:
		if nr != 32 {
			return 0, unix.EINVAL
		}
		b, err := arg(t, addr, 32)
		if err != nil {
			return 0, err
		}
		n := binary.LittleEndian.Uint32(b[24:])
		if n == 0 || binary.LittleEndian.Uint32(b[4:]) != 0 || binary.LittleEndian.Uint32(b[28:]) != 0 {
			return 0, unix.EINVAL
		}
		off, data, tags := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
		if op == linux.IORING_REGISTER_FILES_UPDATE2 {
			return r.updateFiles(t, off, data, tags, n)
		}
		return r.updateBuffers(t, off, data, tags, n)
	case linux.IORING_REGISTER_PBUF_RING, linux.IORING_UNREGISTER_PBUF_RING:
		if nr != 1 {
			return 0, unix.EINVAL
		}
		b, err := arg(t, addr, 40)
		if err != nil {
			return 0, err
		}
		if op == linux.IORING_UNREGISTER_PBUF_RING {
			return 0, r.unregisterBufRing(b)
		}
		return 0, r.registerBufRing(t.MM, b)
	case linux.IORING_REGISTER_FILE_ALLOC_RANGE:
		b, err := arg(t, addr, 16)
		if err != nil {
			return 0, err
		}
		from, n := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		if nr != 0 || binary.LittleEndian.Uint64(b[8:]) != 0 || uint64(from)+uint64(n) > uint64(len(r.files)) {
			if uint64(from)+uint64(n) > 1<<32-1 {
				return 0, unix.EOVERFLOW
			}
			return 0, unix.EINVAL
		}
		r.allocFrom, r.allocEnd, r.allocNext = int(from), int(from+n), int(from)
		return 0, nil
	}
	return 0, unix.EINVAL
}

func (r *Ring) unregister(addr uint64, nr uint32, has bool, f func()) error {
	if addr != 0 || nr != 0 {
		return unix.EINVAL
	}
	if !has {
		return unix.ENXIO
	}
	f()
	return nil
}

// registerTagged is IORING_REGISTER_FILES2 and IORING_REGISTER_BUFFERS2.
func (r *Ring) registerTagged(t *task.Thread, files bool, addr uint64, size uint32) error {
	if size != 32 {
		return unix.EINVAL
	}
	b, err := arg(t, addr, 32)
	if err != nil {
		return err
	}
	n, flags := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	data, tags := binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
	if n == 0 || flags&^linux.IORING_RSRC_REGISTER_SPARSE != 0 || binary.LittleEndian.Uint64(b[8:]) != 0 {
		return unix.EINVAL
	}
	sparse := flags&linux.IORING_RSRC_REGISTER_SPARSE != 0
	if sparse && data != 0 {
		return unix.EINVAL
	}
	if files {
		return r.registerFiles(t, data, tags, n, sparse)
	}
	return r.registerBuffers(t, data, tags, n, sparse)
}

// tagAt reads entry i of an array of tags, which may be missing.
func tagAt(t *task.Thread, tags uint64, i uint32) (uint64, error) {
	if tags == 0 {
		return 0, nil
	}
	return t.MM.Load64(tags + uint64(i)*8)
}

// resourceGone tells the program that a resource with a tag is not used any more.
func (r *Ring) resourceGone(tag uint64) {
	if tag != 0 && !r.closed {
		r.post(tag, 0, 0)
	}
}

// fileAt takes the file that entry i of an array of descriptors names; nil for -1.
func fileAt(t *task.Thread, fds uint64, i uint32) (*vfs.File, int32, error) {
	v, err := t.MM.Load32(fds + uint64(i)*4)
	if err != nil {
		return nil, 0, err
	}
	fd := int32(v)
	if fd == -1 || fd == linux.IORING_REGISTER_FILES_SKIP {
		return nil, fd, nil
	}
	f, err := t.Files.Get(int(fd))
	if err != nil {
		return nil, fd, err
	}
	if Of(f) != nil || f.PathOnly() { // a ring in a ring would never end
		f.Release()
		return nil, fd, unix.EBADF
	}
	return f, fd, nil
}

func (r *Ring) registerFiles(t *task.Thread, fds, tags uint64, n uint32, sparse bool) error {
	switch {
	case r.hasFiles:
		return unix.EBUSY
	case n == 0:
		return unix.EINVAL
	case n > maxFiles, uint64(n) > t.Proc.Limit(unix.RLIMIT_NOFILE):
		return unix.EMFILE
	}
	files := make([]slot, n)
	for i := range files {
		var err error
		var fd int32
		if files[i].tag, err = tagAt(t, tags, uint32(i)); err == nil && !sparse {
			files[i].f, fd, err = fileAt(t, fds, uint32(i))
			if err == nil && (fd == linux.IORING_REGISTER_FILES_SKIP || files[i].f == nil && files[i].tag != 0) {
				err = unix.EBADF
				if fd == -1 {
					err = unix.EINVAL
				}
			}
		}
		if err != nil {
			for _, s := range files[:i+1] {
				r.drop(s.f)
			}
			return err
		}
	}
	r.files, r.hasFiles = files, true
	r.allocFrom, r.allocEnd, r.allocNext = 0, len(files), 0
	return nil
}

func (r *Ring) unregisterFiles() {
	for i := range r.files {
		r.setFile(i, slot{})
	}
	r.files, r.hasFiles = nil, false
}

// setFile replaces what is in a slot.
func (r *Ring) setFile(i int, s slot) {
	old := r.files[i]
	r.files[i] = s
	if old.f != nil {
		r.drop(old.f)
		r.resourceGone(old.tag)
	}
}

// updateFiles is IORING_REGISTER_FILES_UPDATE; it returns how many were done.
func (r *Ring) updateFiles(t *task.Thread, off uint32, fds, tags uint64, n uint32) (uint64, error) {
	switch {
	case !r.hasFiles:
		return 0, unix.ENXIO
	case n == 0, uint64(off)+uint64(n) > uint64(len(r.files)):
		if uint64(off)+uint64(n) > 1<<32-1 {
			return 0, unix.EOVERFLOW
		}
		return 0, unix.EINVAL
	}
	for i := range n {
		tag, err := tagAt(t, tags, i)
		var f *vfs.File
		var fd int32
		if err == nil {
			f, fd, err = fileAt(t, fds, i)
		}
		if err == nil && f == nil && tag != 0 {
			err = unix.EINVAL
		}
		if err != nil {
			if f != nil {
				r.drop(f)
			}
			if i > 0 {
				return uint64(i), nil
			}
			return 0, err
		}
		if fd != linux.IORING_REGISTER_FILES_SKIP {
			r.setFile(int(off+i), slot{f, tag})
		}
	}
	return uint64(n), nil
}

// allocFiles puts files into free slots, and tells the program which.
func (r *Ring) allocFiles(q *Request) (uint64, error) {
	if !r.hasFiles {
		return 0, unix.ENXIO
	}
	t := q.user.t
	for i := range q.Len {
		f, fd, err := fileAt(t, q.Addr, i)
		if err == nil && fd < 0 {
			err = unix.EBADF
		}
		n := 0
		if err == nil {
			if n, err = r.allocSlot(f); err != nil {
				r.drop(f)
			} else if err = t.MM.Store32(q.Addr+uint64(i)*4, uint32(n)); err != nil {
				r.setFile(n, slot{})
			}
		}
		if err != nil {
			if i > 0 {
				return uint64(i), nil
			}
			return 0, err
		}
	}
	return uint64(q.Len), nil
}

// allocSlot puts a file, whose reference it takes over, into a free slot.
func (r *Ring) allocSlot(f *vfs.File) (int, error) {
	for range r.allocEnd - r.allocFrom {
		i := r.allocNext
		if r.allocNext++; r.allocNext >= r.allocEnd {
			r.allocNext = r.allocFrom
		}
		if i >= r.allocFrom && i < r.allocEnd && r.files[i].f == nil {
			r.files[i].f = f
			return i, nil
		}
	}
	return 0, unix.ENFILE
}

// InstallFixed puts a file that a request has opened into the slot that the
// request names, or any. It takes over the reference if it succeeds. mu is held.
func (q *Request) InstallFixed(f *vfs.File) (int, error) {
	r := q.ring
	if Of(f) != nil {
		return 0, unix.EBADF
	}
	if !r.hasFiles {
		return 0, unix.ENXIO
	}
	if q.FileIndex == linux.IORING_FILE_INDEX_ALLOC {
		return r.allocSlot(f)
	}
	i := int(q.FileIndex) - 1
	if i >= len(r.files) {
		return 0, unix.EINVAL
	}
	r.setFile(i, slot{f: f})
	return 0, nil
}

// CloseFixed empties the slot that the request names.
func (q *Request) CloseFixed() error {
	r := q.ring
	i := int(q.FileIndex) - 1
	switch {
	case !r.hasFiles:
		return unix.ENXIO
	case i >= len(r.files):
		return unix.EINVAL
	case r.files[i].f == nil:
		return unix.EBADF
	}
	r.setFile(i, slot{})
	return nil
}

// bufferAt takes the buffer of a struct iovec; nil for an empty one.
func bufferAt(t *task.Thread, iov uint64, i uint32) (*buffer, error) {
	base, err := t.MM.Load64(iov + uint64(i)*16)
	if err != nil {
		return nil, err
	}
	n, err := t.MM.Load64(iov + uint64(i)*16 + 8)
	switch {
	case err != nil:
		return nil, err
	case base == 0 && n == 0:
		return nil, nil
	case base == 0 || n == 0 || n > maxFixedSize:
		return nil, unix.EFAULT
	case base+n < base:
		return nil, unix.EOVERFLOW
	}
	if !mm.UserRange(base, n) {
		return nil, unix.EFAULT
	}
	return &buffer{as: t.MM, addr: base, n: n}, touch(t.MM, base, n)
}

func (r *Ring) registerBuffers(t *task.Thread, iov, tags uint64, n uint32, sparse bool) error {
	if r.hasBuffers {
		return unix.EBUSY
	}
	if n == 0 || n > maxFixed {
		return unix.EINVAL
	}
	bufs := make([]*buffer, n)
	for i := range bufs {
		tag, err := tagAt(t, tags, uint32(i))
		if err != nil {
			return err
		}
		if !sparse {
			if bufs[i], err = bufferAt(t, iov, uint32(i)); err != nil {
				return err
			}
		}
		if bufs[i] == nil {
			if tag != 0 {
				return unix.EINVAL
			}
			continue
		}
		bufs[i].tag = tag
	}
	r.buffers, r.hasBuffers = bufs, true
	return nil
}

func (r *Ring) unregisterBuffers() {
	for _, b := range r.buffers {
		if b != nil {
			r.resourceGone(b.tag)
		}
	}
	r.buffers, r.hasBuffers = nil, false
}

// updateBuffers is IORING_REGISTER_BUFFERS_UPDATE.
func (r *Ring) updateBuffers(t *task.Thread, off uint32, iov, tags uint64, n uint32) (uint64, error) {
	if !r.hasBuffers {
		return 0, unix.ENXIO
	}
	if uint64(off)+uint64(n) > uint64(len(r.buffers)) {
		return 0, unix.EINVAL
	}
	for i := range n {
		tag, err := tagAt(t, tags, i)
		var b *buffer
		if err == nil {
			b, err = bufferAt(t, iov, i)
		}
		if err == nil && b == nil && tag != 0 {
			err = unix.EINVAL
		}
		if err != nil {
			if i > 0 {
				return uint64(i), nil
			}
			return 0, err
		}
		if b != nil {
			b.tag = tag
		}
		if old := r.buffers[off+i]; old != nil {
			r.resourceGone(old.tag)
		}
		r.buffers[off+i] = b
	}
	return uint64(n), nil
}

func (r *Ring) registerEventfd(t *task.Thread, addr uint64, async bool) error {
	if r.eventfd.Load().(eventTarget).file != nil {
		return unix.EBUSY
	}
	fd, err := t.MM.Load32(addr)
	if err != nil {
		return err
	}
	f, err := t.Files.Get(int(int32(fd)))
	if err != nil {
		return err
	}
	if !validEventfd(f) {
		f.Release()
		return unix.EINVAL
	}
	r.eventfd.Store(eventTarget{f, async})
	return nil
}

func (r *Ring) registerPersonality(c *vfs.Creds) (uint64, error) {
	for range maxPersonality {
		if r.lastPersonality++; r.lastPersonality == 0 {
			r.lastPersonality = 1
		}
		if r.personalities[r.lastPersonality] == nil {
			if r.personalities == nil {
				r.personalities = make(map[uint16]*vfs.Creds)
			}
			r.personalities[r.lastPersonality] = c
			return uint64(r.lastPersonality), nil
		}
	}
	return 0, unix.ENOSPC
}

// registerRestrictions is IORING_REGISTER_RESTRICTIONS, of a ring that is not
// enabled yet.
func (r *Ring) registerRestrictions(t *task.Thread, addr uint64, n uint32) error {
	if !r.disabled.Load() {
		return unix.EBADFD
	}
	if r.restrictionsSet {
		return unix.EBUSY
	}
	if addr == 0 || n > 96 {
		return unix.EINVAL
	}
	b, err := arg(t, addr, int(n)*16)
	if err != nil {
		return err
	}
	var x resources
	for ; len(b) > 0; b = b[16:] {
		v := b[2]
		switch binary.LittleEndian.Uint16(b) {
		case linux.IORING_RESTRICTION_REGISTER_OP:
			if v >= linux.IORING_REGISTER_LAST {
				return unix.EINVAL
			}
			x.registerOps |= 1 << v
		case linux.IORING_RESTRICTION_SQE_OP:
			if v >= linux.IORING_OP_LAST {
				return unix.EINVAL
			}
			x.sqeOps |= 1 << v
		case linux.IORING_RESTRICTION_SQE_FLAGS_ALLOWED:
			x.flagsAllowed = v
		case linux.IORING_RESTRICTION_SQE_FLAGS_REQUIRED:
			x.flagsRequired = v
		default:
			return unix.EINVAL
		}
	}
	r.registerOps, r.sqeOps, r.flagsAllowed, r.flagsRequired = x.registerOps, x.sqeOps, x.flagsAllowed, x.flagsRequired
	r.restrictionsSet = true
	return nil
}

// enable is IORING_REGISTER_ENABLE_RINGS.
func (r *Ring) enable(t *task.Thread) error {
	if !r.disabled.Load() {
		return unix.EBADFD
	}
	if r.flags&linux.IORING_SETUP_SINGLE_ISSUER != 0 && r.issuer.Load() == nil {
		r.issuer.Store(t)
	}
	r.restricted = r.restrictionsSet
	r.disabled.Store(false)
	if r.sq != nil {
		r.sq.sleeper.Wake()
	}
	return nil
}

// probe is IORING_REGISTER_PROBE: which operations there are.
func probe(t *task.Thread, addr uint64, n uint32) error {
	if addr == 0 || n > 256 {
		return unix.EINVAL
	}
	b, err := arg(t, addr, 16+int(n)*8)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(b, func(v byte) bool { return v != 0 }) {
		return unix.EINVAL
	}
	n = min(n, linux.IORING_OP_LAST)
	b[0], b[1] = linux.IORING_OP_LAST-1, byte(n)
	for i := range n {
		op := b[16+i*8:]
		op[0] = byte(i)
		if Ops[i] != nil {
			op[2] = linux.IO_URING_OP_SUPPORTED
		}
	}
	return t.MM.CopyOut(addr, b)
}

// ringFDs are the rings that a thread has registered (IORING_REGISTER_RING_FDS).
type ringFDs [16]*vfs.File

func (s *ringFDs) close() {
	for i, f := range s {
		if f != nil {
			f.Release()
			s[i] = nil
		}
	}
}

// RegisteredRing returns a ring that the thread has registered, with a reference.
func RegisteredRing(t *task.Thread, i uint32) (*vfs.File, error) {
	s, ok := t.Rings.(*ringFDs)
	if !ok || i >= uint32(len(s)) {
		return nil, unix.EINVAL
	}
	if s[i] == nil {
		return nil, unix.EBADF
	}
	s[i].Retain()
	return s[i], nil
}

// registerRingFDs puts rings into the thread's table, or takes them out; it
// returns how many.
func registerRingFDs(t *task.Thread, on bool, addr uint64, n uint32) (uint64, error) {
	s, _ := t.Rings.(*ringFDs)
	if n == 0 || n > uint32(len(s)) {
		return 0, unix.EINVAL
	}
	if s == nil {
		if !on {
			return 0, nil
		}
		s = new(ringFDs)
		t.Rings = s
	}
	for i := range n {
		at := addr + uint64(i)*16
		b, err := arg(t, at, 16)
		if err == nil {
			off := binary.LittleEndian.Uint32(b)
			switch {
			case binary.LittleEndian.Uint32(b[4:]) != 0:
				err = unix.EINVAL
			case on:
				err = s.add(t, at, off, binary.LittleEndian.Uint64(b[8:]))
			case binary.LittleEndian.Uint64(b[8:]) != 0 || off >= uint32(len(s)):
				err = unix.EINVAL
			case s[off] != nil:
				s[off].Release()
				s[off] = nil
			}
		}
		if err != nil {
			if i > 0 {
				return uint64(i), nil
			}
			return 0, err
		}
	}
	return uint64(n), nil
}

func (s *ringFDs) add(t *task.Thread, at uint64, off uint32, fd uint64) error {
	if off == 1<<32-1 {
		for off = 0; off < uint32(len(s)) && s[off] != nil; off++ {
		}
		if off == uint32(len(s)) {
			return unix.EBUSY
		}
	} else if off >= uint32(len(s)) {
		return unix.EINVAL
	} else if s[off] != nil {
		return unix.EBUSY
	}
	f, err := t.Files.Get(int(int32(fd)))
	if err != nil {
		return err
	}
	if Of(f) == nil {
		f.Release()
		return unix.EOPNOTSUPP
	}
	if err := t.MM.Store32(at, off); err != nil {
		f.Release()
		return err
	}
	s[off] = f
	return nil
}

// Allowed reports whether the process may make rings (/proc/sys/kernel/io_uring_disabled).
func Allowed(t *task.Thread) bool {
	switch Disabled.Load() {
	case 0:
		return true
	case 1:
		return t.Creds().Has(unix.CAP_SYS_ADMIN)
	}
	return false
}

// Disabled is /proc/sys/kernel/io_uring_disabled: 1: only for the privileged, 2:
// for nobody.
var Disabled atomic.Int32
