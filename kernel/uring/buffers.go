package uring

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/mm"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// A group is the buffers that the program provided for IOSQE_BUFFER_SELECT: a list,
// or a ring in its memory.
type group struct {
	list []linux.IOURingBuf

	as      *mm.AddressSpace // of the ring; nil: a list
	addr    uint64
	entries uint32
	head    uint16
}

// chosenBuffer is what a request has taken from a group.
type chosenBuffer struct {
	group *group
	addr  uint64
	n     uint32
	bid   uint16
}

const (
	bufSize    = 16 // struct io_uring_buf
	maxBuffers = 1 << 16

	maxProvided = 1 << 18 // in all lists of a ring
)

func bufferOps() {
	Ops[linux.IORING_OP_PROVIDE_BUFFERS] = &Op{Name: "PROVIDE_BUFFERS", IOPoll: true, Prep: prepProvide, start: provide}
	Ops[linux.IORING_OP_REMOVE_BUFFERS] = &Op{Name: "REMOVE_BUFFERS", IOPoll: true, Prep: prepRemove, start: removeBuffers}
}

// next returns the first buffer of the group.
func (g *group) next() (b linux.IOURingBuf, err error) {
	if g.as == nil {
		if len(g.list) == 0 {
			return b, unix.ENOBUFS
		}
		return g.list[0], nil
	}
	var raw [bufSize]byte
	if err := g.as.CopyIn(raw[:2], g.addr+14); err != nil {
		return b, err
	}
	if binary.LittleEndian.Uint16(raw[:]) == g.head {
		return b, unix.ENOBUFS
	}
	if err := g.as.CopyIn(raw[:], g.addr+uint64(uint32(g.head)&(g.entries-1))*bufSize); err != nil {
		return b, err
	}
	b.Addr, b.Len, b.BID = binary.LittleEndian.Uint64(raw[:]), binary.LittleEndian.Uint32(raw[8:]), binary.LittleEndian.Uint16(raw[12:])
	return b, nil
}

// Choose takes a buffer for the request, if it wants one. mu is held.
func (q *Request) Choose() error {
	if q.Flags&linux.IOSQE_BUFFER_SELECT == 0 {
		return nil
	}
	if q.chosen.group != nil {
		return nil
	}
	g := q.ring.groups[q.BufIndex]
	if g == nil || g.as != nil && g.as != q.user.t.MM {
		return unix.ENOBUFS
	}
	b, err := g.next()
	if err != nil {
		return err
	}
	q.chosen = chosenBuffer{g, b.Addr, b.Len, b.BID}
	if g.as == nil {
		g.list = g.list[1:]
		q.ring.provided--
	} else {
		g.head++
	}
	return nil
}

// putBack returns the buffer of a request that has not used it.
func (q *Request) putBack() {
	g := q.chosen.group
	if g == nil {
		return
	}
	if g.as == nil {
		q.ring.provided++
		g.list = append([]linux.IOURingBuf{{Addr: q.chosen.addr, Len: q.chosen.n, BID: q.chosen.bid}}, g.list...)
	} else {
		g.head--
	}
	q.chosen = chosenBuffer{}
}

// useBuffer ends the choice, and returns what the completion tells of it.
func (r *Ring) useBuffer(q *Request) uint32 {
	flags := uint32(q.chosen.bid)<<linux.IORING_CQE_BUFFER_SHIFT | linux.IORING_CQE_F_BUFFER
	q.chosen = chosenBuffer{}
	return flags
}

// Chosen reports whether the request has a buffer of a group.
func (q *Request) Chosen() bool { return q.chosen.group != nil }

// SpliceIn returns where SPLICE and TEE take data from, with a reference.
func (q *Request) SpliceIn(t *task.Thread) (*vfs.File, error) {
	if q.OpFlags&linux.IORING_SPLICE_F_FD_IN_FIXED == 0 {
		return t.Files.Get(int(int32(q.FileIndex)))
	}
	if q.Wait {
		q.ring.mu.Lock()
		defer q.ring.mu.Unlock()
	}
	f := q.ring.fixedFile(q.FileIndex)
	if f == nil {
		return nil, unix.EBADF
	}
	f.Retain()
	return f, nil
}

// Memory is the memory operand of the request: what the submission says, or the
// buffer that was chosen for it.
func (q *Request) Memory() (addr uint64, n uint32) {
	if q.chosen.group == nil {
		return q.Addr, q.Len
	}
	n = q.chosen.n
	if q.Len != 0 {
		n = min(n, q.Len)
	}
	return q.chosen.addr, n
}

