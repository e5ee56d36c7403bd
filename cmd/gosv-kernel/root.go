//go:build metal

package main

import (
	"errors"

	"golang.org/x/sys/unix"
	"gosv/abi/boot"
	"gosv/kernel/board"
	"gosv/kernel/cpu"
	"gosv/kernel/dev/virtio/blk"
	"gosv/kernel/frame"
	"gosv/kernel/fs/cgroup"
	"gosv/kernel/fs/devfs"
	"gosv/kernel/fs/devpts"
	"gosv/kernel/fs/erofs"
	"gosv/kernel/fs/overlay"
	"gosv/kernel/fs/procfs"
	"gosv/kernel/fs/sysfs"
	"gosv/kernel/fs/tmpfs"
	"gosv/kernel/ipc/mqueue"
	"gosv/kernel/task"
	"gosv/kernel/tty"
	"gosv/kernel/vfs"
)

// memoryImage is an image that the boot loader left in memory.
type memoryImage struct{ phys, size uint64 }

func (m memoryImage) Size() int64 { return int64(m.size) }

func (m memoryImage) ReadFrames(frames []frame.Frame, off int64) error {
	for i, f := range frames {
		from, ok := m.Resident(off + int64(i)*cpu.PageSize)
		if !ok {
			return unix.EIO
		}
		copy(f.Bytes(), from.Bytes())
	}
	return nil
}

// Resident returns the frame at off: the loader puts modules on page boundaries,
// and the rest of the last page is zero or the next module's.
func (m memoryImage) Resident(off int64) (frame.Frame, bool) {
	if off < 0 || uint64(off) >= m.size {
		return 0, false
	}
	return frame.Frame(m.phys + uint64(off)), true
}

// diskImage is an image on a disk.
type diskImage struct{ *blk.Disk }

func (d diskImage) ReadFrames(frames []frame.Frame, off int64) error {
	return d.FillRange(uint64(off)/cpu.PageSize, frames)
}
func (diskImage) Resident(int64) (frame.Frame, bool) { return 0, false }

// mountRoot mounts the image: module 0 if there is one, else the first disk.
func mountRoot(config boot.Config, d *devices) error {
	var image erofs.Device
	var source string
	switch mods := board.Info.Modules; {
	case len(mods) > 0 && mods[0].Phys%cpu.PageSize == 0:
		image, source = memoryImage{mods[0].Phys, mods[0].Size}, "module"
	case len(mods) > 0:
		return errors.New("the image in memory does not start on a page")
	case len(d.disks) > 0:
		image, source = diskImage{d.disks[0]}, "/dev/vda"
	default:
		return errors.New("no image: neither a boot module nor a disk")
	}
	lower, err := erofs.Open(image)
	if err != nil {
		return errors.New(source + ": " + err.Error())
	}
	// A dentry takes about half a kilobyte of heap: at most 1/32 of the memory.
	vfs.SetMaxDentries(int(min(8192, board.Info.Total/16384)))
	if config.ReadOnly {
		_, err = vfs.MountRoot(lower, source, unix.MS_RDONLY)
		return err
	}
	root, err := overlay.New(lower, 0)
	if err == nil {
		_, err = vfs.MountRoot(root, "overlay", unix.MS_RELATIME)
	}
	return err
}

// mountSystem mounts what every Linux program expects to find.
func mountSystem(config boot.Config, console *tty.Console) error {
	fs := vfs.NewFSContext()
	defer fs.Release()
	for _, m := range []struct {
		path  string
		fs    vfs.Filesystem
		name  string
		flags uint32
	}{
		{"/dev", devfs.New(console), "devtmpfs", unix.MS_NOSUID | unix.MS_NOEXEC},
		{"/dev/pts", devpts.New(task.Tasks), "devpts", unix.MS_NOSUID | unix.MS_NOEXEC},
		{"/dev/shm", tmpfs.New(tmpfs.Options{Mode: 0o1777}), "tmpfs", unix.MS_NOSUID | unix.MS_NODEV},
		{"/dev/mqueue", mqueue.New(), "mqueue", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"/proc", procfs.New(task.ProcConfig(board.Info.Cmdline, console.Terminal != nil)), "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"/sys", sysfs.New(), "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"/sys/fs/cgroup", cgroup.New(task.CgroupConfig()), "cgroup2", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	} {
		err := fs.Mkdir(vfs.Kernel(), nil, m.path, 0o755)
		if err != nil && err != unix.EEXIST && err != unix.EROFS {
			return errors.New(m.path + ": " + err.Error())
		}
		p, err := fs.Lookup(vfs.Kernel(), m.path)
		if err == nil {
			_, err = vfs.MountAt(p, m.fs, m.name, m.flags)
		}
		if err != nil {
			return errors.New("mounting " + m.path + ": " + err.Error())
		}
		if m.name != "tmpfs" { // which has an instance for each mount
			vfs.RegisterFilesystem(m.name, true, func(string, uint32, string) (vfs.Filesystem, error) { return m.fs, nil })
		}
	}
	return nil
}
