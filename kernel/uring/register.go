package uring

import (
	"encoding/binary"
	"slices"

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
	provided            int // buffers in their lists
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

func registerOps() {
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
