// Package mqueue is POSIX message queues (mq_overview(7)), and the file system that shows them at /dev/mqueue.
package mqueue

import (
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
	"gosv/kernel/sysctl"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// Limits (mq_overview(7)).
const (
	hardMessages = 65536 // with CAP_SYS_RESOURCE
	hardSize     = 16 << 20
	maxPriority  = 32768
)

var (
	maxQueues      sysctl.Int32 = 256
	maxMessages    sysctl.Int32 = 10
	maxSize        sysctl.Int32 = 8192
	defaultMessage sysctl.Int32 = 10
	defaultSize    sysctl.Int32 = 8192
)

var sysctls = [...]sysctl.Row{
	{Name: "fs.mqueue.queues_max", Value: &sysctl.Int{Var: &maxQueues}},
	{Name: "fs.mqueue.msg_max", Value: &sysctl.Int{Var: &maxMessages, Min: 1, Max: hardMessages}},
	{Name: "fs.mqueue.msgsize_max", Value: &sysctl.Int{Var: &maxSize, Min: 128, Max: hardSize}},
	{Name: "fs.mqueue.msg_default", Value: &sysctl.Int{Var: &defaultMessage, Min: 1, Max: hardMessages}},
	{Name: "fs.mqueue.msgsize_default", Value: &sysctl.Int{Var: &defaultSize, Min: 128, Max: hardSize}},
}

func init() { sysctl.Register(sysctls[:]) }

// usual returns the size of a queue whose maker does not say it.
func usual() (messages, size int) {
	return int(min(defaultMessage.Load(), maxMessages.Load())), int(min(defaultSize.Load(), maxSize.Load()))
}

// A Queue is the inode of a message queue.
type Queue struct {
	vfs.InodeDefaults
	ino  uint64
	made vfs.Time

	user *vfs.User // whose RLIMIT_MSGQUEUE the queue counts for

	mu       sync.Mutex
	open     int  // open descriptions
	linked   bool // it has a name
	mode     uint32
	uid, gid uint32
	max      int
	size     int
	list     []message // the next to be received first
	bytes    int
	notify   *Notify
	readers  int // blocked in mq_receive
	changed  wait.Queue
}

type message struct {
	priority uint32
	text     []byte
}

// Notify is who is told of a message that comes to an empty queue.
type Notify struct {
	Owner  any          // the process
	Table  *vfs.FDTable // its descriptors
	PID    int
	Kind   int // SIGEV_*
	Signal int // of SIGEV_SIGNAL, 0: none is sent
	// Send tells of a message, Removed that none will be told of; nil where nobody
	// wants to know.
	Send    func(sender int, uid uint32)
	Removed func()
}

// directory is the root of the file system.
type directory struct {
	vfs.DynamicDir
	mu      sync.Mutex
	names   map[string]*Queue
	lastIno uint64
}

var root = func() *directory {
	d := &directory{names: make(map[string]*Queue), lastIno: 1}
	d.Perm = 0o1777
	d.SetIno(1)
	d.Dir = d
	return d
}()

// New returns the file system of all queues.
func New() vfs.Filesystem {
	return &vfs.SynthFS{Name: "mqueue", Magic: 0x19800202, Top: root, IsVolatile: true}
}

func (d *directory) Lookup(_ vfs.Caller, name string) (vfs.Inode, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if q := d.names[name]; q != nil {
		return q, nil
	}
	return nil, unix.ENOENT
}

func (d *directory) Names(_ vfs.Caller, after int64, emit func(int64, string, uint64, uint8) bool) error {
	d.mu.Lock()
	type entry struct {
		name string
		ino  uint64
	}
	var list []entry
	for name, q := range d.names {
		list = append(list, entry{name, q.ino})
	}
	d.mu.Unlock()
	slices.SortFunc(list, func(a, b entry) int { return int(a.ino) - int(b.ino) })
	for _, e := range list {
		if key := int64(e.ino) + 2; key > after && !emit(key, e.name, e.ino, unix.DT_REG) {
			break
		}
	}
	return nil
}

// Create makes a queue of the usual size: open(2) in the file system.
func (d *directory) Create(name string, a *vfs.CreateArgs) (vfs.Inode, error) {
	if a.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, unix.EPERM
	}
	messages, size := usual()
	return d.create(name, a.Mode, a.UID, a.GID, messages, size, a.UID, ^uint64(0))
}

