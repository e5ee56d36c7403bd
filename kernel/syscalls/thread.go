package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/frame"
	"gosv/kernel/mm"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// threadRows are the calls that make, change and end threads and processes.
var threadRows = []Row{
	{AMD64: 56, ARM64: 220, Name: "clone", Blocks: true, Fn: sysClone, Format: "flags:flags.clone, child_stack:ptr, parent_tid:ptr, child_tid:ptr, tls:ptr",
		Level: Partial, Note: "no namespaces (EINVAL); CLONE_SYSVSEM, CLONE_IO and CLONE_PTRACE have nothing to act on"},
	{AMD64: 435, ARM64: 435, Name: "clone3", Blocks: true, Fn: sysClone3, Format: "args:ptr, size:size",
		Level: Partial, Note: "as clone; no cgroup (EINVAL)"},
	{AMD64: 57, ARM64: NoNumber, Name: "fork", Fn: sysFork},
	{AMD64: 58, ARM64: NoNumber, Name: "vfork", Blocks: true, Fn: sysVfork},
	{AMD64: 59, ARM64: 221, Name: "execve", Fn: sysExecve, Format: "path:path, argv:argv, envp:ptr"},
	{AMD64: 322, ARM64: 281, Name: "execveat", Fn: sysExecveat, Format: "dirfd:fd, path:path, argv:argv, envp:ptr, flags:flags.at"},
	{AMD64: 60, ARM64: 93, Name: "exit", Fn: sysExit, Format: "status:int"},
	{AMD64: 231, ARM64: 94, Name: "exit_group", Fn: sysExitGroup, Format: "status:int"},
	{AMD64: 61, ARM64: 260, Name: "wait4", Blocks: true, Fn: sysWait4, Format: "pid:int, status:ptr, options:flags.wait, rusage:ptr"},
	{AMD64: 247, ARM64: 95, Name: "waitid", Blocks: true, Fn: sysWaitid, Format: "idtype:int, id:int, infop:ptr, options:flags.wait, rusage:ptr"},
	{AMD64: 218, ARM64: 96, Name: "set_tid_address", Fn: sysSetTIDAddress, Format: "tidptr:ptr"},
	{AMD64: 186, ARM64: 178, Name: "gettid", Fn: sysGettid},
	{AMD64: 272, ARM64: 97, Name: "unshare", Fn: sysUnshare, Format: "flags:flags.clone",
		Level: Partial, Note: "no namespaces (EINVAL)"},
	{AMD64: 273, ARM64: 99, Name: "set_robust_list", Fn: sysSetRobustList, Format: "head:ptr, len:size"},
	{AMD64: 274, ARM64: 100, Name: "get_robust_list", Fn: sysGetRobustList, Format: "pid:int, head:ptr, len:ptr"},
	{AMD64: 219, ARM64: 128, Name: "restart_syscall", Blocks: true, Fn: sysRestart},
	{AMD64: 334, ARM64: 293, Name: "rseq", Fn: sysNotThere, Level: None, Format: "rseq:ptr, len:uint, flags:int, sig:hex",
		Note: "ENOSYS, as Linux built without restartable sequences; glibc does without"},
}

// sysClone is clone(2) with x86-64's order of arguments.
func sysClone(t *task.Thread, a *Args) (uint64, error) {
	flags := a[0] &^ 0xff & 0xffffffff
	if flags&(unix.CLONE_PIDFD|unix.CLONE_PARENT_SETTID) == unix.CLONE_PIDFD|unix.CLONE_PARENT_SETTID {
		return 0, unix.EINVAL // one argument for both
	}
	return clone(t, &task.CloneArgs{Flags: flags, ExitSignal: int(a[0] & 0xff), Stack: a[1], ParentTID: a[2], PidFD: a[2], ChildTID: a[3], TLS: a[4]})
}

func clone(t *task.Thread, c *task.CloneArgs) (uint64, error) {
	tid, err := t.Clone(c)
	return uint64(tid), err
}

func sysFork(t *task.Thread, a *Args) (uint64, error) {
	return clone(t, &task.CloneArgs{ExitSignal: int(unix.SIGCHLD)})
}

func sysVfork(t *task.Thread, a *Args) (uint64, error) {
	return clone(t, &task.CloneArgs{Flags: unix.CLONE_VM | unix.CLONE_VFORK, ExitSignal: int(unix.SIGCHLD)})
}

