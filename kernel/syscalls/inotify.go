package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/fs/inotify"
	"gosv/kernel/task"
)

// inotifyRows are the calls of inotify(7).
var inotifyRows = []Row{
	{AMD64: 253, ARM64: NoNumber, Name: "inotify_init", Fn: sysInotifyInit, Format: "=fd"},
	{AMD64: 294, ARM64: 26, Name: "inotify_init1", Fn: sysInotifyInit1, Format: "flags:hex, =fd"},
	{AMD64: 254, ARM64: 27, Name: "inotify_add_watch", Fn: sysInotifyAddWatch, Format: "fd:fd, path:path, mask:hex"},
	{AMD64: 255, ARM64: 28, Name: "inotify_rm_watch", Fn: sysInotifyRmWatch, Format: "fd:fd, wd:int"},
}

func sysInotifyInit(t *task.Thread, a *Args) (uint64, error) { return inotifyInit(t, 0) }

func sysInotifyInit1(t *task.Thread, a *Args) (uint64, error) { return inotifyInit(t, uint32(a[0])) }

func inotifyInit(t *task.Thread, flags uint32) (uint64, error) {
	if flags&^(unix.IN_CLOEXEC|unix.IN_NONBLOCK) != 0 {
		return 0, unix.EINVAL
	}
	i, err := inotify.New(t.Creds().UID)
	if err != nil {
		return 0, err
	}
	return newEventFile(t, i, inotify.Name, flags)
}

func inotifyFile(t *task.Thread, fd uint64, op func(*inotify.Instance) (uint64, error)) (uint64, error) {
	f, err := t.Files.Get(fdArg(fd))
	if err != nil {
		return 0, err
	}
	defer f.Release()
	i := inotify.Of(f)
	if i == nil {
		return 0, unix.EINVAL
	}
	return op(i)
}

func sysInotifyAddWatch(t *task.Thread, a *Args) (uint64, error) {
	return inotifyFile(t, a[0], func(i *inotify.Instance) (uint64, error) {
		path, err := copyPath(t, a[1])
		if err != nil {
			return 0, err
		}
		wd, err := i.Add(t.FS, t.Caller(), path, uint32(a[2]))
		return uint64(wd), err
	})
}

func sysInotifyRmWatch(t *task.Thread, a *Args) (uint64, error) {
	return inotifyFile(t, a[0], func(i *inotify.Instance) (uint64, error) { return 0, i.Remove(int32(a[1])) })
}
