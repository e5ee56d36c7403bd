// Package etc keeps what the network's configuration says in the files where programs look for it: resolv.conf(5) and
// hosts(5), in /etc. What the image has there stays where the network says nothing.
//
// While the network is being configured, /etc/resolv.conf is a file whose readers wait. So the first look-up of a program
// waits for its name servers, and a program that looks nothing up does not wait.
package etc

import (
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"gosv/kernel/mm"
	"gosv/kernel/net"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

const (
	resolvPath = "/etc/resolv.conf"
	hostsPath  = "/etc/hosts"
	maxFile    = 1 << 20
)

// Files are the two files of a machine.
type Files struct {
	mu       sync.Mutex // guards what follows
	hostname string
	hosts    string     // what the image has in it
	pending  *vfs.Mount // over resolv.conf
	file     *pendingFile
	behind   *vfs.File // what is under it
}

// Prepare fills in hosts(5), for a machine of this name, and makes resolv.conf
// wait until Settle if wait is set. A file system that is read-only keeps what it
// has. It must run before the program does.
func Prepare(hostname string, wait bool) *Files {
	f := &Files{hostname: hostname}
	f.hosts, _ = read(hostsPath)
	f.writeHosts("127.0.1.1")
	if wait {
		f.hold()
	}
	return f
}

// hold mounts the file whose readers wait. Where there is no place for it, there
// is none.
func (f *Files) hold() {
	fs := vfs.NewFSContext()
	defer fs.Release()
	fs.Mkdir(vfs.Kernel(), nil, "/etc", 0o755) //nolint:errcheck // it exists
	if _, err := fs.Lookup(vfs.Kernel(), resolvPath); err == unix.ENOENT {
		// A link, as systemd-resolved has it, leads to what is not there.
		fs.Unlink(vfs.Kernel(), nil, resolvPath, 0) //nolint:errcheck // it need not exist
	}
	// What is behind the mounted file is written through a file that is open
	// already. On a read-only file system there is none, and the mounted one
	// stays.
	f.behind, _ = fs.Open(vfs.Kernel(), nil, resolvPath, unix.O_RDWR|unix.O_CREAT, 0o644)
	old, err := read(resolvPath)
	if err != nil {
		return
	}
	p, err := fs.Lookup(vfs.Kernel(), resolvPath)
	if err != nil {
		return
	}
	file := &pendingFile{text: old}
	file.Perm = 0o644
	if m, err := vfs.MountAt(p, filesystem{file}, "gosv", 0); err == nil {
		f.pending, f.file = m, file
	}
}

// Update writes what is known of name servers, and lets nobody wait any more if
// last is set. An empty resolver leaves the file of the image.
func (f *Files) Update(r net.Resolver, last bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := r.Format()
	if f.pending == nil {
		if text != "" {
			write(resolvPath, text) //nolint:errcheck // a read-only file system
		}
		return
	}
	if text != "" {
		f.file.set(text)
	}
	if !last {
		return
	}
	f.file.settle()
	if f.behind == nil {
		return
	}
	// From now on it is an ordinary file, for programs that write it.
	if text != "" {
		replace(f.behind, text) //nolint:errcheck // no memory: the old text stays
	}
	f.behind.Release()
	f.pending.Unmount(true) //nolint:errcheck // a program did it
	f.behind, f.pending = nil, nil
}

// Address writes the machine's own address into hosts(5).
func (f *Files) Address(a string) {
	f.mu.Lock()
	f.writeHosts(a)
	f.mu.Unlock()
}

// writeHosts adds to the image's hosts(5) what is not in it: localhost, and the
// machine's name.
func (f *Files) writeHosts(address string) {
	text := hosts(f.hosts, f.hostname, address)
	if text != f.hosts {
		write(hostsPath, text) //nolint:errcheck // a read-only file system
	}
}

// hosts is the text of hosts(5).
func hosts(image, hostname, address string) string {
	text := image
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	if !names(image, "localhost") {
		text += "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	}
	if hostname != "" && !names(image, hostname) {
		text += address + "\t" + hostname + "\n"
	}
	return text
}

// names reports whether a hosts file has a name.
func names(text, name string) bool {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) > 1 {
			for _, n := range f[1:] {
				if n == name {
					return true
				}
			}
		}
	}
	return false
}