// sysClone3 is clone(2) with its arguments in struct clone_args; sizes from 64
// bytes on are versions of it.
func sysClone3(t *task.Thread, a *Args) (uint64, error) {
	const first, known = 64, 88
	size := a[1]
	if size > 4096 {
		return 0, unix.E2BIG
	}
	if size < first {
		return 0, unix.EINVAL
	}
	var b [known]byte
	if err := t.MM.CopyIn(b[:min(size, known)], a[0]); err != nil {
		return 0, err
	}
	for at := uint64(known); at < size; at += 8 { // what this kernel does not know must be zero
		var more [8]byte
		if err := t.MM.CopyIn(more[:min(8, size-at)], a[0]+at); err != nil {
			return 0, err
		}
		if more != [8]byte{} {
			return 0, unix.E2BIG
		}
	}
	word := func(i int) uint64 { return le.Uint64(b[8*i:]) }
	flags, stack, stackSize := word(0), word(5), word(6)
	switch {
	case word(9) > maxPIDLevels,
		(word(8) == 0) != (word(9) == 0),
		flags&unix.CLONE_DETACHED != 0,
		flags&0xff != 0 && flags&unix.CLONE_NEWTIME == 0,
		word(4) > linux.NSIG,
		(stack == 0) != (stackSize == 0),
		flags&(unix.CLONE_THREAD|unix.CLONE_PARENT) != 0 && word(4) != 0:
		return 0, unix.EINVAL
	}
	c := task.CloneArgs{Flags: flags, PidFD: word(1), ChildTID: word(2), ParentTID: word(3), ExitSignal: int(word(4)), Stack: stack + stackSize, TLS: word(7)}
	if c.Flags&(unix.CLONE_PIDFD|unix.CLONE_PARENT_SETTID) == unix.CLONE_PIDFD|unix.CLONE_PARENT_SETTID && c.PidFD == c.ParentTID {
		return 0, unix.EINVAL
	}
	if n := word(9); n != 0 {
		id, err := t.MM.Load32(word(8))
		switch {
		case err != nil:
			return 0, err
		case n > 1, int32(id) <= 0: // an ID for each level of namespaces: there is one
			return 0, unix.EINVAL
		}
		c.SetTID = int(int32(id))
	}
	return clone(t, &c)
}

// maxPIDLevels is MAX_PID_NS_LEVEL.
const maxPIDLevels = 32

// sysExecve runs another program (execve(2)).
func sysExecve(t *task.Thread, a *Args) (uint64, error) {
	path, err := copyPath(t, a[0])
	if err != nil {
		return 0, err
	}
	return exec(t, nil, path, 0, a[1], a[2], path)
}

func sysExecveat(t *task.Thread, a *Args) (uint64, error) {
	flags := int(int32(a[4]))
	if flags&^(unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW) != 0 {
		return 0, unix.EINVAL
	}
	path, err := copyPath(t, a[1])
	if err != nil {
		return 0, err
	}
	name := path
	var dir *vfs.File
	if fd := int(int32(a[0])); fd != unix.AT_FDCWD && (path == "" || path[0] != '/') {
		if dir, err = t.Files.Get(fd); err != nil {
			return 0, err
		}
		defer dir.Release()
		name = "/dev/fd/" + itoa(fd)
		if path != "" {
			name += "/" + path
		}
	}
	return exec(t, dir, path, flags, a[2], a[3], name)
}

func exec(t *task.Thread, dir *vfs.File, path string, flags int, argvAddr, envAddr uint64, name string) (uint64, error) {
	room := argRoom()
	argv, err := copyStrings(t, argvAddr, &room)
	if err != nil {
		return 0, err
	}
	env, err := copyStrings(t, envAddr, &room)
	if err != nil {
		return 0, err
	}
	return 0, t.Exec(dir, path, flags, argv, env, name)
}

// argRoom is how many bytes of strings a program may get: 6 MiB as on Linux, less
// on a small machine, because they pass through the kernel's heap.
func argRoom() int {
	total, _, _, _ := frame.Stats()
	return min(6<<20, max(256<<10, int(total)*cpu.PageSize/32))
}

// copyStrings reads an array of strings that ends with a null pointer.
func copyStrings(t *task.Thread, addr uint64, room *int) (list []string, err error) {
	if addr == 0 {
		return nil, nil
	}
	for since := 0; ; addr += 8 {
		p, err := t.MM.Load64(addr)
		if err != nil {
			return nil, err
		}
		if p == 0 {
			return list, nil
		}
		s, err := t.MM.CopyInString(p, 128<<10)
		if err == unix.ENAMETOOLONG {
			err = unix.E2BIG
		}
		if err != nil {
			return nil, err
		}
		if *room -= len(s) + 9; *room < 0 {
			return nil, unix.E2BIG
		}
		if since += len(s) + 32; since >= mm.Large {
			if err := mm.Admit(t.MM, uint64(since)); err != nil {
				return nil, err
			}
			since = 0
		}
		list = append(list, s)
	}
}

// copyPath reads a path (path_resolution(7): ENAMETOOLONG, EFAULT).
func copyPath(t *task.Thread, addr uint64) (string, error) {
	return t.MM.CopyInString(addr, unix.PathMax)
}

func sysExit(t *task.Thread, a *Args) (uint64, error) {
	t.Exit(int(a[0]))
	return 0, nil
}

func sysExitGroup(t *task.Thread, a *Args) (uint64, error) {
	t.ExitGroup(int(a[0]))
	return 0, nil
}

