package syscalls

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
	"gosv/kernel/fs/eventfd"
	"gosv/kernel/fs/eventpoll"
	"gosv/kernel/fs/timerfd"
	"gosv/kernel/fs/tmpfs"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// eventRows are epoll(7), and the calls that make descriptors for events, timers
// and memory.
var eventRows = []Row{
	{AMD64: 213, ARM64: NoNumber, Name: "epoll_create", Fn: sysEpollCreate, Format: "size:int, =fd"},
	{AMD64: 291, ARM64: 20, Name: "epoll_create1", Fn: sysEpollCreate1, Format: "flags:hex, =fd"},
	{AMD64: 233, ARM64: 21, Name: "epoll_ctl", Fn: sysEpollCtl, Format: "epfd:fd, op:int, fd:fd, event:ptr",
		Level: Partial, Note: "EPOLLWAKEUP is accepted and means nothing: the machine does not sleep"},
	{AMD64: 232, ARM64: NoNumber, Name: "epoll_wait", Blocks: true, Fn: sysEpollWait, Format: "epfd:fd, events:ptr, maxevents:int, timeout:int"},
	{AMD64: 281, ARM64: 22, Name: "epoll_pwait", Blocks: true, Fn: sysEpollPwait, Format: "epfd:fd, events:ptr, maxevents:int, timeout:int, sigmask:sigset, sigsetsize:size"},
	{AMD64: 441, ARM64: 441, Name: "epoll_pwait2", Blocks: true, Fn: sysEpollPwait2, Format: "epfd:fd, events:ptr, maxevents:int, timeout:timespec, sigmask:sigset, sigsetsize:size"},
	{AMD64: 284, ARM64: NoNumber, Name: "eventfd", Fn: sysEventfd, Format: "initval:uint, =fd"},
	{AMD64: 290, ARM64: 19, Name: "eventfd2", Fn: sysEventfd2, Format: "initval:uint, flags:hex, =fd"},
	{AMD64: 283, ARM64: 85, Name: "timerfd_create", Fn: sysTimerfdCreate, Format: "clockid:clockid, flags:hex, =fd"},
	{AMD64: 286, ARM64: 86, Name: "timerfd_settime", Fn: sysTimerfdSettime, Format: "fd:fd, flags:hex, new:itimerspec, old:itimerspec.out"},
	{AMD64: 287, ARM64: 87, Name: "timerfd_gettime", Fn: sysTimerfdGettime, Format: "fd:fd, value:itimerspec.out"},
	{AMD64: 319, ARM64: 279, Name: "memfd_create", Fn: sysMemfdCreate, Format: "name:str, flags:hex, =fd",
		Level: Partial, Note: "no MFD_HUGETLB (EINVAL)"},
	{AMD64: 447, ARM64: 447, Name: "memfd_secret", Level: None, Format: "flags:hex", Note: "ENOSYS, as Linux built without it"},
	{AMD64: 300, ARM64: 262, Name: "fanotify_init", Level: None, Format: "flags:hex, event_f_flags:hex", Note: "ENOSYS, as Linux built without fanotify"},
	{AMD64: 301, ARM64: 263, Name: "fanotify_mark", Level: None, Format: "fd:fd, flags:hex, mask:hex, dirfd:fd, path:path", Note: "ENOSYS: there is no fanotify_init"},
}

// install gives a new file a descriptor.
func install(t *task.Thread, f *vfs.File, cloexec bool) (uint64, error) {
	put := t.Files.Install
	if t.Acting != nil && t.Acting.Install != nil {
		put = t.Acting.Install
	}
	fd, err := put(f, cloexec)
	if err != nil {
		f.Release()
		return 0, err
	}
	return uint64(fd), nil
}

// newEventFile makes the file of an event object. The flags of eventfd, epoll,
// timerfd are those of open(2).
func newEventFile(t *task.Thread, impl vfs.FileImpl, name string, flags uint32) (uint64, error) {
	f := vfs.NewFile(impl, name, unix.O_RDWR|flags&unix.O_NONBLOCK)
	return install(t, f, flags&unix.O_CLOEXEC != 0)
}

