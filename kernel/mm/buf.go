package mm

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// An IOVec is struct iovec, in user memory (readv(2)).
type IOVec struct{ Base, Len uint64 }

// A Buf is the memory operand of file I/O: user memory in one piece or several,
// or bytes of the kernel. Its methods consume it from the front; a copy of a
// Buf is a second position in the same memory.
type Buf struct {
	as   *AddressSpace // nil: kernel
	addr uint64        // rest of the current user piece
	n    int
	more []IOVec // pieces after it
	rest int     // their length
	kern []byte
}

// UserBuf is n bytes of user memory at addr.
func UserBuf(as *AddressSpace, addr uint64, n int) Buf {
	return Buf{as: as, addr: addr, n: n}
}

// UserIovec is the pieces of user memory in iov, which must be valid as
// readv(2) demands: no negative length, and no sum beyond MAX_RW_COUNT.
func UserIovec(as *AddressSpace, iov []IOVec) Buf {
	b := Buf{as: as, more: iov}
	for _, v := range iov {
		b.rest += int(v.Len)
	}
	b.next()
	return b
}

// KernelBuf is memory of the kernel.
func KernelBuf(b []byte) Buf { return Buf{kern: b} }

// next moves to the next piece that is not empty.
func (b *Buf) next() {
	for b.n == 0 && len(b.more) > 0 {
		b.addr, b.n = b.more[0].Base, int(b.more[0].Len)
		b.more = b.more[1:]
		b.rest -= b.n
	}
}

// Len is how many bytes are left.
func (b *Buf) Len() int {
	if b.as == nil {
		return len(b.kern)
	}
	return b.n + b.rest
}

// IsUser reports whether the operand is user memory.
func (b *Buf) IsUser() bool { return b.as != nil }

// Limit shortens the operand to at most n bytes.
func (b *Buf) Limit(n int) {
	if b.as == nil {
		b.kern = b.kern[:min(n, len(b.kern))]
		return
	}
	if n <= b.n {
		b.n, b.more, b.rest = max(n, 0), nil, 0
		return
	}
	if n >= b.Len() {
		return
	}
	n -= b.n
	b.rest = n
	for i := range b.more {
		if l := int(b.more[i].Len); l < n {
			n -= l
			continue
		}
		more := append([]IOVec(nil), b.more[:i+1]...)
		more[i].Len = uint64(n)
		b.more = more
		return
	}
}

// Skip passes over n bytes, or all if there are fewer.
func (b *Buf) Skip(n int) {
	if b.as == nil {
		b.kern = b.kern[min(n, len(b.kern)):]
		return
	}
	for n > 0 && b.n > 0 {
		k := min(n, b.n)
		b.addr += uint64(k)
		b.n -= k
		n -= k
		b.next()
	}
}

// PageRest is how many bytes are left of the page of user memory where the
// operand begins.
func (b *Buf) PageRest() int { return min(b.n, pageSize-int(b.addr&(pageSize-1))) }

// within reports whether the next n bytes, of which there are some, lie in one user piece.
func (b *Buf) within(n int) bool { return n > 0 && n <= b.n }

// took moves on by what was done of the first user piece.
func (b *Buf) took(n uintptr, err error) (int, error) {
	b.addr += uint64(n)
	b.n -= int(n)
	if err == nil && b.n == 0 {
		b.next()
	}
	return int(n), err
}

// each calls f for the user pieces of the next n bytes until one fails, and
// returns how many bytes were done.
func (b *Buf) each(n int, f func(off int, addr uint64, n int) (uintptr, error)) (int, error) {
	done := 0
	for done < n && b.n > 0 {
		k := min(n-done, b.n)
		got, err := f(done, b.addr, k)
		done += int(got)
		b.addr += uint64(got)
		b.n -= int(got)
		if err != nil {
			return done, err
		}
		b.next()
	}
	return done, nil
}

// CopyTo copies src into the operand: the read(2) side. It returns how many
// bytes fitted, with EFAULT if user memory ended the copy.
func (b *Buf) CopyTo(src []byte) (int, error) {
	if b.as == nil {
		n := copy(b.kern, src)
		b.kern = b.kern[n:]
		return n, nil
	}
	p, as := unsafe.Pointer(unsafe.SliceData(src)), b.as
	if b.within(len(src)) {
		return b.took(as.copyOut(b.addr, p, uintptr(len(src))))
	}
	return b.each(len(src), func(off int, addr uint64, n int) (uintptr, error) {
		return as.copyOut(addr, unsafe.Add(p, off), uintptr(n))
	})
}

// CopyFrom copies out of the operand into dst: the write(2) side.
func (b *Buf) CopyFrom(dst []byte) (int, error) {
	if b.as == nil {
		n := copy(dst, b.kern)
		b.kern = b.kern[n:]
		return n, nil
	}
	p, as := unsafe.Pointer(unsafe.SliceData(dst)), b.as
	if b.within(len(dst)) {
		return b.took(as.copyIn(p, b.addr, uintptr(len(dst))))
	}
	return b.each(len(dst), func(off int, addr uint64, n int) (uintptr, error) {
		return as.copyIn(unsafe.Add(p, off), addr, uintptr(n))
	})
}

// Zero clears the next n bytes of the operand.
func (b *Buf) Zero(n int) (int, error) {
	if b.as == nil {
		n = min(n, len(b.kern))
		clear(b.kern[:n])
		b.kern = b.kern[n:]
		return n, nil
	}
	as := b.as
	if b.within(n) {
		return b.took(as.copyOut(b.addr, nil, uintptr(n)))
	}
	return b.each(n, func(off int, addr uint64, n int) (uintptr, error) {
		return as.copyOut(addr, nil, uintptr(n))
	})
}

// CheckUser returns EFAULT if a piece is outside the user half: what access_ok
// refuses before anything is read or written.
func (b *Buf) CheckUser() error {
	if b.as == nil {
		return nil
	}
	if !inUser(b.addr, uint64(b.n)) {
		return unix.EFAULT
	}
	for _, v := range b.more {
		if !inUser(v.Base, v.Len) {
			return unix.EFAULT
		}
	}
	return nil
}
