package overlay_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"gosv/kernel/frame"
	"gosv/kernel/fs/erofs"
	"gosv/kernel/fs/overlay"
	_ "gosv/kernel/fs/pipe"
	"gosv/kernel/fs/tmpfs"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

// The differential tests make the same random calls on Linux's file systems, in a
// thread that has changed its root, and on ours, and compare results, errors and
// finally the trees.

// A system is a file tree to call.
type system interface {
	open(path string, flags int, mode uint32) error
	write(path string, flags int, off int64, data []byte) (int, error)
	read(path string) (string, error)
	mkdir(path string, mode uint32) error
	unlink(path string, rmdir bool) error
	rename(a, b string, flags uint) error
	link(a, b string, flags int) error
	symlink(target, path string) error
	readlink(path string) (string, error)
	mknod(path string, mode uint32) error
	chmod(path string, mode uint32) error
	truncate(path string, size int64) error
	access(path string, mode uint32) error
	chdir(path string) error
	getcwd() (string, error)
	stat(path string, follow bool) (string, error)
	list(path string) (string, error)
}

type hostSystem struct{}

func (hostSystem) open(path string, flags int, mode uint32) error {
	fd, err := unix.Open(path, flags|unix.O_NONBLOCK, mode)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func (hostSystem) write(path string, flags int, off int64, data []byte) (int, error) {
	fd, err := unix.Open(path, flags|unix.O_NONBLOCK|unix.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	return unix.Pwrite(fd, data, off)
}

func (hostSystem) read(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	b := make([]byte, 100000)
	n, err := unix.Read(fd, b)
	return string(b[:max(n, 0)]), err
}

func (hostSystem) mkdir(path string, mode uint32) error { return unix.Mkdir(path, mode) }
func (hostSystem) unlink(path string, rmdir bool) error {
	if rmdir {
		return unix.Rmdir(path)
	}
	return unix.Unlink(path)
}
func (hostSystem) rename(a, b string, flags uint) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, flags)
}
func (hostSystem) link(a, b string, flags int) error {
	return unix.Linkat(unix.AT_FDCWD, a, unix.AT_FDCWD, b, flags)
}
func (hostSystem) symlink(target, path string) error { return unix.Symlink(target, path) }
func (hostSystem) readlink(path string) (string, error) {
	b := make([]byte, 4096)
	n, err := unix.Readlink(path, b)
	return string(b[:max(n, 0)]), err
}
func (hostSystem) mknod(path string, mode uint32) error   { return unix.Mknod(path, mode, 0x1fe03) }
func (hostSystem) chmod(path string, mode uint32) error   { return unix.Chmod(path, mode) }
func (hostSystem) truncate(path string, size int64) error { return unix.Truncate(path, size) }
func (hostSystem) access(path string, mode uint32) error {
	return unix.Faccessat(unix.AT_FDCWD, path, mode, 0)
}
func (hostSystem) chdir(path string) error { return unix.Chdir(path) }
func (hostSystem) getcwd() (string, error) {
	b := make([]byte, 4096)
	n, err := unix.Getcwd(b)
	if err != nil {
		return "", err
	}
	return string(b[:n-1]), nil
}

func (hostSystem) stat(path string, follow bool) (string, error) {
	var st unix.Stat_t
	flags := unix.AT_SYMLINK_NOFOLLOW
	if follow {
		flags = 0
	}
	if err := unix.Fstatat(unix.AT_FDCWD, path, &st, flags); err != nil {
		return "", err
	}
	return describe(st.Mode, uint32(st.Nlink), st.Size, st.Rdev), nil
}

func describe(mode, nlink uint32, size int64, rdev uint64) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		size = 0 // differs between file systems
	case unix.S_IFREG, unix.S_IFLNK:
		rdev = 0
	}
	return fmt.Sprintf("%o links %d size %d dev %x", mode, nlink, size, rdev)
}

