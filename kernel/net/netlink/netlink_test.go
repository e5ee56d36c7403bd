package netlink

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"gosv/kernel/mm"
	"gosv/kernel/net/socket"
	"gosv/kernel/vfs"
)

func caller() *socket.Caller { return &socket.Caller{Caller: vfs.Kernel(), PID: 7} }

func open(t testing.TB) *Socket {
	s, err := socket.New(caller(), unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	return s.(*Socket)
}

// message is a struct nlmsghdr and what follows.
func message(kind, flags uint16, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.LittleEndian.AppendUint16(b, kind)
	b = binary.LittleEndian.AppendUint16(b, flags)
	b = binary.LittleEndian.AppendUint32(b, 42)
	b = binary.LittleEndian.AppendUint32(b, 0)
	return append(b, body...)
}

func send(s *Socket, b []byte) error {
	buf := mm.KernelBuf(b)
	m := socket.NewMessage(&buf, 0)
	defer m.Free()
	_, err := s.Send(caller(), m)
	return err
}

// kinds receives everything, checks the lengths and returns the types.
func kinds(t testing.TB, s *Socket) (list []uint16) {
	b := make([]byte, 1<<16)
	for {
		buf := mm.KernelBuf(b)
		n, err := socket.Read(s, &buf)
		if err == unix.EAGAIN {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		for r := b[:n]; len(r) > 0; {
			size := int(binary.LittleEndian.Uint32(r))
			if size < unix.SizeofNlMsghdr || size > len(r) {
				t.Fatalf("a message of %d bytes in %d", size, len(r))
			}
			list = append(list, binary.LittleEndian.Uint16(r[4:]))
			r = r[min((size+3)&^3, len(r)):]
		}
	}
}

func TestDump(t *testing.T) {
	s := open(t)
	defer s.Release()
	for kind, want := range map[uint16]uint16{unix.RTM_GETLINK: unix.RTM_NEWLINK, unix.RTM_GETADDR: unix.RTM_NEWADDR} {
		if err := send(s, message(kind, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, make([]byte, 16))); err != nil {
			t.Fatal(err)
		}
		got := kinds(t, s)
		if len(got) < 2 || got[0] != want || got[len(got)-1] != unix.NLMSG_DONE {
			t.Errorf("request %d: answers %v", kind, got)
		}
	}
	if err := send(s, message(4000, unix.NLM_F_REQUEST, nil)); err != nil {
		t.Fatal(err)
	}
	if got := kinds(t, s); len(got) != 1 || got[0] != unix.NLMSG_ERROR {
		t.Errorf("unknown request: answers %v", got)
	}
}

// A route comes, is listed, and goes.
func TestChangeRoute(t *testing.T) {
	s := open(t)
	defer s.Release()
	body := []byte{unix.AF_INET, 24, 0, 0, unix.RT_TABLE_MAIN, 0, 0, unix.RTN_UNICAST, 0, 0, 0, 0,
		8, 0, unix.RTA_DST, 0, 192, 0, 2, 0, 8, 0, unix.RTA_OIF, 0, 1, 0, 0, 0}
	for _, c := range []struct {
		kind uint16
		want int32
	}{{unix.RTM_NEWROUTE, 0}, {unix.RTM_NEWROUTE, int32(unix.EEXIST)}, {unix.RTM_DELROUTE, 0}, {unix.RTM_DELROUTE, int32(unix.ESRCH)}} {
		send(s, message(c.kind, unix.NLM_F_REQUEST|unix.NLM_F_ACK, body))
		b := make([]byte, 4096)
		buf := mm.KernelBuf(b)
		if _, err := socket.Read(s, &buf); err != nil {
			t.Fatal(err)
		}
		if got := -int32(binary.LittleEndian.Uint32(b[unix.SizeofNlMsghdr:])); got != c.want {
			t.Errorf("request %d: error %d, want %d", c.kind, got, c.want)
		}
	}
}

// No request of a program, root's included, does harm.
func FuzzRequest(f *testing.F) {
	f.Add(uint16(unix.RTM_NEWADDR), uint16(unix.NLM_F_REQUEST), []byte{unix.AF_INET, 24, 0, 0, 1, 0, 0, 0, 8, 0, unix.IFA_LOCAL, 0, 10, 1, 2, 3})
	f.Add(uint16(unix.RTM_NEWROUTE), uint16(unix.NLM_F_REQUEST), []byte{unix.AF_INET6, 64, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0, 8, 0, unix.RTA_OIF, 0, 1, 0, 0, 0})
	f.Add(uint16(unix.RTM_GETROUTE), uint16(unix.NLM_F_REQUEST), []byte{unix.AF_INET, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, unix.RTA_DST, 0, 127, 0, 0, 1})
	f.Add(uint16(unix.RTM_NEWLINK), uint16(unix.NLM_F_REQUEST), make([]byte, 32))
	f.Add(uint16(unix.RTM_NEWNEIGH), uint16(unix.NLM_F_REQUEST), make([]byte, 32))
	f.Fuzz(func(t *testing.T, kind, flags uint16, body []byte) {
		s := open(t)
		send(s, message(kind, flags, body))
		send(s, body)
		kinds(t, s)
		s.Release()
	})
}
