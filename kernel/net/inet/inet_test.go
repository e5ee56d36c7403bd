package inet

import (
	"bytes"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"gosv/kernel/mm"
	"gosv/kernel/net/socket"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

func caller() *socket.Caller { return &socket.Caller{Caller: vfs.Kernel(), PID: 7} }

func open(t testing.TB, af, typ int) *Socket {
	s, err := socket.New(caller(), af, typ, 0)
	if err != nil {
		t.Fatal(err)
	}
	return s.(*Socket)
}

// loopback is 127.0.0.1 or ::1, with a port in network byte order.
func loopback(af int, port []byte) []byte {
	if af == unix.AF_INET {
		return []byte{unix.AF_INET, 0, port[0], port[1], 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}
	}
	b := make([]byte, sizeIn6)
	b[0], b[2], b[3], b[23] = unix.AF_INET6, port[0], port[1], 1
	return b
}

func block(s *Socket, op func() error) error {
	var sl wait.Sleeper
	var err error
	w := vfs.WaitUntil(&sl, s.Queue(), wait.Readable|wait.Writable, func() bool {
		err = op()
		return err != unix.EAGAIN
	})
	if w != nil {
		return w
	}
	return err
}

func pair(t testing.TB, af int) (c, d *Socket) {
	l := open(t, af, unix.SOCK_STREAM)
	if err := l.Bind(caller(), loopback(af, []byte{0, 0})); err != nil {
		t.Fatal(err)
	}
	if err := l.Listen(caller(), 4); err != nil {
		t.Fatal(err)
	}
	name, _ := l.Name(nil)
	c = open(t, af, unix.SOCK_STREAM)
	if err := c.Connect(caller(), loopback(af, name[2:4])); err == unix.EINPROGRESS {
		err = block(c, func() error {
			if err := c.Connected(); err != unix.EALREADY {
				return err
			}
			return unix.EAGAIN
		})
		if err != nil {
			t.Fatal(err)
		}
	} else if err != nil {
		t.Fatal(err)
	}
	var x socket.Socket
	if err := block(l, func() (err error) { x, err = l.Accept(caller()); return err }); err != nil {
		t.Fatal(err)
	}
	l.Release()
	return c, x.(*Socket)
}

// Data goes over a connection unharmed, and its end is seen.
func TestStream(t *testing.T) {
	for _, af := range []int{unix.AF_INET, unix.AF_INET6} {
		c, d := pair(t, af)
		want := make([]byte, 2<<20)
		for i := range want {
			want[i] = byte(i * 13 >> 5)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			buf := mm.KernelBuf(want)
			err := block(c, func() error {
				for buf.Len() > 0 {
					if _, err := socket.Write(c, &buf); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			c.Shutdown(unix.SHUT_WR)
		})
		var got bytes.Buffer
		for end := false; !end; {
			chunk := make([]byte, 50000)
			err := block(d, func() error {
				buf := mm.KernelBuf(chunk)
				n, err := socket.Read(d, &buf)
				got.Write(chunk[:n])
				end = n == 0 && err == nil
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		wg.Wait()
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("family %d: %d bytes came, or others", af, got.Len())
		}
		if ev := d.Readiness(); ev&(wait.In|wait.RdHup) != wait.In|wait.RdHup || ev&wait.Hup != 0 {
			t.Errorf("family %d: events %#x at the end", af, ev)
		}
		c.Release()
		d.Release()
	}
}

// Addresses of all lengths and contents do no harm.
func FuzzAddress(f *testing.F) {
	f.Add(loopback(unix.AF_INET, []byte{1, 2}), uint8(toBind))
	f.Add(loopback(unix.AF_INET6, []byte{1, 2}), uint8(toSend))
	s4, s6 := open(f, unix.AF_INET, unix.SOCK_DGRAM), open(f, unix.AF_INET6, unix.SOCK_DGRAM)
	f.Fuzz(func(t *testing.T, b []byte, u uint8) {
		for _, s := range []*Socket{s4, s6} {
			if a, err := s.parse(b, use(u%3)); err == nil {
				if n := len(s.append(nil, a)); n != sizeIn && n != sizeIn6 {
					t.Errorf("an address of %d bytes", n)
				}
			}
		}
		parseLL(b)
	})
}

// No value of an option, and no control message, does harm.
func FuzzOption(f *testing.F) {
	f.Add(unix.SOL_SOCKET, unix.SO_LINGER, []byte{1, 0, 0, 0, 2, 0, 0, 0})
	f.Add(unix.SOL_TCP, unix.TCP_CONGESTION, []byte("reno"))
	f.Add(unix.SOL_IP, unix.IP_ADD_MEMBERSHIP, []byte{224, 0, 0, 9, 0, 0, 0, 0})
	f.Add(unix.SOL_IPV6, unix.IPV6_PKTINFO, make([]byte, 20))
	f.Fuzz(func(t *testing.T, level, name int, v []byte) {
		for _, typ := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
			for _, af := range []int{unix.AF_INET, unix.AF_INET6} {
				s := open(t, af, typ)
				s.SetOption(caller(), level, name, v)
				s.GetOption(caller(), level, name, len(v))
				buf := mm.KernelBuf([]byte("x"))
				m := socket.NewMessage(&buf, 0)
				m.Name, m.Control = loopback(af, []byte{9, 9}), v
				s.Send(caller(), m)
				m.Free()
				s.Release()
			}
		}
	})
}

func BenchmarkStream(b *testing.B) {
	c, d := pair(b, unix.AF_INET)
	data := make([]byte, 512)
	b.ReportAllocs()
	b.SetBytes(512)
	for b.Loop() {
		buf := mm.KernelBuf(data)
		socket.Write(c, &buf)
		block(d, func() error {
			buf := mm.KernelBuf(data)
			_, err := socket.Read(d, &buf)
			return err
		})
	}
}
