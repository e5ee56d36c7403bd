package procfs

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/frame"
	"gosv/kernel/mm"
	"gosv/kernel/sysctl"
	"gosv/kernel/vfs"
)

// fake is a process with one thread, and the table that has it.
type fake struct {
	pid   int
	comm  string
	as    *mm.AddressSpace
	files *vfs.FDTable
	fs    *vfs.FSContext
	creds *vfs.Creds
	adj   int
	argv  uint64
}

func (f *fake) PIDs() []int { return []int{f.pid} }
func (f *fake) Process(pid int) Process {
	if pid == f.pid {
		return fakeProcess{f}
	}
	return nil
}
func (f *fake) Counts() Counts {
	return Counts{Threads: 1, Running: 1, Forks: 2, LastPID: f.pid, Load: [3]uint64{2048, 1024, 100}}
}

type fakeProcess struct{ *fake }

func (p fakeProcess) PID() int       { return p.pid }
func (p fakeProcess) Threads() []int { return []int{p.pid} }
func (p fakeProcess) Thread(tid int) Thread {
	if tid == p.pid {
		return fakeThread(p)
	}
	return nil
}
func (p fakeProcess) Leader() Thread { return fakeThread(p) }
func (p fakeProcess) Exe() (vfs.Path, bool) {
	at, err := p.fs.Lookup(vfs.Kernel(), "/bin/prog")
	return at, err == nil
}
func (p fakeProcess) Space() *mm.AddressSpace { p.as.Retain(); return p.as }
func (p fakeProcess) Layout() Layout {
	return Layout{StartCode: 0x400000, ArgStart: p.argv, ArgEnd: p.argv + 8, EnvStart: p.argv + 8, EnvEnd: p.argv + 12}
}
func (p fakeProcess) Auxv() []byte { return make([]byte, 16) }
func (p fakeProcess) Limits() (l [16]Limit) {
	for i := range l {
		l[i] = Limit{^uint64(0), ^uint64(0)}
	}
	l[unix.RLIMIT_NOFILE] = Limit{1024, 4096}
	return l
}
func (p fakeProcess) CoreFilter() uint32   { return 0x33 }
func (p fakeProcess) SetCoreFilter(uint32) {}
func (p fakeProcess) OOMScoreAdj() int     { return p.adj }
func (p fakeProcess) SetOOMScoreAdj(n int) { p.fake.adj = n }

type fakeThread struct{ *fake }

func (f *fake) IO() IO                         { return IO{ReadBytes: 1, WrittenBytes: 2, Reads: 3, Writes: 4} }
func (f *fake) Children() []int                { return []int{8, 9} }
func (f *fake) Timers() []Timer                { return []Timer{{ID: 1, Signal: 14, Target: 7}} }
func (t fakeThread) TimerSlack() uint64        { return 50000 }
func (t fakeThread) SetTimerSlack(uint64)      {}
func (t fakeThread) TID() int                  { return t.pid }
func (t fakeThread) Process() Process          { return fakeProcess(t) }
func (t fakeThread) Comm() string              { return t.comm }
func (t fakeThread) SetComm(s string)          { t.fake.comm = s }
func (t fakeThread) Creds() *vfs.Creds         { return t.creds }
func (t fakeThread) Files() *vfs.FDTable       { return t.files }
func (t fakeThread) FSContext() *vfs.FSContext { return t.fs }
func (t fakeThread) State(st *State) {
	*st = State{State: 'R', PID: t.pid, PPID: 0, PGRP: t.pid, SID: t.pid, TTYGroup: -1, Threads: 1, Priority: 20, Syscall: -1,
		ExitSignal: int(unix.SIGCHLD)}
}

// world is the one tree that all tests of the package share.
var world = sync.OnceValue(func() *fake {
	frame.Init([]frame.Region{{Base: cpu.ArenaBase, Size: 64 << 20}})
	as, err := mm.New()
	if err != nil {
		panic(err)
	}
	root := vfs.NewStaticDir(0o755)
	root.Subdir("proc")
	root.Subdir("bin").Add("prog", vfs.NewReadOnlyFile(func() []byte { return []byte("x") }))
	if _, err := vfs.MountRoot(&vfs.SynthFS{Name: "rootfs", Top: root}, "", 0); err != nil {
		panic(err)
	}
	f := &fake{pid: 7, comm: "prog (1)", as: as, files: vfs.NewFDTable(1024), fs: vfs.NewFSContext(), creds: &vfs.RootCreds}
	argv, err := as.Mmap(mm.MapArgs{Len: 8192, Prot: mm.ProtRead | mm.ProtWrite, Flags: unix.MAP_PRIVATE | unix.MAP_ANONYMOUS, Name: "[stack]"})
	if err != nil {
		panic(err)
	}
	f.argv = argv
	as.CopyOut(argv, []byte("prog\x00-x\x00A=b\x00"))
	at, err := f.fs.Lookup(vfs.Kernel(), "/proc")
	if err != nil {
		panic(err)
	}
	cfg := Config{Processes: f, Release: "6.12.0-gosv", Version: "#1", CommandLine: "x"}
	if _, err := vfs.MountAt(at, New(cfg), "proc", unix.MS_NOSUID); err != nil {
		panic(err)
	}
	return f
})

