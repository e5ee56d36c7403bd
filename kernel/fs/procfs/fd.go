package procfs

import (
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/vfs"
)

// fdNames is the Directory of /proc/PID/fd and /proc/PID/fdinfo.
type fdNames struct {
	p        Process
	t        func() Thread
	uid, gid uint32
	info     bool

	// nodes are inodes given out before: a lookup is to find the same one for
	// the same file.
	mu    sync.Mutex
	nodes map[int]fdNode
}

type fdNode struct {
	f *vfs.File
	n vfs.Inode
}

func (d *fdNames) file(fd int) (*vfs.File, error) {
	t := d.t()
	if t == nil {
		return nil, unix.ENOENT
	}
	files := t.Files()
	if files == nil {
		return nil, unix.ENOENT
	}
	f, err := files.Get(fd)
	if err != nil {
		return nil, unix.ENOENT
	}
	return f, nil
}

func (d *fdNames) Lookup(c vfs.Caller, name string) (vfs.Inode, error) {
	if err := mayInspect(c, d.p); err != nil {
		return nil, err
	}
	fd, ok := number(name)
	if !ok {
		return nil, unix.ENOENT
	}
	f, err := d.file(fd)
	if err != nil {
		d.mu.Lock()
		delete(d.nodes, fd)
		d.mu.Unlock()
		return nil, err
	}
	defer f.Release()
	d.mu.Lock()
	defer d.mu.Unlock()
	if have := d.nodes[fd]; have.f == f {
		return have.n, nil
	}
	n := d.node(fd, f)
	d.nodes[fd] = fdNode{f, n}
	return n, nil
}

func (d *fdNames) node(fd int, f *vfs.File) vfs.Inode {
	if d.info {
		n := vfs.NewContentFile(0o444, func(vfs.Caller) ([]byte, error) {
			f, err := d.file(fd)
			if err != nil {
				return nil, err
			}
			defer f.Release()
			return d.appendInfo(make([]byte, 0, 128), fd, f), nil
		})
		n.UID, n.GID = d.uid, d.gid
		return n
	}
	n := vfs.NewMagicLink(func(c vfs.Caller) (string, error) {
		f, err := d.file(fd)
		if err != nil {
			return "", err
		}
		defer f.Release()
		return f.Name(rootOf(c)), nil
	}, func(vfs.Caller) (vfs.Path, error) {
		f, err := d.file(fd)
		if err != nil {
			return vfs.Path{}, err
		}
		defer f.Release()
		return f.FollowPath(), nil
	})
	n.Perm = 0
	if f.Readable() || f.PathOnly() {
		n.Perm |= 0o500
	}
	if f.Writable() {
		n.Perm |= 0o300
	}
	n.UID, n.GID = d.uid, d.gid
	return n
}

func (d *fdNames) Names(c vfs.Caller, after int64, emit func(int64, string, uint64, uint8) bool) error {
	if err := mayInspect(c, d.p); err != nil {
		return err
	}
	t := d.t()
	if t == nil || t.Files() == nil {
		return nil
	}
	dtype := uint8(unix.DT_LNK)
	if d.info {
		dtype = unix.DT_REG
	}
	t.Files().Each(func(fd int, _ *vfs.File, _ bool) bool {
		key := int64(fd) + 3
		return key <= after || emit(key, strconv.Itoa(fd), uint64(fd)<<32|2, dtype)
	})
	return nil
}

// largeFile is O_LARGEFILE, which open(2) sets by itself and package unix has as 0.
const largeFile = 0o100000

// infoer is a FileImpl that has more to say in fdinfo.
type infoer interface{ FDInfo(b []byte) []byte }

func (d *fdNames) appendInfo(b []byte, fd int, f *vfs.File) []byte {
	var st vfs.Stat
	f.Stat(&st)
	flags := f.Flags()
	if t := d.t(); t != nil {
		if on, _ := t.Files().Cloexec(fd); on {
			flags |= unix.O_CLOEXEC
		}
	}
	if f.Path().Dentry != nil {
		flags |= largeFile
	}
	b = append(b, "pos:\t"...)
	b = strconv.AppendInt(b, f.Offset(), 10)
	b = append(b, "\nflags:\t0"...)
	b = strconv.AppendUint(b, uint64(flags), 8)
	b = append(b, "\nmnt_id:\t"...)
	b = strconv.AppendUint(b, st.MountID, 10)
	b = append(b, "\nino:\t"...)
	b = strconv.AppendUint(b, st.Ino, 10)
	b = append(b, '\n')
	id := 0
	f.Locks(func(l vfs.LockInfo) bool {
		id++
		b = appendLock(append(b, "lock:\t"...), id, &l)
		return id < maxLocks
	})
	if i, ok := f.Impl().(infoer); ok {
		b = i.FDInfo(b)
	}
	return b
}