// CheckFixed finds the registered buffer of READ_FIXED and WRITE_FIXED: EFAULT if
// the memory operand does not lie in it.
func (q *Request) CheckFixed() error {
	bufs := q.ring.buffers
	if int(q.BufIndex) >= len(bufs) || bufs[q.BufIndex] == nil {
		return unix.EFAULT
	}
	b := bufs[q.BufIndex]
	end := q.Addr + uint64(q.Len)
	if b.as != q.user.t.MM || end < q.Addr || q.Addr < b.addr || end > b.addr+b.n {
		return unix.EFAULT
	}
	q.buffer = b
	return nil
}

func prepProvide(q *Request) error {
	if q.OpFlags != 0 || q.FileIndex != 0 || q.FD <= 0 || q.FD > maxBuffers {
		if q.OpFlags == 0 && q.FileIndex == 0 {
			return unix.E2BIG
		}
		return unix.EINVAL
	}
	size := uint64(q.Len) * uint64(q.FD)
	if q.Addr+size < q.Addr {
		return unix.EOVERFLOW
	}
	if !mm.UserRange(q.Addr, size) {
		return unix.EFAULT
	}
	if q.Off > maxBuffers {
		return unix.E2BIG
	}
	if q.Off+uint64(q.FD) > maxBuffers {
		return unix.EINVAL
	}
	return nil
}

func provide(r *Ring, q *Request) {
	g := r.groups[q.BufIndex]
	if g == nil {
		if r.groups == nil {
			r.groups = make(map[uint16]*group)
		}
		g = new(group)
		r.groups[q.BufIndex] = g
	}
	if g.as != nil {
		r.fail(q, unix.EINVAL)
		return
	}
	for i := range uint64(q.FD) {
		if r.provided >= maxProvided {
			if i == 0 {
				r.fail(q, unix.ENOMEM)
				return
			}
			break
		}
		r.provided++
		g.list = append(g.list, linux.IOURingBuf{Addr: q.Addr + i*uint64(q.Len), Len: q.Len, BID: uint16(q.Off + i)})
	}
	r.complete(q, 0)
}

func prepRemove(q *Request) error {
	if q.OpFlags != 0 || q.Addr != 0 || q.Len != 0 || q.Off != 0 || q.FileIndex != 0 || q.FD <= 0 || q.FD > maxBuffers {
		return unix.EINVAL
	}
	return nil
}

func removeBuffers(r *Ring, q *Request) {
	g := r.groups[q.BufIndex]
	switch {
	case g == nil:
		r.fail(q, unix.ENOENT)
	case g.as != nil:
		r.fail(q, unix.EINVAL)
	default:
		n := min(int(q.FD), len(g.list))
		g.list = g.list[n:]
		r.provided -= n
		r.complete(q, int32(n))
	}
}

// registerBufRing is IORING_REGISTER_PBUF_RING.
func (r *Ring) registerBufRing(as *mm.AddressSpace, b []byte) error {
	addr, entries, bgid := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint16(b[12:])
	for _, v := range b[14:] {
		if v != 0 {
			return unix.EINVAL
		}
	}
	switch {
	case addr == 0:
		return unix.EFAULT
	case addr%pageSize != 0, entries == 0, entries&(entries-1) != 0, entries >= maxBuffers:
		return unix.EINVAL
	}
	if g := r.groups[bgid]; g != nil && (g.as != nil || len(g.list) > 0) {
		return unix.EEXIST
	}
	if err := touch(as, addr, uint64(entries)*bufSize); err != nil {
		return err
	}
	if r.groups == nil {
		r.groups = make(map[uint16]*group)
	}
	r.groups[bgid] = &group{as: as, addr: addr, entries: entries}
	return nil
}

func (r *Ring) unregisterBufRing(b []byte) error {
	bgid := binary.LittleEndian.Uint16(b[12:])
	g := r.groups[bgid]
	switch {
	case g == nil:
		return unix.ENOENT
	case g.as == nil:
		return unix.EINVAL
	}
	delete(r.groups, bgid)
	return nil
}

// touch reads a byte of each page: EFAULT if one is not there.
func touch(as *mm.AddressSpace, addr, n uint64) error {
	var b [1]byte
	for at := addr &^ (pageSize - 1); at < addr+n; at += pageSize {
		if err := as.CopyIn(b[:], at); err != nil {
			return err
		}
	}
	return nil
}
