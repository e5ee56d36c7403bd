package devfs

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/frame"
	"gosv/kernel/fs/sysfs"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

type noTerminal struct{}

func (noTerminal) OpenDevice(_ vfs.Caller, tty bool) (vfs.FileImpl, error) {
	if tty {
		return nil, unix.ENXIO
	}
	return &null{}, nil
}

func TestDevices(t *testing.T) {
	frame.Init([]frame.Region{{Base: cpu.ArenaBase, Size: 16 << 20}})
	root := vfs.NewStaticDir(0o755)
	root.Subdir("dev")
	root.Subdir("sys")
	if _, err := vfs.MountRoot(&vfs.SynthFS{Name: "rootfs", Top: root}, "", 0); err != nil {
		t.Fatal(err)
	}
	fs := vfs.NewFSContext()
	for path, f := range map[string]vfs.Filesystem{"/dev": New(noTerminal{}), "/sys": sysfs.New()} {
		at, err := fs.Lookup(vfs.Kernel(), path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := vfs.MountAt(at, f, "none", 0); err != nil {
			t.Fatal(err)
		}
	}
	open := func(path string) *vfs.File {
		t.Helper()
		f, err := fs.Open(vfs.Kernel(), nil, path, unix.O_RDWR, 0)
		if err != nil {
			t.Fatal(path, err)
		}
		return f
	}
	read := func(path string, n int) []byte {
		f, err := fs.Open(vfs.Kernel(), nil, path, unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(path, err)
		}
		defer f.Release()
		b := bytes.Repeat([]byte{0xaa}, n)
		buf := mm.KernelBuf(b)
		got, err := f.Read(nil, &buf)
		if err != nil {
			t.Error(path, err)
		}
		return b[:got]
	}
	write := func(path string) error {
		f := open(path)
		defer f.Release()
		buf := mm.KernelBuf(make([]byte, 700))
		n, err := f.Write(nil, &buf)
		if err == nil && n != 700 {
			t.Errorf("%s: wrote %d", path, n)
		}
		return err
	}
	if b := read("/dev/null", 5000); len(b) != 0 {
		t.Errorf("null gave %d bytes", len(b))
	}
	for _, path := range []string{"/dev/zero", "/dev/full"} {
		if b := read(path, 5000); len(b) != 5000 || bytes.ContainsFunc(b, func(r rune) bool { return r != 0 }) {
			t.Errorf("%s gave %d bytes", path, len(b))
		}
	}
	for _, path := range []string{"/dev/random", "/dev/urandom"} {
		a, b := read(path, 5000), read(path, 5000)
		if len(a) != 5000 || bytes.Equal(a, b) || bytes.Contains(a, make([]byte, 16)) {
			t.Errorf("%s is not random", path)
		}
	}
	for path, want := range map[string]error{"/dev/null": nil, "/dev/zero": nil, "/dev/full": unix.ENOSPC, "/dev/urandom": nil} {
		if err := write(path); err != want {
			t.Errorf("%s: write: %v", path, err)
		}
	}
	if _, err := fs.Open(vfs.Kernel(), nil, "/dev/tty", 0, 0); err != unix.ENXIO {
		t.Errorf("tty: %v", err)
	}
	open("/dev/console").Release()
	var st vfs.Stat
	if err := fs.Stat(vfs.Kernel(), nil, "/dev/full", 0, &st); err != nil || st.Mode != unix.S_IFCHR|0o666 || st.Rdev != unix.Mkdev(1, 7) {
		t.Errorf("full: %+v, %v", st, err)
	}
	if s, err := fs.Readlink(vfs.Kernel(), nil, "/dev/stdout"); err != nil || s != "/proc/self/fd/1" {
		t.Errorf("stdout: %q, %v", s, err)
	}

	// A private mapping of zero is memory.
	as, err := mm.New()
	if err != nil {
		t.Fatal(err)
	}
	f := open("/dev/zero")
	at, err := as.Mmap(mm.MapArgs{Len: 1 << 20, Prot: mm.ProtRead | mm.ProtWrite, Flags: unix.MAP_PRIVATE, File: f})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := as.Load32(at + 123456); v != 0 || err != nil {
		t.Error(v, err)
	}
	if err := as.Store32(at+123456, 7); err != nil {
		t.Error(err)
	}
	as.Release()
	f.Release()

	for path, want := range map[string]string{
		"/sys/devices/system/cpu/kernel_max":                          "255\n",
		"/sys/devices/system/cpu/cpu0/topology/physical_package_id":   "0\n",
		"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size":          "2097152\n",
		"/sys/devices/system/node/node0/cpu0/topology/core_cpus_list": "0\n",
	} {
		if got := read(path, 100); string(got) != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}
