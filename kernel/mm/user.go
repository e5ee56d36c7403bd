package mm

import (
	"bytes"
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
)

// inUser reports whether [addr, addr+n) lies in the user half.
func inUser(addr, n uint64) bool {
	return addr <= cpu.UserTop && n <= cpu.UserTop-addr
}

// UserRange reports whether [addr, addr+n) lies in the user half.
func UserRange(addr, n uint64) bool { return inUser(addr, n) }

// maxRetries bounds the faults that one address may take without progress; only
// a program that unmaps in parallel gets near it.
const maxRetries = 1000

// retry handles the fault of a copy at addr; tries counts those at the same place.
func (as *AddressSpace) retry(addr uint64, acc Access, tries *int) error {
	*tries++
	if *tries > maxRetries {
		return unix.EFAULT
	}
	if as.resolve(addr, acc) != resolved {
		return unix.EFAULT
	}
	return nil
}

// copyIn copies n bytes from the user and returns how many it did.
func (as *AddressSpace) copyIn(dst unsafe.Pointer, addr uint64, n uintptr) (done uintptr, err error) {
	if !inUser(addr, uint64(n)) {
		return 0, unix.EFAULT
	}
	for tries := 0; ; {
		left := cpu.CopyFromUser(as.root, unsafe.Add(dst, done), addr+uint64(done), n-done)
		if left == 0 {
			return n, nil
		}
		if left != n-done {
			tries = 0
		}
		done = n - left
		if err := as.retry(addr+uint64(done), AccessRead, &tries); err != nil {
			return done, err
		}
	}
}

// copyOut copies n bytes to the user and returns how many it did; a nil src
// writes zeros.
func (as *AddressSpace) copyOut(addr uint64, src unsafe.Pointer, n uintptr) (done uintptr, err error) {
	if !inUser(addr, uint64(n)) {
		return 0, unix.EFAULT
	}
	for tries := 0; ; {
		var left uintptr
		if src != nil {
			left = cpu.CopyToUser(as.root, addr+uint64(done), unsafe.Add(src, done), n-done)
		} else {
			left = cpu.ZeroUser(as.root, addr+uint64(done), n-done)
		}
		if left == 0 {
			return n, nil
		}
		if left != n-done {
			tries = 0
		}
		done = n - left
		if err := as.retry(addr+uint64(done), AccessWrite, &tries); err != nil {
			return done, err
		}
	}
}

// CopyIn fills dst from user memory at addr, or returns EFAULT.
func (as *AddressSpace) CopyIn(dst []byte, addr uint64) error {
	_, err := as.copyIn(unsafe.Pointer(unsafe.SliceData(dst)), addr, uintptr(len(dst)))
	return err
}

// CopyOut writes src to user memory at addr, or returns EFAULT; a part may be
// written then.
func (as *AddressSpace) CopyOut(addr uint64, src []byte) error {
	if len(src) == 0 {
		return nil
	}
	_, err := as.copyOut(addr, unsafe.Pointer(unsafe.SliceData(src)), uintptr(len(src)))
	return err
}

// ZeroOut clears n bytes of user memory at addr.
func (as *AddressSpace) ZeroOut(addr, n uint64) error {
	_, err := as.copyOut(addr, nil, uintptr(n))
	return err
}

// CopyInString reads a string of less than max bytes that ends with a zero byte.
// ENAMETOOLONG means that no zero byte came in max bytes.
func (as *AddressSpace) CopyInString(addr uint64, max int) (string, error) {
	var first [256]byte
	var s []byte
	for chunk := first[:]; ; {
		// Not across a page border: the next page may not be there.
		n := min(len(chunk), max-len(s), int(cpu.PageSize-addr%cpu.PageSize))
		if n <= 0 {
			return "", unix.ENAMETOOLONG
		}
		if err := as.CopyIn(chunk[:n], addr); err != nil {
			return "", err
		}
		if i := bytes.IndexByte(chunk[:n], 0); i >= 0 {
			if s == nil {
				return string(chunk[:i]), nil
			}
			return string(append(s, chunk[:i]...)), nil
		}
		s = append(s, chunk[:n]...)
		addr += uint64(n)
	}
}

// Load32 reads a word; if it is aligned, atomically.
func (as *AddressSpace) Load32(addr uint64) (uint32, error) {
	if addr%4 == 0 && inUser(addr, 4) {
		for tries := 0; ; {
			if v, ok := cpu.LoadUser32(as.root, addr); ok {
				return v, nil
			}
			if err := as.retry(addr, AccessRead, &tries); err != nil {
				return 0, err
			}
		}
	}
	var b [4]byte
	err := as.CopyIn(b[:], addr)
	return binary.LittleEndian.Uint32(b[:]), err
}

// Load64 reads a double word.
func (as *AddressSpace) Load64(addr uint64) (uint64, error) {
	var b [8]byte
	err := as.CopyIn(b[:], addr)
	return binary.LittleEndian.Uint64(b[:]), err
}

// Store32 writes a word.
func (as *AddressSpace) Store32(addr uint64, v uint32) error {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], v)
	return as.CopyOut(addr, b[:])
}

// Store64 writes a double word.
func (as *AddressSpace) Store64(addr uint64, v uint64) error {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	return as.CopyOut(addr, b[:])
}

// CAS32 stores new at addr if old is there, and returns what was. A misaligned
// address is EINVAL.
func (as *AddressSpace) CAS32(addr uint64, old, new uint32) (prev uint32, err error) {
	if addr%4 != 0 {
		return 0, unix.EINVAL
	}
	if !inUser(addr, 4) {
		return 0, unix.EFAULT
	}
	for tries := 0; ; {
		if prev, ok := cpu.CASUser32(as.root, addr, old, new); ok {
			return prev, nil
		}
		if err := as.retry(addr, AccessWrite, &tries); err != nil {
			return 0, err
		}
	}
}
