package inet

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/kernel/net/socket"
	"gosv/kernel/wait"
)

// zeroCopy counts sends with MSG_ZEROCOPY. Their data is copied before the call returns, so that its memory is free at
// once: that is told in the error queue, as Linux tells it where it has to copy (Documentation/networking/msg_zerocopy.rst).
type zeroCopy struct {
	some atomic.Bool // there is something to tell

	// mu guards the numbers of the sends that were not told yet: from first on, before next.
	mu          sync.Mutex
	first, next uint32
}

// SO_EE_ORIGIN_ZEROCOPY, SO_EE_CODE_ZEROCOPY_COPIED (include/uapi/linux/errqueue.h).
const (
	originZeroCopy = 5
	codeCopied     = 1
)

// sentZeroCopy notes that a message was sent; the parts of one count as one.
func (s *Socket) sentZeroCopy(m *socket.Message) {
	if m.Flags&unix.MSG_ZEROCOPY == 0 || m.Started || !s.Flag(socket.FlagZeroCopy) {
		return
	}
	m.Started = true
	z := &s.zero
	z.mu.Lock()
	if !z.some.Load() {
		z.first = z.next
	}
	z.next++
	z.some.Store(true)
	z.mu.Unlock()
	s.Notify(wait.Err)
}

// toldZeroCopy tells, as one message, of all sends that were not told yet.
func (s *Socket) toldZeroCopy(m *socket.Message) bool {
	z := &s.zero
	if !z.some.Load() {
		return false
	}
	z.mu.Lock()
	first, last := z.first, z.next-1
	told := z.some.Swap(false)
	z.mu.Unlock()
	if !told {
		return false
	}
	m.Out |= unix.MSG_ERRQUEUE
	level, typ, size := unix.SOL_IP, unix.IP_RECVERR, 16+unix.SizeofSockaddrInet4
	if s.Family == unix.AF_INET6 {
		level, typ, size = unix.SOL_IPV6, ipv6RecvErr, 16+unix.SizeofSockaddrInet6
	}
	b := make([]byte, size) // struct sock_extended_err, and the address of nobody
	b[4], b[6] = originZeroCopy, codeCopied
	binary.LittleEndian.PutUint32(b[8:], first)
	binary.LittleEndian.PutUint32(b[12:], last)
	m.AddControl(level, typ, b)
	return true
}