// create makes a queue that counts for user real, who may have limit bytes (RLIMIT_MSGQUEUE). EEXIST: another thread was faster.
func (d *directory) create(name string, mode, uid, gid uint32, most, size int, real uint32, limit uint64) (*Queue, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[name] != nil {
		return nil, unix.EEXIST
	}
	if len(d.names) >= int(maxQueues.Load()) {
		return nil, unix.ENOSPC
	}
	q := &Queue{made: vfs.Now(), mode: mode & 0o7777, uid: uid, gid: gid, max: most, size: size, user: vfs.UserOf(real), linked: true}
	if n := q.user.QueueBytes.Add(q.cost()); uint64(n) > limit {
		q.gone()
		return nil, unix.EMFILE
	}
	d.lastIno++
	q.ino = d.lastIno
	d.names[name] = q
	return q, nil
}

// cost is how many bytes a queue counts (getrlimit(2), RLIMIT_MSGQUEUE, with the sizes of Linux's structures).
func (q *Queue) cost() int64 {
	const message, node = 48, 48
	return int64(q.max)*(message+int64(q.size)) + int64(min(q.max, maxPriority))*node
}

// gone takes the queue off its user's account.
func (q *Queue) gone() {
	q.user.QueueBytes.Add(-q.cost())
	q.user.Release()
}

// Retain and Release count the open descriptions; a queue that was unlinked goes with the last one.
func (q *Queue) Retain() {
	q.mu.Lock()
	q.open++
	q.mu.Unlock()
}

// Release implements vfs.Inode.
func (q *Queue) Release() {
	q.mu.Lock()
	q.open--
	last := q.open == 0 && !q.linked
	q.mu.Unlock()
	if last {
		q.gone()
	}
}

// unlink notes that the queue has no name any more.
func (q *Queue) unlink() {
	q.mu.Lock()
	last := q.open == 0 && q.linked
	q.linked = false
	q.mu.Unlock()
	if last {
		q.gone()
	}
}

// Remove is unlink(2) in the file system.
func (d *directory) Remove(name string, child vfs.Inode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if q := d.names[name]; q != nil {
		delete(d.names, name)
		q.unlink()
	}
	return nil
}

func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return unix.EINVAL
	case len(name) > 255:
		return unix.ENAMETOOLONG
	}
	for i := range len(name) {
		if name[i] == '/' {
			return unix.EACCES
		}
	}
	return nil
}

// Attr is struct mq_attr, without the flags.
type Attr struct{ Max, Size, Current int }

// Open is mq_open(2) with the name as the system call has it, without the slash;
// mode has the umask applied; attr may be nil; limit is RLIMIT_MSGQUEUE. ENOENT, EEXIST, EACCES, EINVAL,
// ENAMETOOLONG, ENOSPC, EMFILE.
func Open(c *vfs.Creds, name string, flags, mode uint32, attr *Attr, limit uint64) (*vfs.File, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	root.mu.Lock()
	q := root.names[name]
	root.mu.Unlock()
	switch {
	case q == nil && flags&unix.O_CREAT == 0:
		return nil, unix.ENOENT
	case q == nil:
		var a Attr
		a.Max, a.Size = usual()
		if attr != nil {
			a = *attr
			most, size := int(maxMessages.Load()), int(maxSize.Load())
			if c.Has(unix.CAP_SYS_RESOURCE) {
				most, size = hardMessages, hardSize
			}
			if a.Max <= 0 || a.Size <= 0 || a.Max > most || a.Size > size {
				return nil, unix.EINVAL
			}
		}
		var err error
		q, err = root.create(name, mode, c.FSUID, c.FSGID, a.Max, a.Size, c.UID, limit)
		if err == unix.EEXIST && flags&unix.O_EXCL == 0 {
			return Open(c, name, flags&^unix.O_CREAT, mode, attr, limit)
		}
		if err != nil {
			return nil, err
		}
	case flags&(unix.O_CREAT|unix.O_EXCL) == unix.O_CREAT|unix.O_EXCL:
		return nil, unix.EEXIST
	default:
		want := uint32(vfs.MayRead)
		switch flags & unix.O_ACCMODE {
		case unix.O_WRONLY:
			want = vfs.MayWrite
		case unix.O_RDWR:
			want = vfs.MayRead | vfs.MayWrite
		case unix.O_ACCMODE:
			return nil, unix.EINVAL
		}
		if err := c.Access(q, want); err != nil {
			return nil, err
		}
	}
	return vfs.NewInodeFile(&file{q: q}, q, "/"+name, flags&(unix.O_ACCMODE|unix.O_NONBLOCK)), nil
}