func read(path string) (string, error) {
	fs := vfs.NewFSContext()
	defer fs.Release()
	f, err := fs.Open(vfs.Kernel(), nil, path, unix.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer f.Release()
	var text []byte
	chunk := make([]byte, 4096)
	for len(text) < maxFile {
		buf := mm.KernelBuf(chunk)
		n, err := f.Read(nil, &buf)
		if err != nil || n == 0 {
			return string(text), err
		}
		text = append(text, chunk[:n]...)
	}
	return string(text), unix.EFBIG
}

func write(path, text string) error {
	fs := vfs.NewFSContext()
	defer fs.Release()
	f, err := fs.Open(vfs.Kernel(), nil, path, unix.O_WRONLY|unix.O_CREAT, 0o644)
	if err != nil {
		return err
	}
	defer f.Release()
	return replace(f, text)
}

// replace gives an open file a new content.
func replace(f *vfs.File, text string) error {
	if err := f.Inode().SetAttr(&vfs.SetAttr{Mask: vfs.SetSize}); err != nil {
		return err
	}
	buf := mm.KernelBuf([]byte(text))
	_, err := f.WriteAt(nil, &buf, 0)
	return err
}

// pendingFile is resolv.conf while its content is not known.
type pendingFile struct {
	vfs.Synth
	queue wait.Queue

	mu      sync.Mutex // guards what follows
	text    string
	settled bool
}

// Mode is that of a regular file.
func (p *pendingFile) Mode() uint32 { return unix.S_IFREG | p.Perm }

// Open makes a stream: only those wait for a read.
func (p *pendingFile) Open(_ vfs.Caller, _ *vfs.File, flags uint32) (vfs.FileImpl, error) {
	if flags&unix.O_ACCMODE != unix.O_RDONLY {
		return nil, unix.EBUSY // it is about to be written by the kernel
	}
	return &reader{p: p}, nil
}

func (p *pendingFile) set(text string) {
	p.mu.Lock()
	p.text = text
	p.mu.Unlock()
}

func (p *pendingFile) settle() {
	p.mu.Lock()
	p.settled = true
	p.mu.Unlock()
	p.queue.Notify(wait.Readable)
}

// reader is an open pendingFile.
type reader struct {
	vfs.FileDefaults
	p *pendingFile

	mu  sync.Mutex // guards off
	off int
}

// Read waits for the content.
func (r *reader) Read(_ *vfs.File, dst *mm.Buf, _ int64) (int64, error) {
	r.p.mu.Lock()
	text, settled := r.p.text, r.p.settled
	r.p.mu.Unlock()
	if !settled {
		return 0, unix.EAGAIN
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	text = text[min(r.off, len(text)):]
	n, err := dst.CopyTo([]byte(text[:min(len(text), dst.Len())]))
	r.off += n
	if n > 0 {
		err = nil
	}
	return int64(n), err
}

// Readiness is Readable once the content is known.
func (r *reader) Readiness() wait.Events {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	if r.p.settled {
		return wait.Readable
	}
	return 0
}

// Queue is where readers wait.
func (r *reader) Queue() *wait.Queue { return &r.p.queue }

// filesystem is the one file that is mounted.
type filesystem struct{ file *pendingFile }

func (f filesystem) Root() vfs.Inode { return f.file }
func (filesystem) Statfs(st *vfs.Statfs) error {
	st.Type, st.Bsize, st.Namelen = unix.TMPFS_MAGIC, 4096, 255
	return nil
}
func (filesystem) Sync() error    { return nil }
func (filesystem) Type() string   { return "tmpfs" }
func (filesystem) Volatile() bool { return false }
