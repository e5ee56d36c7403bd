package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/fs/pidfd"
	"gosv/kernel/fs/signalfd"
	"gosv/kernel/mm"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// pidfdRows are the calls about descriptors of processes and of signals.
var pidfdRows = []Row{
	{AMD64: 434, ARM64: 434, Name: "pidfd_open", Fn: sysPidfdOpen, Format: "pid:int, flags:hex, =fd",
		Level: Partial, Note: "no PIDFD_GET_*_NAMESPACE (ENOTTY); fstatfs(2) does not say that it is a pidfs"},
	{AMD64: 424, ARM64: 424, Name: "pidfd_send_signal", Fn: sysPidfdSendSignal, Format: "pidfd:fd, sig:sig, info:ptr, flags:hex"},
	{AMD64: 438, ARM64: 438, Name: "pidfd_getfd", Fn: sysPidfdGetfd, Format: "pidfd:fd, targetfd:int, flags:hex, =fd"},
	{AMD64: 282, ARM64: NoNumber, Name: "signalfd", Fn: sysSignalfd, Format: "fd:fd, mask:sigset, size:size, =fd",
		Level: Partial, Note: "poll(2) and epoll(7) see the signals of the thread that made the descriptor, not of the one that polls"},
	{AMD64: 289, ARM64: 74, Name: "signalfd4", Fn: sysSignalfd4, Format: "fd:fd, mask:sigset, size:size, flags:hex, =fd",
		Level: Partial, Note: "as signalfd"},
}

func sysPidfdOpen(t *task.Thread, a *Args) (uint64, error) {
	pid, flags := int(int32(a[0])), uint32(a[1])
	if flags&^(unix.O_NONBLOCK|pidfd.Thread) != 0 || pid <= 0 {
		return 0, unix.EINVAL
	}
	if flags&pidfd.Thread != 0 {
		if o := task.Tasks.Thread(pid); o != nil {
			return install(t, pidfd.New(o, flags), true)
		}
	}
	p := task.Tasks.Process(pid)
	if p == nil {
		if task.Tasks.Thread(pid) != nil {
			return 0, unix.EINVAL // a thread, but not the first of its process
		}
		return 0, unix.ESRCH
	}
	return install(t, pidfd.New(p, flags), true)
}

// pidfdProcess is the process of a descriptor: EBADF for other files, ESRCH after
// it was waited for.
func pidfdProcess(t *task.Thread, fd uint64) (*task.Process, *vfs.File, error) {
	return processFile(t, fd, false)
}

// processFile is pidfdProcess that takes directories of /proc too.
func processFile(t *task.Thread, fd uint64, directories bool) (*task.Process, *vfs.File, error) {
	f, err := t.Files.Get(fdArg(fd))
	if err != nil {
		return nil, nil, err
	}
	p := task.ProcessOf(f, directories)
	if p == nil {
		f.Release()
		return nil, nil, unix.EBADF
	}
	return p, f, nil
}

func sysPidfdSendSignal(t *task.Thread, a *Args) (uint64, error) {
	scope := uint32(a[3])
	switch scope {
	case 0, linux.PIDFD_SIGNAL_THREAD, linux.PIDFD_SIGNAL_THREAD_GROUP, linux.PIDFD_SIGNAL_PROCESS_GROUP:
	default:
		return 0, unix.EINVAL
	}
	p, f, err := processFile(t, a[0], true) // the first pidfds were directories of /proc
	if err != nil {
		return 0, err
	}
	o := task.ThreadOf(f)
	f.Release()
	var target pidfd.Process = p
	id := p.PID
	if o != nil {
		target, id = o, o.TID
		if scope == 0 {
			scope = linux.PIDFD_SIGNAL_THREAD
		}
	}
	if scope == linux.PIDFD_SIGNAL_THREAD {
		if o == nil {
			o = p.Leader()
		}
	} else {
		o = nil
	}
	sig := int(int32(a[1]))
	info := userInfo(t, sig, linux.SI_USER)
	if o != nil {
		info = userInfo(t, sig, linux.SI_TKILL)
	}
	if a[2] != 0 {
		if err := t.MM.CopyIn(info[:], a[2]); err != nil {
			return 0, err
		}
		if !info.TrimExpansion() {
			return 0, unix.E2BIG
		}
		if info.Signo() != sig {
			return 0, unix.EINVAL
		}
		if code := info.Code(); (code >= 0 || code == linux.SI_TKILL) && (p.PID != t.TID || scope == linux.PIDFD_SIGNAL_PROCESS_GROUP) {
			return 0, unix.EPERM
		}
	}
	if scope == linux.PIDFD_SIGNAL_PROCESS_GROUP {
		return 0, sendAll(t, task.Tasks.Group(id), info)
	}
	if target.LiveID() < 0 {
		return 0, unix.ESRCH
	}
	return 0, send(t, p, o, info)
}

func sysPidfdGetfd(t *task.Thread, a *Args) (uint64, error) {
	if a[2] != 0 {
		return 0, unix.EINVAL
	}
	p, f, err := pidfdProcess(t, a[0])
	if err != nil {
		return 0, err
	}
	f.Release()
	files := p.Files()
	if files == nil {
		return 0, unix.ESRCH
	}
	defer files.Release()
	if !t.MayTrace(p) {
		return 0, unix.EPERM
	}
	o, err := files.Get(fdArg(a[1]))
	if err != nil {
		return 0, err
	}
	return install(t, o, true)
}

func sysSignalfd(t *task.Thread, a *Args) (uint64, error) {
	return sysSignalfd4(t, &Args{a[0], a[1], a[2], 0})
}

func sysSignalfd4(t *task.Thread, a *Args) (uint64, error) {
	flags := uint32(a[3])
	if flags&^(unix.SFD_CLOEXEC|unix.SFD_NONBLOCK) != 0 {
		return 0, unix.EINVAL
	}
	mask, err := copyInSigSet(t, a[1], a[2])
	if err != nil {
		return 0, err
	}
	mask &^= linux.SigBit(int(unix.SIGKILL)) | linux.SigBit(int(unix.SIGSTOP))
	if fd := fdArg(a[0]); fd != -1 {
		f, err := t.Files.Get(fd)
		if err != nil {
			return 0, err
		}
		defer f.Release()
		s := signalfd.Of(f)
		if s == nil {
			return 0, unix.EINVAL
		}
		s.SetMask(mask)
		return uint64(fd), nil
	}
	return newEventFile(t, signalfd.New(t, mask), signalfd.Name, flags)
}

// readSignals is read(2) of a signalfd: the signals are those of who reads.
func readSignals(t *task.Thread, f *vfs.File, s *signalfd.File, dst *mm.Buf) (int64, error) {
	n, err := s.ReadFrom(t, dst)
	if err != unix.EAGAIN || f.Nonblocking() {
		return n, err
	}
	wait := vfs.WaitUntil(&t.Sleeper, t.SignalQueue(), wait.Readable, func() bool {
		n, err = s.ReadFrom(t, dst)
		return err != unix.EAGAIN
	})
	if wait != nil {
		return 0, wait
	}
	return n, err
}
