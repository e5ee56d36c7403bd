package procfs

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

// memInode is /proc/PID/mem (proc_pid_mem(5)).
type memInode struct {
	*vfs.ContentFile
	p Process
}

func (w *tree) addMem() {
	n := vfs.NewContentFile(0o600, nil)
	n.UID, n.GID = w.uid, w.gid
	w.d.Add("mem", &memInode{n, w.p})
}

// Open takes hold of the address space: after an exec the file still shows the
// old one.
func (n *memInode) Open(c vfs.Caller, _ *vfs.File, _ uint32) (vfs.FileImpl, error) {
	if err := mayInspect(c, n.p); err != nil {
		return nil, err
	}
	as := n.p.Space()
	if as == nil {
		return nil, unix.ESRCH
	}
	return &memFile{as: as}, nil
}

type memFile struct {
	vfs.FileDefaults
	as *mm.AddressSpace
}

func (m *memFile) Release()       { m.as.Release() }
func (m *memFile) Seekable() bool { return true }

func (m *memFile) Seek(f *vfs.File, off int64, whence int) (int64, error) {
	if whence != unix.SEEK_SET && whence != unix.SEEK_CUR {
		return 0, unix.EINVAL
	}
	return vfs.SeekIn(f.Offset(), 0, off, whence)
}

// chunk is how much is copied at once; no chunk crosses a page.
const chunk = 256

// Read reads memory up to the first page that is not there; EIO if that is the
// first.
func (m *memFile) Read(_ *vfs.File, dst *mm.Buf, off int64) (int64, error) {
	var b [chunk]byte
	total := int64(0)
	for dst.Len() > 0 {
		at := uint64(off + total)
		p := b[:min(dst.Len(), chunk-int(at%chunk))]
		_, err := m.as.Peek(p, at)
		if err != nil {
			err = unix.EIO
		} else {
			var n int
			n, err = dst.CopyTo(p)
			total += int64(n)
		}
		if err != nil {
			if total > 0 {
				break
			}
			return 0, err
		}
	}
	return total, nil
}

// Write changes memory, of private areas also what the process itself may only
// read: it is how debuggers set breakpoints.
func (m *memFile) Write(_ *vfs.File, src *mm.Buf, off int64) (int64, error) {
	var b [chunk]byte
	total := int64(0)
	for src.Len() > 0 {
		at := uint64(off + total)
		n, err := src.CopyFrom(b[:min(src.Len(), chunk-int(at%chunk))])
		if n > 0 {
			if _, e := m.as.Poke(at, b[:n]); e != nil {
				err = unix.EIO
			} else {
				total += int64(n)
			}
		}
		if err != nil {
			if total > 0 {
				break
			}
			return 0, err
		}
	}
	return total, nil
}