func (hostSystem) list(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var names []string
	b := make([]byte, 8192)
	for {
		n, err := unix.Getdents(fd, b)
		if err != nil {
			return "", err
		}
		if n == 0 {
			break
		}
		for rest := b[:n]; len(rest) > 0; {
			reclen := int(rest[16]) | int(rest[17])<<8
			name := rest[19:reclen]
			names = append(names, string(name[:bytes.IndexByte(name, 0)])+":"+fmt.Sprint(rest[18]))
			rest = rest[reclen:]
		}
	}
	slices.Sort(names)
	return strings.Join(names, " "), nil
}

// ourSystem is a context of the VFS.
type ourSystem struct {
	fs *vfs.FSContext
	c  vfs.Caller
}

func (s ourSystem) open(path string, flags int, mode uint32) error {
	f, err := s.fs.Open(s.c, nil, path, uint32(flags|unix.O_NONBLOCK), mode)
	if err == nil {
		f.Release()
	}
	return err
}

func (s ourSystem) write(path string, flags int, off int64, data []byte) (int, error) {
	f, err := s.fs.Open(s.c, nil, path, uint32(flags|unix.O_NONBLOCK|unix.O_WRONLY), 0)
	if err != nil {
		return 0, err
	}
	defer f.Release()
	b := mm.KernelBuf(data)
	n, err := f.WriteAt(nil, &b, off)
	return int(n), err
}

