package syscalls

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/task"
)

// mountRows are the calls that change the tree of mounts.
var mountRows = []Row{
	{AMD64: 165, ARM64: 40, Name: "mount", Fn: sysMount, Format: "source:str, target:path, filesystemtype:str, mountflags:hex, data:str",
		Level: Partial, Note: "bind mounts and MS_MOVE are EINVAL; propagation types are accepted, as there is one mount namespace"},
	{AMD64: 166, ARM64: 39, Name: "umount2", Fn: sysUmount2, Format: "target:path, flags:hex",
		Level: Partial, Note: "MNT_EXPIRE is EINVAL"},
	{AMD64: 155, ARM64: 41, Name: "pivot_root", Format: "new_root:path, put_old:path", Level: None,
		Note: "ENOSYS: the root stays what the image is; chroot is there"},
}

func sysMount(t *task.Thread, a *Args) (uint64, error) {
	var text [4]string // source, target, type, data: all but target may be missing
	for i, addr := range [4]uint64{a[0], a[1], a[2], a[4]} {
		if addr == 0 && i != 1 {
			continue
		}
		s, err := pathArg(t, addr)
		if err != nil {
			return 0, err
		}
		text[i] = s
	}
	flags := uint32(a[3])
	const magic, magicMask = 0xc0ed0000, 0xffff0000 // old programs pass it
	if flags&magicMask == magic {
		flags &^= magicMask
	}
	if flags&(unix.MS_REMOUNT|unix.MS_BIND|unix.MS_MOVE|unix.MS_SHARED|unix.MS_PRIVATE|unix.MS_SLAVE|unix.MS_UNBINDABLE) == 0 && text[2] == "" {
		return 0, unix.EINVAL
	}
	return 0, t.FS.Mount(t.Caller(), text[0], text[1], text[2], flags, text[3])
}

func sysUmount2(t *task.Thread, a *Args) (uint64, error) {
	path, err := pathArg(t, a[0])
	if err != nil {
		return 0, err
	}
	return 0, t.FS.Unmount(t.Caller(), path, int(int32(a[1])))
}
