package procfs

import (
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/vfs"
)

// Config is what the file system needs of the rest of the kernel. Functions may
// be nil where it says so.
type Config struct {
	Processes Processes

	Release     string // uname -r
	Version     string // uname -v
	CommandLine string // the kernel's

	// CPUTimes returns how long a CPU has been idle, and busy with interrupts, in
	// ns since the boot; nil if nobody counts, and then the idle time is what the
	// threads have not used, in equal parts.
	CPUTimes func(cpu int) (idle, interrupts int64)

	// ConsoleTTY says that /dev/console is a terminal.
	ConsoleTTY bool
}

// FS is the file system.
type FS struct {
	vfs.SynthFS
	cfg  Config
	root *vfs.StaticDir
	net  *vfs.StaticDir

	mu    sync.Mutex
	procs map[int]*processDir
	gone  []string // were in procs
}

// New returns the file system.
func New(cfg Config) *FS {
	fs := &FS{cfg: cfg, root: vfs.NewStaticDir(0o555), procs: make(map[int]*processDir)}
	fs.SynthFS = vfs.SynthFS{Name: "proc", Magic: unix.PROC_SUPER_MAGIC, IsVolatile: true}
	fs.Top = &rootDir{vfs.NewDynamicDir(0o555, (*rootNames)(fs)), fs}
	fs.Top.(*rootDir).SetIno(1)
	fs.root.Add("self", vfs.NewDynamicLink(func(c vfs.Caller) (string, error) {
		t := current(c)
		if t == nil {
			return "", unix.ENOENT
		}
		return strconv.Itoa(t.Process().PID()), nil
	}))
	fs.root.Add("thread-self", vfs.NewDynamicLink(func(c vfs.Caller) (string, error) {
		t := current(c)
		if t == nil {
			return "", unix.ENOENT
		}
		return strconv.Itoa(t.Process().PID()) + "/task/" + strconv.Itoa(t.TID()), nil
	}))
	fs.addNet()
	fs.root.Lazily(func(*vfs.StaticDir) {
		fs.addSystem()
		fs.root.Add("sys", newSettingsDir(new(settings), ""))
	})
	return fs
}

// rootDir is /proc itself.
type rootDir struct {
	*vfs.DynamicDir
	fs *FS
}

// Create refuses as Linux does, where even asking for a name fails.
func (*rootDir) Create(string, *vfs.CreateArgs) (vfs.Inode, error) { return nil, unix.ENOENT }

// Gone implements vfs.Forgetter.
func (d *rootDir) Gone() []string {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	gone := d.fs.gone
	d.fs.gone = nil
	return gone
}

// rootNames is the Directory of /proc: the static names, then the processes.
type rootNames FS

// pidKeys is where the keys of processes start; the static names come before.
const pidKeys = 1 << 16

func (r *rootNames) Lookup(c vfs.Caller, name string) (vfs.Inode, error) {
	if pid, ok := number(name); ok {
		return (*FS)(r).process(pid)
	}
	return r.root.Lookup(c, name)
}

func (r *rootNames) Names(c vfs.Caller, after int64, emit func(int64, string, uint64, uint8) bool) error {
	more := true
	if after < pidKeys {
		err := r.root.Dir.Names(c, after, func(key int64, name string, ino uint64, t uint8) bool {
			more = emit(key, name, ino, t)
			return more
		})
		if err != nil || !more {
			return err
		}
	}
	for _, pid := range r.cfg.Processes.PIDs() {
		if key := int64(pidKeys + pid); key > after {
			n, err := (*FS)(r).process(pid)
			if err != nil {
				continue
			}
			if !emit(key, strconv.Itoa(pid), n.Ino(), unix.DT_DIR) {
				return nil
			}
		}
	}
	return nil
}

// process returns the directory of a process, which stays the same as long as
// the process and its owner do.
func (fs *FS) process(pid int) (*processDir, error) {
	p := fs.cfg.Processes.Process(pid)
	fs.mu.Lock()
	defer fs.mu.Unlock()
	d := fs.procs[pid]
	if p == nil {
		delete(fs.procs, pid)
		return nil, unix.ENOENT
	}
	uid, gid := owner(p)
	if d == nil || d.p != p || d.UID != uid || d.GID != gid {
		for id := range fs.procs { // forget those that are gone
			if fs.cfg.Processes.Process(id) == nil {
				delete(fs.procs, id)
				fs.gone = append(fs.gone, strconv.Itoa(id))
			}
		}
		d = fs.newProcessDir(p, uid, gid)
		fs.procs[pid] = d
	}
	return d, nil
}

// owner returns who owns the files of a process: its effective IDs.
func owner(p Process) (uid, gid uint32) {
	if t := p.Leader(); t != nil {
		if c := t.Creds(); c != nil {
			return c.EUID, c.EGID
		}
	}
	return 0, 0
}

// number reads a name that is a decimal number without leading zeros.
func number(name string) (int, bool) {
	if name == "" || len(name) > 10 || name[0] == '0' && len(name) > 1 {
		return 0, false
	}
	n := 0
	for i := range len(name) {
		if name[i] < '0' || name[i] > '9' {
			return 0, false
		}
		n = n*10 + int(name[i]-'0')
	}
	return n, true
}

// mayInspect is the check of ptrace(2), PTRACE_MODE_READ_FSCREDS: the caller is
// the process itself, or has its user and group IDs, or CAP_SYS_PTRACE.
func mayInspect(c vfs.Caller, p Process) error {
	if t := current(c); t != nil && t.Process() == p {
		return nil
	}
	l := p.Leader()
	if l == nil || l.Creds() == nil {
		return unix.ESRCH
	}
	o := l.Creds()
	me := c.Creds
	if me.Has(unix.CAP_SYS_PTRACE) {
		return nil
	}
	u, g := me.FSUID, me.FSGID
	if u == o.UID && u == o.EUID && u == o.SUID && g == o.GID && g == o.EGID && g == o.SGID {
		return nil
	}
	return unix.EACCES
}
