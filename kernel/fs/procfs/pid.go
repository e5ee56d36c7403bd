package procfs

import (
	"bytes"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

// processDir is /proc/PID.
type processDir struct {
	*vfs.StaticDir
	p Process
}

// DirectoryOf returns the process whose directory in /proc a file is, nil if it is
// none.
func DirectoryOf(f *vfs.File) Process {
	if d, ok := f.Inode().(*processDir); ok {
		return d.p
	}
	return nil
}

// Create refuses as Linux does, where even asking for a name fails.
func (*processDir) Create(string, *vfs.CreateArgs) (vfs.Inode, error) { return nil, unix.ENOENT }

// tree adds files to the directory of a process or thread.
type tree struct {
	fs       *FS
	d        *vfs.StaticDir
	p        Process
	t        func() Thread // the leader in /proc/PID
	uid, gid uint32
	whole    bool // a process, not a thread of it
}

func (fs *FS) newProcessDir(p Process, uid, gid uint32) *processDir {
	d := vfs.NewStaticDir(0o555)
	d.UID, d.GID = uid, gid
	w := tree{fs, d, p, p.Leader, uid, gid, true}
	w.addExe()
	d.Lazily(func(*vfs.StaticDir) {
		w.add()
		d.Add("net", fs.net)
		d.Add("task", w.dir(0o555, &taskNames{fs: fs, p: p, threads: map[int]*vfs.StaticDir{}}))
	})
	return &processDir{d, p}
}

func (w *tree) dir(perm uint32, names vfs.Directory) *vfs.DynamicDir {
	n := vfs.NewDynamicDir(perm, names)
	n.UID, n.GID = w.uid, w.gid
	return n
}

// file adds a file whose content f appends.
func (w *tree) file(name string, perm uint32, f func(b []byte) ([]byte, error)) *vfs.ContentFile {
	n := vfs.NewContentFile(perm, func(vfs.Caller) ([]byte, error) { return f(make([]byte, 0, 512)) })
	n.UID, n.GID = w.uid, w.gid
	w.d.Add(name, n)
	return n
}

// private adds a file that only those may read who may inspect the process.
func (w *tree) private(name string, perm uint32, f func(b []byte) ([]byte, error)) {
	n := w.file(name, perm, nil)
	p := w.p
	n.Content = func(c vfs.Caller) ([]byte, error) {
		if err := mayInspect(c, p); err != nil {
			return nil, err
		}
		return f(make([]byte, 0, 512))
	}
}

// link adds a link that leads to what goal returns.
func (w *tree) link(name string, goal func() (vfs.Path, bool)) {
	p := w.p
	find := func(c vfs.Caller) (vfs.Path, error) {
		if err := mayInspect(c, p); err != nil {
			return vfs.Path{}, err
		}
		at, ok := goal()
		if !ok {
			return vfs.Path{}, unix.ENOENT
		}
		return at, nil
	}
	n := vfs.NewMagicLink(func(c vfs.Caller) (string, error) {
		at, err := find(c)
		if err != nil {
			return "", err
		}
		return at.String(rootOf(c)), nil
	}, find)
	n.UID, n.GID = w.uid, w.gid
	w.d.Add(name, n)
}

// rootOf returns the root directory of the caller.
func rootOf(c vfs.Caller) vfs.Path {
	if t := current(c); t != nil {
		if x := t.FSContext(); x != nil {
			return x.Root()
		}
	}
	return vfs.Path{}
}

// addExe adds the one file that every program of glibc asks for.
func (w *tree) addExe() {
	p := w.p
	w.link("exe", func() (vfs.Path, bool) {
		at, ok := p.Exe()
		if ok {
			at.Unpin() // nothing leaves the tree while a link is followed
		}
		return at, ok
	})
}

// add adds all files but exe.
func (w *tree) add() {
	p, thread := w.p, w.t
	space := func(f func(b []byte, as *mm.AddressSpace) ([]byte, error)) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) {
			as := p.Space()
			if as == nil {
				return b, nil // a zombie has no memory: its files are empty
			}
			defer as.Release()
			return f(b, as)
		}
	}
	must := func(f func(b []byte, t Thread) []byte) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) {
			t := thread()
			if t == nil {
				return nil, unix.ESRCH
			}
			return f(b, t), nil
		}
	}

	w.file("status", 0o444, must(func(b []byte, t Thread) []byte { return appendStatus(b, t) }))
	w.file("stat", 0o444, must(func(b []byte, t Thread) []byte { return appendStat(b, t, w.whole) }))
	w.file("statm", 0o444, space(func(b []byte, as *mm.AddressSpace) ([]byte, error) { return appendStatm(b, as), nil }))
	w.file("schedstat", 0o444, must(appendSchedstat))
	w.file("cmdline", 0o444, space(func(b []byte, as *mm.AddressSpace) ([]byte, error) { return readArgs(as, p.Layout()) }))
	w.private("environ", 0o400, space(func(b []byte, as *mm.AddressSpace) ([]byte, error) {
		l := p.Layout()
		return readMemory(as, l.EnvStart, l.EnvEnd)
	}))
	w.private("auxv", 0o400, func(b []byte) ([]byte, error) { return append(b, p.Auxv()...), nil })
	w.private("maps", 0o444, space(func(b []byte, as *mm.AddressSpace) ([]byte, error) { return appendMaps(b, as, false), nil }))
	w.private("smaps", 0o444, space(func(b []byte, as *mm.AddressSpace) ([]byte, error) { return appendMaps(b, as, true), nil }))
	w.private("smaps_rollup", 0o444, space(func(b []byte, as *mm.AddressSpace) ([]byte, error) { return appendRollup(b, as), nil }))
	w.file("limits", 0o444, func(b []byte) ([]byte, error) { return appendLimits(b, p.Limits()), nil })
	w.file("cgroup", 0o444, func(b []byte) ([]byte, error) { return append(b, "0::/\n"...), nil })
	w.file("cpuset", 0o444, func(b []byte) ([]byte, error) { return append(b, "/\n"...), nil })
	w.file("loginuid", 0o644, func(b []byte) ([]byte, error) { return append(b, "4294967295"...), nil })
	w.file("sessionid", 0o444, func(b []byte) ([]byte, error) { return append(b, "4294967295"...), nil })
	w.private("personality", 0o400, must(func(b []byte, t Thread) []byte {
		var st State
		t.State(&st)
		return append(hex(b, uint64(st.Personality), 8), '\n')
	}))
	for _, name := range []string{"uid_map", "gid_map"} {
		w.file(name, 0o644, func(b []byte) ([]byte, error) { return append(b, "         0          0 4294967295\n"...), nil })
	}
	w.file("setgroups", 0o644, func(b []byte) ([]byte, error) { return append(b, "allow\n"...), nil })
	w.file("wchan", 0o444, must(func(b []byte, t Thread) []byte {
		var st State
		t.State(&st)
		if st.WaitChannel == "" {
			return append(b, '0')
		}
		return append(b, st.WaitChannel...)
	}))
	w.private("syscall", 0o400, must(appendSyscall))
	comm := w.file("comm", 0o644, must(func(b []byte, t Thread) []byte { return append(append(b, t.Comm()...), '\n') }))
	comm.Write = func(c vfs.Caller, b []byte) error {
		if me := current(c); me == nil || me.Process() != p {
			return unix.EINVAL // comm(5): only the process itself
		}
		t := thread()
		if t == nil {
			return unix.ESRCH
		}
		name, _, _ := strings.Cut(string(b), "\x00")
		name, _, _ = strings.Cut(name, "\n")
		t.SetComm(name[:min(len(name), 15)])
		return nil
	}
	adj := w.file("oom_score_adj", 0o644, func(b []byte) ([]byte, error) {
		return append(strconv.AppendInt(b, int64(p.OOMScoreAdj()), 10), '\n'), nil
	})
	adj.Write = func(c vfs.Caller, b []byte) error {
		v, err := strconv.Atoi(string(bytes.TrimSpace(b)))
		if err != nil || v < -1000 || v > 1000 {
			return unix.EINVAL
		}
		return setOOMScoreAdj(c, p, v)
	}
	w.addCoreFilter()
	w.file("oom_score", 0o444, func(b []byte) ([]byte, error) { return append(b, oomScore(p)...), nil })

	mounts := func(form func([]byte, vfs.Path) []byte) func([]byte) ([]byte, error) {
		return must(func(b []byte, t Thread) []byte {
			if x := t.FSContext(); x != nil {
				return form(b, x.Root())
			}
			return b
		})
	}
	w.file("mounts", 0o444, mounts(appendMounts))
	w.file("mountinfo", 0o444, mounts(appendMountinfo))

	w.link("cwd", func() (vfs.Path, bool) { return fsPath(thread(), (*vfs.FSContext).Cwd) })
	w.link("root", func() (vfs.Path, bool) { return fsPath(thread(), (*vfs.FSContext).Root) })
	fds := func(info bool) *fdNames {
		return &fdNames{p: p, t: thread, uid: w.uid, gid: w.gid, info: info, nodes: map[int]fdNode{}}
	}
	w.d.Add("fd", w.dir(0o500, fds(false)))
	w.d.Add("fdinfo", w.dir(0o555, fds(true)))
	w.addMem()
	w.addMore(must, space)
}