func sysWait4(t *task.Thread, a *Args) (uint64, error) {
	options := int(uint32(a[2])) // __WCLONE is bit 31
	if options&^(unix.WNOHANG|unix.WUNTRACED|unix.WCONTINUED|unix.WALL|unix.WCLONE|unix.WNOTHREAD) != 0 {
		return 0, unix.EINVAL
	}
	pid := int(int32(a[0]))
	if pid == -1<<31 {
		return 0, unix.ESRCH
	}
	r, err := t.Wait4(pid, options|unix.WEXITED)
	if err != nil || r.PID == 0 {
		return 0, err
	}
	if a[1] != 0 {
		if err := t.MM.Store32(a[1], uint32(r.Status)); err != nil {
			return 0, err
		}
	}
	if a[3] != 0 {
		if err := copyOutUsage(t, a[3], &r.Usage); err != nil {
			return 0, err
		}
	}
	return uint64(r.PID), nil
}

func sysWaitid(t *task.Thread, a *Args) (uint64, error) {
	options := int(uint32(a[3]))
	if options&^(unix.WNOHANG|unix.WEXITED|unix.WSTOPPED|unix.WCONTINUED|unix.WNOWAIT|unix.WALL|unix.WCLONE|unix.WNOTHREAD) != 0 ||
		options&(unix.WEXITED|unix.WSTOPPED|unix.WCONTINUED) == 0 {
		return 0, unix.EINVAL
	}
	pid, nonblock := int(int32(a[1])), false
	switch a[0] {
	case unix.P_ALL:
		pid = -1
	case unix.P_PID:
		if pid <= 0 {
			return 0, unix.EINVAL
		}
	case unix.P_PGID:
		if pid < 0 {
			return 0, unix.EINVAL
		}
		pid = -pid
		if pid == -1 { // group 1, which -1 would not say
			return 0, unix.ECHILD
		}
	case unix.P_PIDFD:
		p, f, err := pidfdProcess(t, a[1])
		if err != nil {
			return 0, err
		}
		defer f.Release()
		if pid = p.LiveID(); pid < 0 {
			return 0, unix.ECHILD
		}
		if o := task.ThreadOf(f); o != nil && o != p.Leader() {
			return 0, unix.ECHILD // a thread is nobody's child
		}
		nonblock = f.Nonblocking() && options&unix.WNOHANG == 0
	default:
		return 0, unix.EINVAL
	}
	if nonblock {
		options |= unix.WNOHANG
	}
	r, err := t.Wait4(pid, options)
	if err != nil {
		return 0, err
	}
	if nonblock && r.PID == 0 {
		return 0, unix.EAGAIN
	}
	if a[4] != 0 && r.PID != 0 {
		if err := copyOutUsage(t, a[4], &r.Usage); err != nil {
			return 0, err
		}
	}
	if a[2] == 0 {
		return 0, nil
	}
	var info linux.SigInfo
	if r.PID != 0 {
		status := int32(r.Status >> 8)
		switch r.Code {
		case linux.CLD_KILLED, linux.CLD_DUMPED:
			status = int32(r.Status & 0x7f)
		case linux.CLD_CONTINUED:
			status = int32(unix.SIGCONT)
		}
		info = linux.NewSigInfo(int(unix.SIGCHLD), r.Code)
		info.SetChild(r.PID, r.UID, status, 0, 0)
	}
	return 0, t.MM.CopyOut(a[2], info[:])
}

// copyOutUsage writes a struct rusage.
func copyOutUsage(t *task.Thread, addr uint64, u *task.Usage) error {
	var b [144]byte
	putTimeval(b[0:], u.User)
	putTimeval(b[16:], u.System)
	le.PutUint64(b[32:], u.MaxRSS>>10)
	le.PutUint64(b[64:], u.Faults)
	le.PutUint64(b[128:], u.Switches)
	return t.MM.CopyOut(addr, b[:])
}

func sysSetTIDAddress(t *task.Thread, a *Args) (uint64, error) {
	t.SetClearTID(a[0])
	return uint64(t.TID), nil
}

func sysGettid(t *task.Thread, a *Args) (uint64, error) { return uint64(t.TID), nil }

func sysUnshare(t *task.Thread, a *Args) (uint64, error) { return 0, t.Unshare(a[0]) }

func sysSetRobustList(t *task.Thread, a *Args) (uint64, error) {
	if a[1] != linux.ROBUST_LIST_LENGTH {
		return 0, unix.EINVAL
	}
	t.SetRobustList(a[0])
	return 0, nil
}

func sysGetRobustList(t *task.Thread, a *Args) (uint64, error) {
	o, err := findThread(t, a[0])
	if err != nil {
		return 0, err
	}
	if o.Proc != t.Proc && !t.Creds().Has(unix.CAP_SYS_PTRACE) {
		return 0, unix.EPERM
	}
	if err := t.MM.Store64(a[1], o.RobustList()); err != nil {
		return 0, err
	}
	return 0, t.MM.Store64(a[2], linux.ROBUST_LIST_LENGTH)
}

// findThread returns the thread that a pid argument names, 0 being the caller.
func findThread(t *task.Thread, pid uint64) (*task.Thread, error) {
	id := int(int32(pid))
	if id == 0 || id == t.TID {
		return t, nil
	}
	if o := task.Tasks.Thread(id); o != nil {
		return o, nil
	}
	return nil, unix.ESRCH
}

func sysRestart(t *task.Thread, a *Args) (uint64, error) { return t.Restart() }