func sysEpollCreate(t *task.Thread, a *Args) (uint64, error) {
	if int32(a[0]) <= 0 {
		return 0, unix.EINVAL
	}
	return sysEpollCreate1(t, &Args{})
}

func sysEpollCreate1(t *task.Thread, a *Args) (uint64, error) {
	flags := uint32(a[0])
	if flags&^unix.EPOLL_CLOEXEC != 0 {
		return 0, unix.EINVAL
	}
	return newEventFile(t, eventpoll.New(t.Creds().UID), eventpoll.Name, flags)
}

func sysEpollCtl(t *task.Thread, a *Args) (uint64, error) {
	op := int(int32(a[1]))
	var events uint32
	var data uint64
	if op != unix.EPOLL_CTL_DEL {
		var b [eventpoll.EventSize]byte
		if err := t.MM.CopyIn(b[:], a[3]); err != nil {
			return 0, err
		}
		events, data = eventpoll.DecodeEvent(&b)
	}
	epf, err := t.Files.Get(fdArg(a[0]))
	if err != nil {
		return 0, err
	}
	defer epf.Release()
	f, err := t.Files.Get(fdArg(a[2]))
	if err != nil {
		return 0, err
	}
	defer f.Release()
	if f.PathOnly() || epf.PathOnly() {
		return 0, unix.EBADF
	}
	if f.Queue() == nil {
		return 0, unix.EPERM
	}
	ep, ok := epf.Impl().(*eventpoll.Instance)
	if !ok {
		return 0, unix.EINVAL
	}
	return 0, ep.Control(op, fdArg(a[2]), f, events, data)
}

// epollWait is what the three forms of epoll_wait share.
func epollWait(t *task.Thread, a *Args, block bool, deadline int64) (uint64, error) {
	limit := int(int32(a[2]))
	if limit <= 0 || limit > (1<<31-1)/eventpoll.EventSize {
		return 0, unix.EINVAL
	}
	if end := a[1] + uint64(limit*eventpoll.EventSize); end < a[1] || end > cpu.UserTop {
		return 0, unix.EFAULT
	}
	f, err := t.Files.Get(fdArg(a[0]))
	if err != nil {
		return 0, err
	}
	ep, ok := f.Impl().(*eventpoll.Instance)
	if !ok {
		f.Release()
		return 0, unix.EINVAL
	}
	n, err := ep.Wait(&t.Sleeper, t.MM, a[1], limit, block, deadline)
	f.Release()
	return uint64(n), err
}

// milliseconds converts epoll's and poll's timeout, -1 for none.
func milliseconds(v uint64) (block bool, deadline int64) {
	ms := int32(v)
	if ms > 0 {
		deadline = after(int64(ms) * 1e6)
	}
	return ms != 0, deadline
}

func sysEpollWait(t *task.Thread, a *Args) (uint64, error) {
	block, deadline := milliseconds(a[3])
	return epollWait(t, a, block, deadline)
}

func sysEpollPwait(t *task.Thread, a *Args) (uint64, error) {
	if err := temporaryMask(t, a[4], a[5]); err != nil {
		return 0, err
	}
	return sysEpollWait(t, a)
}

func sysEpollPwait2(t *task.Thread, a *Args) (uint64, error) {
	block, deadline := true, int64(0)
	if a[3] != 0 {
		ns, err := copyInTimespec(t, a[3])
		if err != nil {
			return 0, err
		}
		block, deadline = ns != 0, after(ns)
	}
	if err := temporaryMask(t, a[4], a[5]); err != nil {
		return 0, err
	}
	return epollWait(t, a, block, deadline)
}

func sysEventfd(t *task.Thread, a *Args) (uint64, error) {
	return sysEventfd2(t, &Args{a[0]})
}

