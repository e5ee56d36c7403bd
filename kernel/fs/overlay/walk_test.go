package overlay_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/fs/tmpfs"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

func newTmpfs() *tmpfs.FS { return tmpfs.New(tmpfs.Options{Mode: 0o755, HasMode: true}) }

// Walks, changes and the pruning of the dentry cache run together.
func TestConcurrent(t *testing.T) {
	vfs.SetMaxDentries(256)
	defer vfs.SetMaxDentries(8192)
	s := ours(t, newTmpfs())
	var wg sync.WaitGroup
	for seed := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(seed), 5))
			x := ourSystem{s.fs.Clone(), s.c}
			defer x.fs.Release()
			for i := range 3000 {
				st := randomStep(r)
				st.do(x)
				x.stat(fmt.Sprintf("/missing%d", i%700), true)
			}
		})
	}
	wg.Wait()
	var b strings.Builder
	s.chdir("/")
	tree(s, "/", &b)
	if strings.Contains(b.String(), "no such file") {
		t.Errorf("a listed name is missing:\n%s", b.String())
	}
}

func TestResolve(t *testing.T) {
	s := ours(t, newTmpfs())
	s.mkdir("/d", 0o755)
	s.mkdir("/d/e", 0o755)
	s.open("/d/f", unix.O_CREAT, 0o644)
	s.symlink("/d/f", "/d/abs")
	s.symlink("../d/f", "/d/up")
	s.symlink("f", "/d/rel")
	dir, err := s.fs.Open(s.c, nil, "/d", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Release()
	for _, c := range []struct {
		path    string
		resolve uint64
		want    error
	}{
		{"f", unix.RESOLVE_BENEATH, nil},
		{"rel", unix.RESOLVE_BENEATH, nil},
		{"abs", unix.RESOLVE_BENEATH, unix.EXDEV},
		{"up", unix.RESOLVE_BENEATH, unix.EXDEV},
		{"e/../f", unix.RESOLVE_BENEATH, nil},
		{"e/../../d/f", unix.RESOLVE_BENEATH, unix.EXDEV},
		{"/f", unix.RESOLVE_IN_ROOT, nil},
		{"../../f", unix.RESOLVE_IN_ROOT, nil},
		{"abs", unix.RESOLVE_IN_ROOT, unix.ENOENT},
		{"rel", unix.RESOLVE_NO_SYMLINKS, unix.ELOOP},
		{"f", linux.RESOLVE_CACHED, nil},
		{"new", linux.RESOLVE_CACHED, unix.EAGAIN},
	} {
		f, err := s.fs.OpenHow(s.c, dir, c.path, vfs.OpenHow{Resolve: c.resolve})
		if err == nil {
			f.Release()
		}
		if err != c.want {
			t.Errorf("%q resolve %#x: %v", c.path, c.resolve, err)
		}
	}
}

func TestPermissions(t *testing.T) {
	root := ours(t, newTmpfs())
	user := ourSystem{root.fs, vfs.Caller{Creds: &vfs.Creds{UID: 7, EUID: 7, SUID: 7, FSUID: 7, GID: 7, EGID: 7, SGID: 7, FSGID: 7}}}
	root.mkdir("/private", 0o700)
	root.mkdir("/sticky", 0)
	root.chmod("/sticky", 0o1777)
	root.open("/sticky/roots", unix.O_CREAT, 0o644)
	check := func(what string, got, want error) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	check("create in the root", user.open("/x", unix.O_CREAT, 0o644), unix.EACCES)
	check("look into a private directory", user.open("/private/x", 0, 0), unix.EACCES)
	check("write a foreign file", user.open("/sticky/roots", unix.O_WRONLY, 0), unix.EACCES)
	check("remove a foreign file", user.unlink("/sticky/roots", false), unix.EPERM)
	check("chmod a foreign file", user.chmod("/sticky/roots", 0o777), unix.EPERM)
	check("create", user.open("/sticky/mine", unix.O_CREAT|unix.O_WRONLY, 0o444), nil)
	check("write a read-only file", user.open("/sticky/mine", unix.O_WRONLY, 0), unix.EACCES)
	check("chmod", user.chmod("/sticky/mine", 0o6755), nil)
	if _, err := user.write("/sticky/mine", 0, 0, []byte("x")); err != nil {
		t.Error(err)
	}
	if st, _ := user.stat("/sticky/mine", true); !strings.HasPrefix(st, "100755 ") {
		t.Errorf("set-user-ID survived a write: %s", st)
	}
	check("give away", user.fs.Chown(user.c, nil, "/sticky/mine", 0, vfs.NoID, 0), unix.EPERM)
	check("remove", user.unlink("/sticky/mine", false), nil)
	check("device", user.mknod("/sticky/dev", unix.S_IFCHR|0o600), unix.EPERM)
}

func TestFull(t *testing.T) {
	fs := tmpfs.New(tmpfs.Options{Size: 40960, Inodes: 4})
	s := ours(t, fs)
	s.open("/f", unix.O_CREAT, 0o644)
	if n, err := s.write("/f", 0, 0, make([]byte, 50000)); n != 40960 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	if _, err := s.write("/f", 0, 40960, []byte("x")); err != unix.ENOSPC {
		t.Errorf("full: %v", err)
	}
	if n, err := s.write("/f", 0, 100, make([]byte, 5000)); n != 5000 || err != nil {
		t.Errorf("overwrite: %d %v", n, err)
	}
	s.truncate("/f", 4096)
	if n, err := s.write("/f", 0, 8192, make([]byte, 50000)); n != 9*4096 || err != nil {
		t.Errorf("after truncate: %d %v", n, err)
	}
	f, err := s.fs.Open(s.c, nil, "/f", unix.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		off    int64
		whence int
		want   int64
	}{{0, unix.SEEK_DATA, 0}, {0, unix.SEEK_HOLE, 4096}, {4096, unix.SEEK_DATA, 8192}, {9000, unix.SEEK_HOLE, 11 * 4096}} {
		if got, err := f.Seek(c.off, c.whence); got != c.want || err != nil {
			t.Errorf("%+v: %d %v", c, got, err)
		}
	}
	// An unlinked file stays until it is closed.
	s.unlink("/f", false)
	b := mm.KernelBuf(make([]byte, 10))
	if n, err := f.ReadAt(nil, &b, 0); n != 10 || err != nil {
		t.Errorf("unlinked: %d %v", n, err)
	}
	f.Release()
	var st vfs.Statfs
	if fs.Statfs(&st); st.Bfree != 10 {
		t.Errorf("%d pages free after all is gone", st.Bfree)
	}
	for i := range 4 {
		err := s.open(fmt.Sprint(i), unix.O_CREAT, 0o644)
		if (i < 3) != (err == nil) {
			t.Errorf("inode %d: %v", i, err)
		}
	}
}

// A walk over cached names allocates nothing.
func TestWalkAllocations(t *testing.T) {
	s := ours(t, newTmpfs())
	for _, d := range []string{"/usr", "/usr/lib", "/usr/lib/python3"} {
		s.mkdir(d, 0o755)
	}
	s.open("/usr/lib/python3/os.py", unix.O_CREAT, 0o644)
	var st vfs.Stat
	for path, want := range map[string]error{"/usr/lib/python3/os.py": nil, "/usr/lib/python3/missing.py": unix.ENOENT} {
		if n := testing.AllocsPerRun(100, func() {
			if err := s.fs.Stat(s.c, nil, path, 0, &st); err != want {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
}

func BenchmarkStat(b *testing.B) {
	if len(vfs.Mounts()) == 0 {
		vfs.MountRoot(newTmpfs(), "root", 0)
	}
	x := vfs.NewFSContext()
	for _, d := range []string{"/usr", "/usr/lib", "/usr/lib/python3"} {
		x.Mkdir(vfs.Kernel(), nil, d, 0o755)
	}
	var st vfs.Stat
	b.ReportAllocs()
	for b.Loop() {
		x.Stat(vfs.Kernel(), nil, "/usr/lib/python3", 0, &st)
	}
}

// FuzzWalk walks arbitrary paths in a tree with all kinds of links.
func FuzzWalk(f *testing.F) {
	if len(vfs.Mounts()) == 0 {
		vfs.MountRoot(newTmpfs(), "root", 0)
	}
	s := ourSystem{vfs.NewFSContext(), vfs.Kernel()}
	s.mkdir("/d", 0o755)
	for i, l := range []string{"/d", "..", "loop4", "loop3", "d/../self", ".", "//d//", "nowhere"} {
		s.symlink(l, fmt.Sprintf("/d/l%d", i))
	}
	s.symlink("loop", "/d/loop")
	f.Add("/d/l0/l1/d/l6/l5/.", uint32(0))
	f.Add("d/../d//loop/", uint32(unix.O_CREAT))
	f.Fuzz(func(t *testing.T, path string, flags uint32) {
		flags &= unix.O_CREAT | unix.O_NOFOLLOW | unix.O_DIRECTORY | unix.O_PATH | unix.O_EXCL | 3
		file, err := s.fs.Open(s.c, nil, path, flags, 0o600)
		if err != nil {
			return
		}
		name := file.Name(s.fs.Root())
		if !strings.HasPrefix(name, "/") {
			t.Errorf("%q opened as %q", path, name)
		}
		file.Release()
		if flags&unix.O_CREAT != 0 {
			s.unlink(name, false)
		}
	})
}