func (f *fake) caller() vfs.Caller { return vfs.Caller{Creds: f.creds, Task: fakeThread{f}} }

func (f *fake) open(path string, flags uint32) (*vfs.File, error) {
	return f.fs.Open(f.caller(), nil, path, flags, 0)
}

func readAll(f *vfs.File) ([]byte, error) {
	var all []byte
	for {
		b := make([]byte, 1000)
		buf := mm.KernelBuf(b)
		n, err := f.Read(nil, &buf)
		all = append(all, b[:n]...)
		if err != nil || n == 0 {
			return all, err
		}
	}
}

func (f *fake) read(t *testing.T, path string) string {
	t.Helper()
	file, err := f.open(path, 0)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer file.Release()
	b, err := readAll(file)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return string(b)
}

// walk visits every file, as find(1) would.
func (f *fake) walk(t *testing.T, dir string, visit func(path string, typ uint8)) {
	d, err := f.open(dir, unix.O_DIRECTORY)
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	defer d.Release()
	var entries []vfs.Dirent
	if err := d.ReadDir(func(e vfs.Dirent) bool { entries = append(entries, e); return true }); err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	if len(entries) < 2 || entries[0].Name != "." || entries[1].Name != ".." {
		t.Errorf("%s: entries start with %v", dir, entries)
	}
	for _, e := range entries[min(2, len(entries)):] {
		path := dir + "/" + e.Name
		var st vfs.Stat
		if err := f.fs.Stat(f.caller(), nil, path, unix.AT_SYMLINK_NOFOLLOW, &st); err != nil {
			t.Errorf("%s is listed, but: %v", path, err)
			continue
		}
		if vfs.DirentType(st.Mode) != e.Type {
			t.Errorf("%s: mode %o, listed as type %d", path, st.Mode, e.Type)
		}
		visit(path, e.Type)
		if e.Type == unix.DT_DIR {
			f.walk(t, path, visit)
		}
	}
}