func fsPath(t Thread, which func(*vfs.FSContext) vfs.Path) (vfs.Path, bool) {
	if t != nil {
		if x := t.FSContext(); x != nil {
			return which(x), true
		}
	}
	return vfs.Path{}, false
}

// taskNames is the Directory of /proc/PID/task.
type taskNames struct {
	fs *FS
	p  Process

	mu      sync.Mutex
	threads map[int]*vfs.StaticDir
}

func (n *taskNames) Lookup(_ vfs.Caller, name string) (vfs.Inode, error) {
	tid, ok := number(name)
	if !ok || n.p.Thread(tid) == nil {
		return nil, unix.ENOENT
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.threads[tid]
	if d == nil {
		for id := range n.threads {
			if n.p.Thread(id) == nil {
				delete(n.threads, id)
			}
		}
		uid, gid := owner(n.p)
		d = vfs.NewStaticDir(0o555)
		d.UID, d.GID = uid, gid
		w := tree{n.fs, d, n.p, func() Thread { return n.p.Thread(tid) }, uid, gid, false}
		w.addExe()
		d.Lazily(func(*vfs.StaticDir) { w.add() })
		n.threads[tid] = d
	}
	return d, nil
}

func (n *taskNames) Names(_ vfs.Caller, after int64, emit func(int64, string, uint64, uint8) bool) error {
	for _, tid := range n.p.Threads() {
		if key := int64(tid) + 2; key > after && !emit(key, strconv.Itoa(tid), uint64(tid)<<32|1, unix.DT_DIR) {
			break
		}
	}
	return nil
}

// maxArgs bounds what is read of a program's arguments and environment.
const maxArgs = 2 << 20

// readMemory returns user memory as far as it can be read.
func readMemory(as *mm.AddressSpace, start, end uint64) ([]byte, error) {
	if start == 0 || end <= start {
		return nil, nil
	}
	b := make([]byte, min(end-start, maxArgs))
	if as.CopyIn(b, start) == nil {
		return b, nil
	}
	// Page by page, up to the first that cannot be read.
	for n := 0; n < len(b); {
		k := min(len(b)-n, 4096-int((start+uint64(n))%4096))
		if as.CopyIn(b[n:n+k], start+uint64(n)) != nil {
			return b[:n], nil
		}
		n += k
	}
	return b, nil
}

// readArgs returns the arguments. A program that writes a title over them
// (setproctitle(3)) has overwritten the last byte, a zero; what it wrote may go
// on in the environment.
func readArgs(as *mm.AddressSpace, l Layout) ([]byte, error) {
	b, err := readMemory(as, l.ArgStart, l.ArgEnd)
	if err != nil || len(b) == 0 || b[len(b)-1] == 0 {
		return b, err
	}
	if l.EnvStart == l.ArgEnd {
		if env, _ := readMemory(as, l.EnvStart, l.EnvEnd); len(env) > 0 {
			b = append(b, env...)
		}
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i+1]
	}
	return b, nil
}