func (s ourSystem) read(path string) (string, error) {
	f, err := s.fs.Open(s.c, nil, path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Release()
	data := make([]byte, 100000)
	b := mm.KernelBuf(data)
	n, err := f.Read(nil, &b)
	return string(data[:n]), err
}

func (s ourSystem) mkdir(path string, mode uint32) error { return s.fs.Mkdir(s.c, nil, path, mode) }
func (s ourSystem) unlink(path string, rmdir bool) error {
	flags := 0
	if rmdir {
		flags = unix.AT_REMOVEDIR
	}
	return s.fs.Unlink(s.c, nil, path, flags)
}
func (s ourSystem) rename(a, b string, flags uint) error {
	return s.fs.Rename(s.c, nil, a, nil, b, uint32(flags))
}
func (s ourSystem) link(a, b string, flags int) error { return s.fs.Link(s.c, nil, a, nil, b, flags) }
func (s ourSystem) symlink(target, path string) error { return s.fs.Symlink(s.c, target, nil, path) }
func (s ourSystem) readlink(path string) (string, error) {
	return s.fs.Readlink(s.c, nil, path)
}
func (s ourSystem) mknod(path string, mode uint32) error {
	return s.fs.Mknod(s.c, nil, path, mode, 0x1fe03)
}
func (s ourSystem) chmod(path string, mode uint32) error { return s.fs.Chmod(s.c, nil, path, mode, 0) }
func (s ourSystem) truncate(path string, size int64) error {
	return s.fs.Truncate(s.c, path, size, 1<<62)
}
func (s ourSystem) access(path string, mode uint32) error {
	return s.fs.Access(s.c, nil, path, mode, 0)
}
func (s ourSystem) chdir(path string) error { return s.fs.Chdir(s.c, path) }
func (s ourSystem) getcwd() (string, error) { return s.fs.Getcwd() }

func (s ourSystem) stat(path string, follow bool) (string, error) {
	var st vfs.Stat
	flags := unix.AT_SYMLINK_NOFOLLOW
	if follow {
		flags = 0
	}
	if err := s.fs.Stat(s.c, nil, path, flags, &st); err != nil {
		return "", err
	}
	return describe(st.Mode, st.Nlink, st.Size, st.Rdev), nil
}

func (s ourSystem) list(path string) (string, error) {
	f, err := s.fs.Open(s.c, nil, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", err
	}
	defer f.Release()
	var names []string
	for more := true; more; {
		more = false
		err := f.ReadDir(func(e vfs.Dirent) bool {
			if len(names)%3 == 2 && !more { // in small pieces, as getdents does
				more = true
			} else if more && len(names)%3 == 2 {
				return false
			}
			names = append(names, e.Name+":"+fmt.Sprint(e.Type))
			return true
		})
		if err != nil {
			return "", err
		}
	}
	slices.Sort(names)
	return strings.Join(names, " "), nil
}

// A step is one random call.
type step struct {
	op    int
	a, b  string
	flags int
	mode  uint32
	n     int64
	data  []byte
}

func randomPath(r *rand.Rand) string {
	names := []string{"a", "b", "c", "d"}
	var parts []string
	for i := 1 + r.IntN(3); i > 0; i-- {
		switch r.IntN(16) {
		case 0:
			parts = append(parts, ".")
		case 1:
			parts = append(parts, "..")
		default:
			parts = append(parts, names[r.IntN(len(names))])
		}
	}
	p := strings.Join(parts, "/")
	switch r.IntN(12) {
	case 0:
		p += "/"
	case 1, 2:
		p = "/" + p
	case 3:
		p = strings.ReplaceAll(p, "/", "//")
	}
	if r.IntN(150) == 0 {
		return []string{"", "/", ".", "..", strings.Repeat("n", 256), strings.Repeat("n", 255)}[r.IntN(6)]
	}
	return p
}

const stepKinds = 20

func randomStep(r *rand.Rand) step {
	s := step{op: r.IntN(stepKinds), a: randomPath(r), b: randomPath(r), mode: uint32(r.IntN(0o10000)), n: int64(r.IntN(20000))}
	for _, f := range []int{unix.O_CREAT, unix.O_CREAT, unix.O_EXCL, unix.O_TRUNC, unix.O_NOFOLLOW, unix.O_DIRECTORY, unix.O_APPEND, unix.O_PATH} {
		if r.IntN(4) == 0 {
			s.flags |= f
		}
	}
	s.flags |= r.IntN(3) // access mode
	s.data = bytes.Repeat([]byte{byte('a' + r.IntN(26))}, r.IntN(9000))
	return s
}

func (s step) do(x system) (string, error) {
	switch s.op {
	case 0, 1:
		return "", x.open(s.a, s.flags, s.mode)
	case 2, 3:
		n, err := x.write(s.a, s.flags&unix.O_APPEND, s.n, s.data)
		return fmt.Sprint(n), err
	case 4:
		return x.read(s.a)
	case 5, 6:
		return "", x.mkdir(s.a, s.mode)
	case 7:
		return "", x.unlink(s.a, s.n%2 == 0)
	case 8, 9, 10:
		return "", x.rename(s.a, s.b, uint(max(0, s.n%8-5)))
	case 11:
		return "", x.link(s.a, s.b, int(s.n%2)*unix.AT_SYMLINK_FOLLOW)
	case 12:
		return "", x.symlink(s.a, s.b)
	case 13:
		return x.readlink(s.a)
	case 14:
		kinds := []uint32{unix.S_IFIFO, unix.S_IFREG, 0, unix.S_IFSOCK, unix.S_IFCHR, unix.S_IFDIR, unix.S_IFLNK}
		return "", x.mknod(s.a, kinds[s.n%7]|s.mode&0o777)
	case 15:
		return "", x.chmod(s.a, s.mode&0o7777)
	case 16:
		return "", x.truncate(s.a, s.n)
	case 17:
		if s.n%4 == 0 {
			return "", x.chdir(s.a)
		}
		return x.getcwd()
	case 18:
		return x.stat(s.a, s.n%2 == 0)
	default:
		if s.n%3 == 0 {
			return "", x.access(s.a, s.mode&7)
		}
		return x.list(s.a)
	}
}

func (s step) String() string {
	names := []string{"open", "open", "write", "write", "read", "mkdir", "mkdir", "unlink", "rename", "rename", "rename", "link", "symlink",
		"readlink", "mknod", "chmod", "truncate", "chdir/getcwd", "stat", "access/list"}
	return fmt.Sprintf("%s(%q, %q, flags %#o, mode %#o, n %d)", names[s.op], s.a, s.b, s.flags, s.mode, s.n)
}

// tree describes everything below a directory.
func tree(x system, dir string, b *strings.Builder) {
	l, err := x.list(dir)
	fmt.Fprintf(b, "%s: %s %v\n", dir, l, err)
	for _, entry := range strings.Fields(l) {
		name, kind, _ := strings.Cut(entry, ":")
		if name == "." || name == ".." {
			continue
		}
		path := dir + name
		st, err := x.stat(path, false)
		fmt.Fprintf(b, "%s %s %v", path, st, err)
		switch kind {
		case "4":
			fmt.Fprintln(b)
			tree(x, path+"/", b)
		case "8":
			s, err := x.read(path)
			fmt.Fprintf(b, " %d %q %v\n", len(s), sample(s), err)
		case "10":
			s, err := x.readlink(path)
			fmt.Fprintf(b, " -> %q %v\n", s, err)
		default:
			fmt.Fprintln(b)
		}
	}
}

// sample shortens contents without hiding differences.
func sample(s string) string {
	var b strings.Builder
	for i, n := 0, 0; i < len(s); i, n = i+n, 0 {
		for i+n < len(s) && s[i+n] == s[i] {
			n++
		}
		fmt.Fprintf(&b, "%q*%d ", s[i], n)
	}
	return b.String()
}

// inHostRoot runs f in a thread whose root directory is dir.
func inHostRoot(t *testing.T, dir string, f func()) {
	t.Helper()
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_FS)
		if err == nil {
			err = unix.Chroot(dir)
		}
		if err == nil {
			err = unix.Chdir("/")
		}
		if err == nil {
			unix.Umask(0o022)
			defer close(failed)
			f()
			return
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		t.Skipf("comparing with the host needs the right to chroot: %v", err)
	}
}