func sysEventfd2(t *task.Thread, a *Args) (uint64, error) {
	flags := uint32(a[1])
	if flags&^(unix.EFD_CLOEXEC|unix.EFD_NONBLOCK|unix.EFD_SEMAPHORE) != 0 {
		return 0, unix.EINVAL
	}
	c := eventfd.New(uint64(uint32(a[0])), flags&unix.EFD_SEMAPHORE != 0)
	return newEventFile(t, c, eventfd.Name, flags)
}

func sysTimerfdCreate(t *task.Thread, a *Args) (uint64, error) {
	clock, flags := int(int32(a[0])), uint32(a[1])
	if flags&^(unix.TFD_CLOEXEC|unix.TFD_NONBLOCK) != 0 || !timerfd.ValidClock(clock) {
		return 0, unix.EINVAL
	}
	if (clock == unix.CLOCK_REALTIME_ALARM || clock == unix.CLOCK_BOOTTIME_ALARM) && !t.Creds().Has(unix.CAP_WAKE_ALARM) {
		return 0, unix.EPERM
	}
	return newEventFile(t, timerfd.New(clock), timerfd.Name, flags)
}

// timerFile returns the timer behind a descriptor; EINVAL if it is something else.
// The file is retained.
func timerFile(t *task.Thread, fd uint64) (*vfs.File, *timerfd.Timer, error) {
	f, err := t.Files.Get(fdArg(fd))
	if err != nil {
		return nil, nil, err
	}
	tm, ok := f.Impl().(*timerfd.Timer)
	if !ok {
		f.Release()
		return nil, nil, unix.EINVAL
	}
	return f, tm, nil
}

func sysTimerfdSettime(t *task.Thread, a *Args) (uint64, error) {
	var b [32]byte // struct itimerspec: interval, value
	if err := t.MM.CopyIn(b[:], a[2]); err != nil {
		return 0, err
	}
	flags := uint32(a[1])
	interval, ok1 := getTimespec(b[:16])
	value, ok2 := getTimespec(b[16:])
	if flags&^(unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET) != 0 || !ok1 || !ok2 {
		return 0, unix.EINVAL
	}
	f, tm, err := timerFile(t, a[0])
	if err != nil {
		return 0, err
	}
	defer f.Release()
	old, err := tm.Set(flags, timerfd.Setting{Value: value, Interval: interval})
	if err != nil || a[3] == 0 {
		return 0, err
	}
	return 0, copyOutSetting(t, a[3], old)
}

func sysTimerfdGettime(t *task.Thread, a *Args) (uint64, error) {
	f, tm, err := timerFile(t, a[0])
	if err != nil {
		return 0, err
	}
	defer f.Release()
	return 0, copyOutSetting(t, a[1], tm.Get())
}

func copyOutSetting(t *task.Thread, addr uint64, s timerfd.Setting) error {
	var b [32]byte
	putTimespec(b[:16], s.Interval)
	putTimespec(b[16:], s.Value)
	return t.MM.CopyOut(addr, b[:])
}

// maxMemfdName is how long the name of a memfd may be.
const maxMemfdName = 249

func sysMemfdCreate(t *task.Thread, a *Args) (uint64, error) {
	flags := uint32(a[1])
	const known = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING | unix.MFD_NOEXEC_SEAL | unix.MFD_EXEC
	if flags&^known != 0 || flags&unix.MFD_EXEC != 0 && flags&unix.MFD_NOEXEC_SEAL != 0 {
		return 0, unix.EINVAL
	}
	name, err := t.MM.CopyInString(a[0], maxMemfdName+1)
	if err == unix.ENAMETOOLONG {
		err = unix.EINVAL
	}
	if err != nil {
		return 0, err
	}
	mode, seals := uint32(0o777), uint32(unix.F_SEAL_SEAL)
	if flags&unix.MFD_ALLOW_SEALING != 0 {
		seals = 0
	}
	if flags&unix.MFD_NOEXEC_SEAL != 0 {
		mode, seals = 0o666, unix.F_SEAL_EXEC
	}
	f := tmpfs.NewAnonymousFile(t.Creds(), "/memfd:"+name+" (deleted)", mode, seals)
	return install(t, f, flags&unix.MFD_CLOEXEC != 0)
}