func TestEverythingCanBeRead(t *testing.T) {
	f := world()
	n := 0
	f.walk(t, "/proc", func(path string, typ uint8) {
		n++
		switch typ {
		case unix.DT_REG:
			if strings.HasSuffix(path, "/mem") || strings.HasSuffix(path, "/pagemap") || path == "/proc/sys/vm/drop_caches" {
				break // at 0 there is nothing; endless; can only be written
			}
			f.read(t, path)
		case unix.DT_LNK:
			if _, err := f.fs.Readlink(f.caller(), nil, path); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	})
	if n < 120 {
		t.Errorf("only %d files", n)
	}
}

// keys returns the names in front of the colons.
func keys(text string) (k []string) {
	for l := range strings.Lines(text) {
		if name, _, ok := strings.Cut(l, ":"); ok {
			k = append(k, strings.TrimSpace(name))
		}
	}
	return k
}

// TestLinesOfLinux compares names and their order with the host's files: ours
// are among them, in the same order.
func TestLinesOfLinux(t *testing.T) {
	f := world()
	for _, name := range []string{"self/status", "meminfo", "self/smaps", "cpuinfo", "self/fdinfo/0"} {
		host, err := os.ReadFile("/proc/" + name)
		if err != nil {
			t.Log(err)
			continue
		}
		if name == "self/fdinfo/0" {
			file, err := f.open("/bin/prog", 0)
			if err != nil {
				t.Fatal(err)
			}
			f.files.Install(file, true)
			defer f.files.Close(0)
		}
		have := keys(string(host))
		at := 0
		for _, k := range keys(f.read(t, "/proc/"+name)) {
			if strings.Contains(k, "-") && name == "self/smaps" {
				at = 0
				continue
			}
			if k == "processor" {
				at = 0
			}
			i := slices.Index(have[at:], k)
			if i < 0 {
				switch k {
				case "NFS_Unstable", "WritebackTmp", "cache size", "VmallocChunk", "bugs", "clflush size": // come and go between versions and machines
					continue
				}
				t.Errorf("%s: %q is not a line of the host's, or not after %q", name, k, have[max(at-1, 0)])
				continue
			}
			at += i + 1
		}
	}
}

func TestFormats(t *testing.T) {
	f := world()
	for path, want := range map[string]string{
		"/proc/self/stat":               `^7 \(prog \(1\)\) R 0 7 7 0 -1 4194304( \d+){12} 0 \d+ \d+ \d+ \d+( \d+)*\n$`,
		"/proc/self/statm":              `^\d+( \d+){6}\n$`,
		"/proc/self/comm":               `^prog \(1\)\n$`,
		"/proc/self/cmdline":            "^prog\x00-x\x00$",
		"/proc/self/environ":            "^A=b\x00$",
		"/proc/self/maps":               `(?m)^[0-9a-f]{8,}-[0-9a-f]{8,} rw-p 00000000 00:00 0 {26}\[stack\]$`,
		"/proc/self/limits":             `(?m)^Max open files            1024                 4096                 files     $`,
		"/proc/self/mounts":             `(?m)^proc /proc proc rw,nosuid,relatime 0 0$`,
		"/proc/mounts":                  `(?m)^none / rootfs rw,relatime 0 0$`,
		"/proc/self/mountinfo":          `(?m)^\d+ \d+ \d+:\d+ / /proc rw,nosuid,relatime - proc proc rw$`,
		"/proc/uptime":                  `^\d+\.\d\d \d+\.\d\d\n$`,
		"/proc/loadavg":                 `^1\.00 0\.50 0\.05 1/1 7\n$`,
		"/proc/stat":                    `^cpu  \d+( \d+){9}\ncpu0 \d+( \d+){9}\n`,
		"/proc/version":                 `^Linux version 6\.12\.0-gosv .*#1\n$`,
		"/proc/sys/kernel/random/uuid":  `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n$`,
		"/proc/sys/kernel/test/name":    `^old\n$`,
		"/proc/thread-self/comm":        `^prog \(1\)\n$`,
		"/proc/7/task/7/status":         `(?m)^Pid:\t7$`,
		"/proc/self/oom_score_adj":      `^0\n$`,
		"/proc/self/status":             `(?m)^Name:\tprog \(1\)\nUmask:\t0022\nState:\tR \(running\)\nTgid:\t7$`,
		"/proc/meminfo":                 `^MemTotal:        {0,7}\d+ kB\nMemFree:         {0,7}\d+ kB\n`,
		"/proc/sys/vm/overcommit_ratio": `^50\n$`,
		"/proc/sys/kernel/overflowuid":  `^65534\n$`,
		"/proc/self/cgroup":             `^0::/\n$`,
		"/proc/filesystems":             ``,
		"/proc/self/syscall":            `^running\n$`,
		"/proc/sys/fs/file-nr":          `^\d+\t0\t\d+\n$`,
	} {
		if got := f.read(t, path); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: %q does not match %q", path, got, want)
		}
	}
	if n := len(strings.Fields(f.read(t, "/proc/self/stat"))); n != 53 { // the name has a space
		t.Errorf("stat has %d fields", n-1)
	}
	if s, err := f.fs.Readlink(f.caller(), nil, "/proc/self/exe"); err != nil || s != "/bin/prog" {
		t.Errorf("exe: %q, %v", s, err)
	}
	if s, err := f.fs.Readlink(f.caller(), nil, "/proc/self"); err != nil || s != "7" {
		t.Errorf("self: %q, %v", s, err)
	}
	for _, path := range []string{"/proc/8", "/proc/07", "/proc/self/fd/99", "/proc/self/task/8", "/proc/self/nothing"} {
		if _, err := f.open(path, 0); err != unix.ENOENT {
			t.Errorf("%s: %v", path, err)
		}
	}
}

var (
	settingName = "old"
	testRows    = [...]sysctl.Row{{Name: "kernel.test.name", Value: &sysctl.String{Max: 16, Get: func() string { return settingName },
		Set: func(s string) error { settingName = s; return nil }}}}
)

func init() { sysctl.Register(testRows[:]) }

