package etc

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gosv/kernel/fs/tmpfs"
	"gosv/kernel/mm"
	"gosv/kernel/net"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

func TestMain(m *testing.M) {
	if _, err := vfs.MountRoot(tmpfs.New(tmpfs.Options{}), "tmpfs", 0); err != nil {
		panic(err)
	}
	m.Run()
}

// put makes /etc with two files; an empty one is missing.
func put(t *testing.T, resolv, hosts string) {
	t.Helper()
	fs := vfs.NewFSContext()
	defer fs.Release()
	fs.Mkdir(vfs.Kernel(), nil, "/etc", 0o755)
	for path, text := range map[string]string{resolvPath: resolv, hostsPath: hosts} {
		fs.Unlink(vfs.Kernel(), nil, path, 0)
		if text != "" {
			if err := write(path, text); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func resolver(server string) net.Resolver {
	a, _ := net.ParseAddress(server)
	r := net.Resolver{Search: []string{"example.org"}}
	r.Servers = append(r.Servers, a)
	return r
}

func check(t *testing.T, path, want string) {
	t.Helper()
	if got, err := read(path); err != nil || got != want {
		t.Errorf("%s: %q, %v, want %q", path, got, err, want)
	}
}

func TestHosts(t *testing.T) {
	for _, c := range []struct{ image, want string }{
		{"", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.5\tbox\n"},
		{"127.0.0.1 localhost # box", "127.0.0.1 localhost # box\n10.0.0.5\tbox\n"},
		{"127.0.0.1 localhost\n1.2.3.4 a box\n", "127.0.0.1 localhost\n1.2.3.4 a box\n"},
	} {
		if got := hosts(c.image, "box", "10.0.0.5"); got != c.want {
			t.Errorf("of %q: %q, want %q", c.image, got, c.want)
		}
	}
}

// A reader waits until the name servers are known, and gets them; after that the
// file is one that can be written.
func TestReadersWait(t *testing.T) {
	put(t, "nameserver 9.9.9.9\n", "")
	f := Prepare("box", true)
	check(t, hostsPath, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\tbox\n")
	fs := vfs.NewFSContext()
	defer fs.Release()
	file, err := fs.Open(vfs.Kernel(), nil, resolvPath, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if file.Readiness()&wait.In != 0 {
		t.Error("it is readable")
	}
	got := make(chan string)
	go func() {
		var s wait.Sleeper
		var text []byte
		for {
			chunk := make([]byte, 10)
			buf := mm.KernelBuf(chunk)
			n, err := file.Read(&s, &buf)
			if err != nil || n == 0 {
				break
			}
			text = append(text, chunk[:n]...)
		}
		got <- string(text)
	}()
	f.Update(resolver("10.0.2.3"), false)
	select {
	case s := <-got:
		t.Fatalf("a reader got %q before its time", s)
	case <-time.After(20 * time.Millisecond):
	}
	f.Update(resolver("10.0.2.3"), true)
	want := "nameserver 10.0.2.3\nsearch example.org\n"
	if s := <-got; s != want {
		t.Errorf("the reader got %q", s)
	}
	file.Release()
	check(t, resolvPath, want)
	f.Address("10.0.2.15")
	if text, _ := read(hostsPath); !strings.Contains(text, "10.0.2.15\tbox\n") || strings.Contains(text, "127.0.1.1") {
		t.Errorf("hosts: %q", text)
	}
	f.Update(resolver("fe80::1"), false)
	check(t, resolvPath, "nameserver fe80::1\nsearch example.org\n")
	if len(vfs.Mounts()) != 1 {
		t.Error("something is still mounted")
	}
}

// Without name servers the image's file stays.
func TestNoServers(t *testing.T) {
	put(t, "nameserver 9.9.9.9\n", "127.0.0.1 localhost box\n")
	f := Prepare("box", true)
	f.Update(net.Resolver{}, true)
	check(t, resolvPath, "nameserver 9.9.9.9\n")
	check(t, hostsPath, "127.0.0.1 localhost box\n")

	f = Prepare("box", false)
	f.Update(net.Resolver{}, true)
	check(t, resolvPath, "nameserver 9.9.9.9\n")
	f.Update(resolver("1.1.1.1"), true)
	check(t, resolvPath, "nameserver 1.1.1.1\nsearch example.org\n")
}

// A link to what is not there, as systemd-resolved leaves it.
func TestDanglingLink(t *testing.T) {
	put(t, "", "")
	fs := vfs.NewFSContext()
	defer fs.Release()
	if err := fs.Symlink(vfs.Kernel(), "../run/systemd/resolve/stub-resolv.conf", nil, resolvPath); err != nil {
		t.Fatal(err)
	}
	f := Prepare("box", true)
	f.Update(resolver("1.1.1.1"), true)
	check(t, resolvPath, "nameserver 1.1.1.1\nsearch example.org\n")
}

// On a read-only root the mounted file stays, with the servers.
func TestReadOnly(t *testing.T) {
	put(t, "nameserver 9.9.9.9\n", "127.0.0.1 localhost\n")
	root := vfs.Mounts()[0]
	if err := root.SetFlags(unix.MS_RDONLY); err != nil {
		t.Fatal(err)
	}
	defer root.SetFlags(0)
	f := Prepare("box", true)
	f.Update(resolver("1.1.1.1"), true)
	check(t, resolvPath, "nameserver 1.1.1.1\nsearch example.org\n")
	check(t, hostsPath, "127.0.0.1 localhost\n")
	f.pending.Unmount(true)
}
