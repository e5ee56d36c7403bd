package inet

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"

	"gosv/kernel/net/socket"
)

// maxDatagram is the most data of a UDP datagram in an IPv4 packet.
const maxDatagram = 65507

// A cork collects a datagram from several sends: with MSG_MORE, or UDP_CORK
// (udp(7)).
type cork struct {
	some atomic.Bool // on, or begun

	// mu guards what follows.
	mu    sync.Mutex
	on    bool // UDP_CORK
	begun bool
	data  []byte
	opts  tcpip.WriteOptions // of the first send
	to    tcpip.FullAddress
	tos   int
}

// sendCorked adds a message to the datagram, and sends it unless there is more.
func (s *Socket) sendCorked(m *socket.Message, t *transfer, opts tcpip.WriteOptions) (int, error) {
	k := &s.cork
	k.mu.Lock()
	defer k.mu.Unlock()
	n := m.Buf.Len()
	if len(k.data)+n > maxDatagram {
		k.drop()
		return 0, unix.EMSGSIZE
	}
	if !k.begun {
		if opts.To == nil {
			if _, err := s.endpoint().GetRemoteAddress(); err != nil {
				return 0, unix.EDESTADDRREQ
			}
		}
		k.begun, k.opts, k.tos = true, opts, t.tos
		if opts.To != nil {
			k.to = t.to
			k.opts.To = &k.to
		}
		k.opts.More = false
		k.some.Store(true)
	}
	at := len(k.data)
	k.data = append(k.data, make([]byte, n)...)
	if _, err := m.Buf.CopyFrom(k.data[at:]); err != nil {
		k.drop()
		return 0, err
	}
	if k.on || opts.More {
		return n, nil
	}
	if err := s.uncork(t); err != nil {
		return 0, err
	}
	return n, nil
}

// setCork is UDP_CORK.
func (s *Socket) setCork(on bool) error {
	k := &s.cork
	k.mu.Lock()
	defer k.mu.Unlock()
	k.on = on
	k.some.Store(on || k.begun)
	if on || !k.begun {
		return nil
	}
	return s.uncork(new(transfer))
}

// uncork sends the datagram; k.mu is held.
func (s *Socket) uncork(t *transfer) error {
	k := &s.cork
	src := bytesSource(k.data)
	t.src, t.tos, t.err = &src, k.tos, nil
	_, err := s.write(t, k.opts)
	t.src = nil
	k.drop()
	return errno(err)
}

// drop forgets the datagram; mu is held.
func (k *cork) drop() {
	k.begun, k.data, k.opts = false, nil, tcpip.WriteOptions{}
	k.some.Store(k.on)
}

// bytesSource is data in the kernel's memory.
type bytesSource []byte

func (b *bytesSource) Len() int { return len(*b) }

func (b *bytesSource) CopyFrom(dst []byte) (int, error) {
	n := copy(dst, *b)
	*b = (*b)[n:]
	return n, nil
}