var mounts int

// ours returns a context whose root is a new mount of fs.
func ours(t *testing.T, fs vfs.Filesystem) ourSystem {
	t.Helper()
	if len(vfs.Mounts()) == 0 {
		if _, err := vfs.MountRoot(tmpfs.New(tmpfs.Options{}), "root", 0); err != nil {
			t.Fatal(err)
		}
	}
	x := vfs.NewFSContext()
	s := ourSystem{x, vfs.Kernel()}
	mounts++
	dir := fmt.Sprintf("/mount%d", mounts)
	if err := s.mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := x.Lookup(s.c, dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := vfs.MountAt(p, fs, "test", unix.MS_RELATIME)
	p.Unpin()
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Chroot(s.c, dir); err != nil {
		t.Fatal(err)
	}
	if err := x.Chdir(s.c, "/"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		x.Release()
		if err := m.Unmount(false); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return s
}

func hostDir(t *testing.T) string {
	base := "/dev/shm"
	if _, err := os.Stat(base); err != nil {
		base = ""
	}
	dir, err := os.MkdirTemp(base, "gosv-vfs")
	if err != nil {
		t.Fatal(err)
	}
	unix.Chmod(dir, 0o755)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func compare(t *testing.T, seed uint64, steps int, host, our system) {
	r := rand.New(rand.NewPCG(seed, 1))
	var log []string
	for range steps {
		s := randomStep(r)
		wantR, wantE := s.do(host)
		gotR, gotE := s.do(our)
		log = append(log, fmt.Sprintf("%v = %.60q %v", s, wantR, wantE))
		if wantE != gotE && (wantE != nil || gotE != nil) || gotE == nil && wantR != gotR {
			t.Errorf("seed %d: %v\nhost %.300q %v\nours %.300q %v\nbefore:\n%s", seed, s, wantR, wantE, gotR, gotE,
				strings.Join(log[max(0, len(log)-40):], "\n"))
			return
		}
	}
	var want, got strings.Builder
	host.chdir("/")
	our.chdir("/")
	tree(host, "/", &want)
	tree(our, "/", &got)
	if want.String() != got.String() {
		t.Errorf("seed %d: trees differ\nhost:\n%s\nours:\n%s\nsteps:\n%s", seed, want.String(), got.String(), strings.Join(log, "\n"))
	}
}

func runs(t *testing.T) uint64 {
	if testing.Short() {
		return 5
	}
	return 60
}

func TestTmpfsAgainstHost(t *testing.T) {
	for seed := range runs(t) {
		dir := hostDir(t)
		s := ours(t, tmpfs.New(tmpfs.Options{Mode: 0o755, HasMode: true}))
		inHostRoot(t, dir, func() { compare(t, seed, 400, hostSystem{}, s) })
		if t.Failed() {
			return
		}
	}
}

// populate makes a tree to start from.
func populate(t *testing.T, dir string) {
	for _, d := range []string{"a", "a/b", "a/b/c", "b", "c", "c/d", "c/d/a"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, size := range map[string]int{"a/a": 0, "a/b/a": 1, "a/b/c/d": 4096, "b/a": 5000, "b/b": 12288, "c/d/a/c": 40000, "d": 70} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte(name), size/len(name)+1)[:size], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range [][2]string{{"a/b", "b/c"}, {"../b/a", "a/c"}, {"/c/d", "c/b"}, {"nowhere", "c/c"}} {
		if err := os.Symlink(l[0], filepath.Join(dir, l[1])); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range [][2]string{{"b/b", "a/d"}, {"b/b", "c/d/d"}} {
		if err := os.Link(filepath.Join(dir, l[0]), filepath.Join(dir, l[1])); err != nil {
			t.Fatal(err)
		}
	}
}

// makeImage runs mkfs.erofs.
func makeImage(t testing.TB, dir string, args ...string) []byte {
	tool, err := exec.LookPath("mkfs.erofs")
	if err != nil {
		t.Skip("needs mkfs.erofs (erofs-utils)")
	}
	file := filepath.Join(t.TempDir(), "image")
	out, err := exec.Command(tool, append(args, file, dir)...).CombinedOutput()
	if err != nil {
		t.Fatalf("mkfs.erofs: %v\n%s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// bytesDevice is an image that is read like a disk's.
type bytesDevice []byte

func (d bytesDevice) Size() int64 { return int64(len(d)) &^ 4095 }

func (d bytesDevice) ReadFrames(frames []frame.Frame, off int64) error {
	for i, f := range frames {
		copy(f.Bytes(), d[off+int64(i)*4096:])
	}
	return nil
}

func (d bytesDevice) Resident(int64) (frame.Frame, bool) { return 0, false }

// memoryDevice is an image in frames.
type memoryDevice []frame.Frame

func newMemoryDevice(b []byte) memoryDevice {
	var d memoryDevice
	for ; len(b) >= 4096; b = b[4096:] {
		f := frame.Alloc()
		copy(f.Bytes(), b)
		d = append(d, f)
	}
	return d
}

func (d memoryDevice) free() {
	for _, f := range d {
		f.Unref()
	}
}

func (d memoryDevice) Size() int64 { return int64(len(d)) * 4096 }

func (d memoryDevice) ReadFrames(frames []frame.Frame, off int64) error {
	for i, f := range frames {
		copy(f.Bytes(), d[int(off/4096)+i].Bytes())
	}
	return nil
}

func (d memoryDevice) Resident(off int64) (frame.Frame, bool) { return d[off/4096], true }

func TestOverlayAgainstHost(t *testing.T) {
	src := hostDir(t)
	populate(t, src)
	for _, layout := range [][]string{nil, {"-Eforce-inode-extended"}, {"-Enoinline_data"}, {"--chunksize=4096"}} {
		image := makeImage(t, src, layout...)
		for seed := range max(runs(t)/4, 2) {
			dir := hostDir(t)
			populate(t, dir)
			var dev erofs.Device = bytesDevice(image)
			if seed%2 == 0 {
				m := newMemoryDevice(image)
				defer m.free()
				dev = m
			}
			lower, err := erofs.Open(dev)
			if err != nil {
				t.Fatalf("%v: %v", layout, err)
			}
			top, err := overlay.New(lower, 0)
			if err != nil {
				t.Fatal(err)
			}
			s := ours(t, top)
			s.chmod("/", 0o755)
			inHostRoot(t, dir, func() { compare(t, seed, 300, hostSystem{}, s) })
			if t.Failed() {
				t.Logf("layout %v", layout)
				return
			}
		}
	}
}
