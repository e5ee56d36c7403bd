package unix

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

func caller() *socket.Caller {
	return &socket.Caller{Caller: vfs.Kernel(), PID: 7, Files: vfs.NewFDTable(64), Inflight: 64}
}

func pair(t *testing.T, typ int) (a, b *Socket) {
	x, y, err := socket.Pair(caller(), unix.AF_UNIX, typ, 0)
	if err != nil {
		t.Fatal(err)
	}
	return x.(*Socket), y.(*Socket)
}

func send(s *Socket, b []byte, files ...*vfs.File) (int, error) {
	buf := mm.KernelBuf(b)
	m := socket.NewMessage(&buf, 0)
	m.Files = files
	n, err := s.Send(caller(), m)
	m.Free()
	return n, err
}

func recv(s *Socket, b []byte) (int, []*vfs.File, error) {
	buf := mm.KernelBuf(b)
	m := socket.NewMessage(&buf, 0)
	n, err := s.Recv(caller(), m)
	files := m.Files
	m.Files = nil
	m.Free()
	return n, files, err
}

// block calls op until it does not say EAGAIN.
func block(s *Socket, op func() error) error {
	var sl wait.Sleeper
	return vfs.WaitUntil(&sl, s.Queue(), wait.Readable|wait.Writable, func() bool { return op() != unix.EAGAIN })
}

// Bytes of several writers and what readers get of them.
func TestStream(t *testing.T) {
	a, b := pair(t, unix.SOCK_STREAM)
	const size = 4 << 20
	want := make([]byte, size)
	for i := range want {
		want[i] = byte(i * 7 >> 3)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for left := want; len(left) > 0; {
			n := min(len(left), 1+len(left)%30000)
			block(a, func() error {
				k, err := send(a, left[:n])
				left = left[k:]
				return err
			})
		}
		a.Shutdown(unix.SHUT_WR)
	})
	var got bytes.Buffer
	for end := false; !end; {
		chunk := make([]byte, 7000)
		block(b, func() error {
			n, _, err := recv(b, chunk)
			got.Write(chunk[:n])
			end = n == 0 && err == nil
			return err
		})
	}
	wg.Wait()
	if !bytes.Equal(got.Bytes(), want) {
		t.Fatalf("%d bytes came, or others", got.Len())
	}
	if n := a.sent.Load(); n != 0 {
		t.Errorf("%d bytes of the buffer are still charged", n)
	}
	a.Release()
	b.Release()
}

// Datagrams from many senders are whole, and each sender is woken when there is
// room.
func TestDatagrams(t *testing.T) {
	r := newSocket(unix.SOCK_DGRAM)
	if err := r.Bind(caller(), append([]byte{unix.AF_UNIX, 0, 0}, "test"...)); err != nil {
		t.Fatal(err)
	}
	const senders, each = 6, 300
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			s := newSocket(unix.SOCK_DGRAM)
			if err := s.Connect(caller(), append([]byte{unix.AF_UNIX, 0, 0}, "test"...)); err != nil {
				t.Error(err)
			}
			msg := bytes.Repeat([]byte{byte(i)}, 100*(i+1))
			for range each {
				block(s, func() error {
					_, err := send(s, msg)
					return err
				})
			}
			s.Release()
		})
	}
	var counts [senders]int
	b := make([]byte, 4096)
	for range senders * each {
		var n int
		block(r, func() (err error) {
			n, _, err = recv(r, b)
			return err
		})
		i := int(b[0])
		if n != 100*(i+1) || bytes.Count(b[:n], b[:1]) != n {
			t.Fatalf("a message of %d bytes from sender %d", n, i)
		}
		counts[i]++
	}
	wg.Wait()
	for i, n := range counts {
		if n != each {
			t.Errorf("sender %d: %d messages", i, n)
		}
	}
	r.Release()
}

func BenchmarkStream(b *testing.B) {
	x, y, _ := socket.Pair(caller(), unix.AF_UNIX, unix.SOCK_STREAM, 0)
	p, q := x.(*Socket), y.(*Socket)
	data := make([]byte, 512)
	c := caller()
	b.ReportAllocs()
	b.SetBytes(512)
	for b.Loop() {
		buf := mm.KernelBuf(data)
		m := socket.NewMessage(&buf, 0)
		p.Send(c, m)
		m.Free()
		buf = mm.KernelBuf(data)
		m = socket.NewMessage(&buf, 0)
		q.Recv(c, m)
		m.Free()
	}
}