// Unlink is mq_unlink(2). ENOENT, EACCES.
func Unlink(c *vfs.Creds, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	root.mu.Lock()
	defer root.mu.Unlock()
	q := root.names[name]
	if q == nil {
		return unix.ENOENT
	}
	if uid, _ := q.Owner(); c.FSUID != uid && !c.Has(unix.CAP_FOWNER) {
		return unix.EACCES
	}
	delete(root.names, name)
	q.unlink()
	return nil
}

func (q *Queue) Mode() uint32 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return unix.S_IFREG | q.mode
}

func (q *Queue) Owner() (uid, gid uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.uid, q.gid
}

func (q *Queue) Stat(st *vfs.Stat) error {
	st.Ino, st.Size = q.ino, 80
	st.Mode = q.Mode()
	st.UID, st.GID = q.Owner()
	st.Atime, st.Mtime, st.Ctime = q.made, q.made, q.made
	return nil
}

func (q *Queue) SetAttr(a *vfs.SetAttr) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if a.Mask&vfs.SetMode != 0 {
		q.mode = a.Mode
	}
	if a.Mask&vfs.SetUID != 0 {
		q.uid = a.UID
	}
	if a.Mask&vfs.SetGID != 0 {
		q.gid = a.GID
	}
	return nil
}

func (q *Queue) Open(vfs.Caller, *vfs.File, uint32) (vfs.FileImpl, error) { return &file{q: q}, nil }

// file is an open queue. Reading it as a file shows its state.
type file struct {
	vfs.FileDefaults
	q *Queue
}

// Of returns the queue behind a file, nil if it is none.
func Of(f *vfs.File) *Queue {
	if m, ok := f.Impl().(*file); ok {
		return m.q
	}
	return nil
}

func (f *file) Seekable() bool { return true }

func (f *file) Seek(v *vfs.File, off int64, whence int) (int64, error) {
	return vfs.SeekIn(v.Offset(), 80, off, whence)
}

func (f *file) Read(_ *vfs.File, dst *mm.Buf, off int64) (int64, error) {
	q := f.q
	q.mu.Lock()
	b := field(nil, "QSIZE:", q.bytes, 10)
	kind, sig, pid := 0, 0, 0
	if n := q.notify; n != nil {
		kind, sig, pid = n.Kind, n.Signal, n.PID
	}
	q.mu.Unlock()
	b = field(append(b, ' '), "NOTIFY:", kind, 5)
	b = field(append(b, ' '), "SIGNO:", sig, 5)
	b = append(field(append(b, ' '), "NOTIFY_PID:", pid, 6), '\n')
	if off >= int64(len(b)) {
		return 0, nil
	}
	n, err := dst.CopyTo(b[off:][:min(len(b)-int(off), dst.Len())])
	return int64(n), err
}

func field(b []byte, name string, v, width int) []byte {
	at := len(b) + len(name)
	b = strconv.AppendInt(append(b, name...), int64(v), 10)
	for len(b) < at+width {
		b = append(b, ' ')
	}
	return b
}

// Flush implements vfs.Flusher: whoever closes a descriptor of the queue is told
// of no message any more. Which process closes is known by its descriptors:
// processes that share them count as one.
func (f *file) Flush(t *vfs.FDTable) {
	f.q.remove(func(n *Notify) bool { return n.Table == t })
}

func (f *file) Readiness() (ev wait.Events) {
	f.q.mu.Lock()
	defer f.q.mu.Unlock()
	if len(f.q.list) > 0 {
		ev |= wait.Readable
	}
	if len(f.q.list) < f.q.max {
		ev |= wait.Writable
	}
	return ev
}

func (f *file) Queue() *wait.Queue { return &f.q.changed }

// Attr returns the limits and how many messages there are.
func (q *Queue) Attr() Attr {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Attr{q.max, q.size, len(q.list)}
}