// TestSettings walks the tree: each row is there once.
func TestSettings(t *testing.T) {
	seen := map[string]bool{}
	f := world()
	sysctl.Each(func(r *sysctl.Row) {
		if seen[r.Path()] {
			t.Errorf("%s is declared twice", r.Name)
		}
		seen[r.Path()] = true
		if _, err := f.open("/proc/sys/"+r.Path(), 0); err != nil && r.Permissions()&0o400 != 0 {
			t.Errorf("%s: %v", r.Name, err)
		}
	})
}

func write(f *fake, path, text string) error {
	file, err := f.open(path, unix.O_WRONLY|unix.O_TRUNC)
	if err != nil {
		return err
	}
	defer file.Release()
	b := mm.KernelBuf([]byte(text))
	_, err = file.Write(nil, &b)
	return err
}

func TestWrite(t *testing.T) {
	f := world()
	defer func() { f.comm = "prog (1)" }()
	if err := write(f, "/proc/self/comm", "a name that is too long\n"); err != nil || f.comm != "a name that is " {
		t.Errorf("comm %q, %v", f.comm, err)
	}
	if err := write(f, "/proc/self/oom_score_adj", "500\n"); err != nil || f.adj != 500 {
		t.Errorf("oom_score_adj %d, %v", f.adj, err)
	}
	if err := write(f, "/proc/self/oom_score_adj", "5000"); err != unix.EINVAL {
		t.Errorf("oom_score_adj 5000: %v", err)
	}
	f.adj = 0
	if err := write(f, "/proc/sys/kernel/test/name", "new\n"); err != nil || f.read(t, "/proc/sys/kernel/test/name") != "new\n" {
		t.Errorf("a setting: %v", err)
	}
	if err := write(f, "/proc/sys/vm/swappiness", "1"); err != unix.EACCES {
		t.Errorf("swappiness: %v", err)
	}
}

func TestMem(t *testing.T) {
	f := world()
	m, err := f.open("/proc/self/mem", unix.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	b := make([]byte, 8192)
	buf := mm.KernelBuf(b)
	if n, err := m.ReadAt(nil, &buf, int64(f.argv)+5); n != 8192-5 || err != nil || string(b[:2]) != "-x" {
		t.Errorf("%d, %v, %q", n, err, b[:2])
	}
	buf = mm.KernelBuf([]byte("hello"))
	if _, err := m.WriteAt(nil, &buf, int64(f.argv)+4000); err != nil {
		t.Error(err)
	}
	if f.as.CopyIn(b[:5], f.argv+4000); string(b[:5]) != "hello" {
		t.Errorf("wrote %q", b[:5])
	}
	buf = mm.KernelBuf(b)
	if _, err := m.ReadAt(nil, &buf, 4096); err != unix.EIO {
		t.Error(err)
	}
	if _, err := f.open("/proc/new", unix.O_CREAT|unix.O_WRONLY); err != unix.ENOENT {
		t.Error(err)
	}
}

func TestFDs(t *testing.T) {
	f := world()
	file, err := f.open("/bin/prog", 0)
	if err != nil {
		t.Fatal(err)
	}
	fd, _ := f.files.Install(file, false)
	defer f.files.Close(fd)
	path := "/proc/self/fd/" + strconv.Itoa(fd)
	if s, err := f.fs.Readlink(f.caller(), nil, path); err != nil || s != "/bin/prog" {
		t.Errorf("link %q, %v", s, err)
	}
	if got := f.read(t, path); got != "x" {
		t.Errorf("opened again: %q", got)
	}
	if got := f.read(t, "/proc/self/fdinfo/"+strconv.Itoa(fd)); !strings.HasPrefix(got, "pos:\t0\nflags:\t0100000\nmnt_id:\t") {
		t.Errorf("fdinfo %q", got)
	}
	// Others do not see it.
	nobody := &vfs.Creds{UID: 1, EUID: 1, SUID: 1, FSUID: 1}
	if _, err := f.fs.Readlink(vfs.Caller{Creds: nobody}, nil, "/proc/7/exe"); err != unix.EACCES {
		t.Errorf("exe for somebody else: %v", err)
	}
}

func TestCPUList(t *testing.T) {
	for _, c := range []struct {
		m    uint64
		want string
	}{{0, ""}, {1, "0"}, {3, "0-1"}, {0xb1, "0,4-5,7"}, {1 << 63, "63"}} {
		if got := appendCPUList(nil, []uint64{c.m}); string(got) != c.want {
			t.Errorf("%#x: %q, want %q", c.m, got, c.want)
		}
	}
}
