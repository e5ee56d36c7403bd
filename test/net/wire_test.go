package nettest

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wire is an Ethernet cable that is bad: it does what tc-netem(8) does, where
// the kernel has none, and the same every time.
type wire struct {
	loss, duplicate, reorder float64 // share of the packets, in each direction
	seed                     uint64
}

// newWire makes a tap interface that a bad wire connects with another, whose
// one end is a machine's.
func newWire(t testing.TB, far, name string, w wire) string {
	t.Helper()
	// Packets carry the header of virtio: they may be segmented or lack their checksum.
	tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(int(tun.Fd()), unix.TUNSETIFF, request); err != nil {
		t.Fatal(err)
	}
	run(t, "ip", "link", "set", name, "up")
	packets := packetSocket(t, far)
	t.Cleanup(func() {
		run(t, "ip", "link", "del", name) // ends the read of one end
		unix.Shutdown(packets, unix.SHUT_RDWR)
		unix.Close(packets)
		tun.Close()
	})
	near := int(tun.Fd())
	from, to := w.end(func(b []byte) { unix.Write(packets, b) }), w.end(func(b []byte) { unix.Write(near, b) }) //nolint:errcheck // a packet that is not carried is lost
	go carry(func(b []byte) (int, error) { return unix.Read(near, b) }, from)
	go carry(func(b []byte) (int, error) { return received(packets, b) }, to)
	return name
}

// packetSocket opens an interface for packets with virtio headers, packet(7).
func packetSocket(t testing.TB, name string) int {
	t.Helper()
	all := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
	s, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		t.Fatal(err)
	}
	i, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		unix.IoctlIfreq(s, unix.SIOCGIFINDEX, i),
		unix.SetsockoptInt(s, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20),
		unix.Bind(s, &unix.SockaddrLinklayer{Protocol: all, Ifindex: int(i.Uint32())}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// received reads a packet that came in at an interface, not one that goes out.
func received(socket int, b []byte) (int, error) {
	for {
		n, sender, err := unix.Recvfrom(socket, b, 0)
		if err != nil {
			return n, err
		}
		if s, ok := sender.(*unix.SockaddrLinklayer); ok && s.Pkttype != unix.PACKET_OUTGOING {
			return n, nil
		}
	}
}

// carry moves packets until the reader fails for good.
func carry(read func([]byte) (int, error), write func([]byte)) {
	b := make([]byte, 128<<10)
	for {
		n, err := read(b)
		switch err {
		case nil:
			write(b[:n])
		case unix.EINTR, unix.EAGAIN, unix.ENETDOWN:
			time.Sleep(time.Millisecond)
		default:
			return
		}
	}
}

// end wraps one direction's write.
func (w wire) end(write func([]byte)) func([]byte) {
	random := rand.New(rand.NewPCG(w.seed, 2))
	var lock sync.Mutex
	send := func(b []byte) {
		lock.Lock()
		defer lock.Unlock()
		write(b)
	}
	return func(b []byte) {
		x := random.Float64()
		if x < w.loss {
			return
		}
		if x < w.loss+w.reorder { // later than those after it
			later := append([]byte(nil), b...)
			time.AfterFunc(3*time.Millisecond, func() { send(later) })
			return
		}
		send(b)
		if x > 1-w.duplicate {
			send(b)
		}
	}
}
