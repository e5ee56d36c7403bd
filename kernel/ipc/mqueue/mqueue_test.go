package mqueue

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

var user = &vfs.Creds{UID: 7, EUID: 7, FSUID: 7}

// open makes a queue that the test's end removes.
func open(t *testing.T, c *vfs.Creds, name string, attr *Attr) *Queue {
	t.Helper()
	f, err := Open(c, name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR, 0o600, attr, ^uint64(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Release()
		Unlink(&vfs.RootCreds, name) //nolint:errcheck // a test may have done it
	})
	return Of(f)
}

func TestOpen(t *testing.T) {
	open(t, user, "one", nil)
	for _, x := range []struct {
		c     *vfs.Creds
		name  string
		flags uint32
		attr  *Attr
		want  error
	}{
		{user, "", unix.O_CREAT, nil, unix.EINVAL},
		{user, "a/b", unix.O_CREAT, nil, unix.EACCES},
		{user, fmt.Sprintf("%0256d", 1), unix.O_CREAT, nil, unix.ENAMETOOLONG},
		{user, "none", unix.O_RDWR, nil, unix.ENOENT},
		{user, "one", unix.O_CREAT | unix.O_EXCL, nil, unix.EEXIST},
		{user, "new", unix.O_CREAT, &Attr{Max: 0, Size: 10}, unix.EINVAL},
		{user, "new", unix.O_CREAT, &Attr{Max: 11, Size: 10}, unix.EINVAL},
		{user, "new", unix.O_CREAT, &Attr{Max: 10, Size: 8193}, unix.EINVAL},
		{&vfs.RootCreds, "new", unix.O_CREAT, &Attr{Max: hardMessages + 1, Size: 10}, unix.EINVAL},
		{&vfs.Creds{UID: 8, EUID: 8, FSUID: 8}, "one", unix.O_RDONLY, nil, unix.EACCES},
	} {
		if f, err := Open(x.c, x.name, x.flags, 0o600, x.attr, ^uint64(0)); err != x.want {
			t.Errorf("open %q, flags %#x, %v: %v, want %v", x.name, x.flags, x.attr, err, x.want)
			if f != nil {
				f.Release()
			}
		}
	}
	if err := Unlink(&vfs.Creds{FSUID: 8}, "one"); err != unix.EACCES {
		t.Errorf("unlink by another user: %v", err)
	}
	if err := Unlink(user, "none"); err != unix.ENOENT {
		t.Errorf("unlink of nothing: %v", err)
	}
}

func TestLimits(t *testing.T) {
	defer func(a, b, c int32) { maxQueues.Store(a); maxMessages.Store(b); defaultSize.Store(c) }(maxQueues.Load(), maxMessages.Load(), defaultSize.Load())
	maxMessages.Store(3)
	defaultSize.Store(200)
	if q := open(t, user, "usual", nil); q.max != 3 || q.size != 200 {
		t.Errorf("a usual queue has %d messages of %d bytes", q.max, q.size)
	}
	maxQueues.Store(1)
	if _, err := Open(user, "more", unix.O_CREAT, 0o600, nil, ^uint64(0)); err != unix.ENOSPC {
		t.Errorf("one queue too many: %v", err)
	}
}

// Messages come by priority, those of one priority in order.
func TestOrder(t *testing.T) {
	q := open(t, user, "order", &Attr{Max: 10, Size: 8})
	var s wait.Sleeper
	for i, p := range []uint32{1, 5, 1, 5, 0} {
		if err := q.Send(&s, 1, 7, fmt.Appendf(nil, "%d-%d", p, i), p, true, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"5-1", "5-3", "1-0", "1-2", "0-4"} {
		text, p, err := q.Receive(&s, 8, true, 0)
		if err != nil || string(text) != want || uint32(want[0]-'0') != p {
			t.Errorf("got %q, %d, %v; want %q", text, p, err, want)
		}
	}
	if _, _, err := q.Receive(&s, 8, true, 0); err != unix.EAGAIN {
		t.Errorf("empty: %v", err)
	}
	if _, _, err := q.Receive(&s, 7, true, 0); err != unix.EMSGSIZE {
		t.Errorf("no room: %v", err)
	}
	if err := q.Send(&s, 1, 7, make([]byte, 9), 0, true, 0); err != unix.EMSGSIZE {
		t.Errorf("too long: %v", err)
	}
	if err := q.Send(&s, 1, 7, nil, maxPriority, true, 0); err != unix.EINVAL {
		t.Errorf("priority: %v", err)
	}
	if _, _, err := q.Receive(&s, 8, false, cpu.Nanotime()+1e6); err != unix.ETIMEDOUT {
		t.Errorf("deadline: %v", err)
	}
}

// Senders and receivers wait for each other, and nothing is lost.
func TestWait(t *testing.T) {
	q := open(t, user, "wait", &Attr{Max: 2, Size: 8})
	const senders, each = 3, 200
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			var s wait.Sleeper
			for range each {
				if err := q.Send(&s, 1, 7, []byte("x"), 0, false, 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	got := make(chan int)
	go func() {
		var s wait.Sleeper
		n := 0
		for ; n < senders*each; n++ {
			if _, _, err := q.Receive(&s, 8, false, 0); err != nil {
				t.Error(err)
			}
		}
		got <- n
	}()
	wg.Wait()
	select {
	case <-got:
	case <-time.After(10 * time.Second):
		t.Fatal("a message is lost")
	}
	if q.bytes != 0 || len(q.list) != 0 || q.readers != 0 {
		t.Errorf("left: %d bytes, %d messages, %d readers", q.bytes, len(q.list), q.readers)
	}
}
