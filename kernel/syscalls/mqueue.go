package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/ipc/mqueue"
	"gosv/kernel/mm"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// mqueueRows are POSIX message queues (mq_overview(7)).
var mqueueRows = []Row{
	{AMD64: 240, ARM64: 180, Name: "mq_open", Fn: sysMqOpen, Format: "name:str, oflag:flags.open, mode:oct, attr:ptr, =fd"},
	{AMD64: 241, ARM64: 181, Name: "mq_unlink", Fn: sysMqUnlink, Format: "name:str"},
	{AMD64: 242, ARM64: 182, Name: "mq_timedsend", Blocks: true, Fn: sysMqTimedsend, Format: "mqdes:fd, msg:buf, len:size, prio:uint, timeout:timespec"},
	{AMD64: 243, ARM64: 183, Name: "mq_timedreceive", Blocks: true, Fn: sysMqTimedreceive, Format: "mqdes:fd, msg:ptr, len:size, prio:ptr, timeout:timespec"},
	{AMD64: 244, ARM64: 184, Name: "mq_notify", Blocks: true, Fn: sysMqNotify, Format: "mqdes:fd, sevp:ptr"},
	{AMD64: 245, ARM64: 185, Name: "mq_getsetattr", Fn: sysMqGetsetattr, Format: "mqdes:fd, new:ptr, old:ptr"},
}

func init() { task.OnExit(func(p *task.Process) { mqueue.Exit(p) }) }

func sysMqOpen(t *task.Thread, a *Args) (uint64, error) {
	name, err := copyPath(t, a[0])
	if err != nil {
		return 0, err
	}
	flags := uint32(a[1])
	var attr *mqueue.Attr
	if a[3] != 0 && flags&unix.O_CREAT != 0 {
		var b [64]byte
		if err := t.MM.CopyIn(b[:], a[3]); err != nil {
			return 0, err
		}
		const most = 1 << 30
		attr = &mqueue.Attr{Max: int(min(le.Uint64(b[8:]), most)), Size: int(min(le.Uint64(b[16:]), most))}
	}
	f, err := mqueue.Open(t.Creds(), name, flags, uint32(a[2])&0o777&^t.FS.Umask(), attr, t.Proc.Limit(unix.RLIMIT_MSGQUEUE))
	if err != nil {
		return 0, err
	}
	return install(t, f, true) // whether or not O_CLOEXEC is asked for
}

func sysMqUnlink(t *task.Thread, a *Args) (uint64, error) {
	name, err := copyPath(t, a[0])
	if err != nil {
		return 0, err
	}
	return 0, mqueue.Unlink(t.Creds(), name)
}

// queueFile returns the queue of a descriptor: EBADF for other files.
func queueFile(t *task.Thread, fd uint64) (*mqueue.Queue, *vfs.File, error) {
	f, err := t.Files.Get(fdArg(fd))
	if err != nil {
		return nil, nil, err
	}
	q := mqueue.Of(f)
	if q == nil {
		f.Release()
		return nil, nil, unix.EBADF
	}
	return q, f, nil
}

func sysMqTimedsend(t *task.Thread, a *Args) (uint64, error) {
	deadline, err := futexDeadline(t, a[4], false, true)
	if err != nil {
		return 0, err
	}
	q, f, err := queueFile(t, a[0])
	if err != nil {
		return 0, err
	}
	defer f.Release()
	if !f.Writable() {
		return 0, unix.EBADF
	}
	if a[2] > uint64(q.Attr().Size) {
		return 0, unix.EMSGSIZE
	}
	if err := mm.Admit(t.MM, a[2]); err != nil {
		return 0, err
	}
	text := make([]byte, a[2])
	if err := t.MM.CopyIn(text, a[1]); err != nil {
		return 0, err
	}
	return 0, q.Send(&t.Sleeper, t.Proc.PID, t.Creds().UID, text, uint32(a[3]), f.Nonblocking(), deadline)
}

func sysMqTimedreceive(t *task.Thread, a *Args) (uint64, error) {
	deadline, err := futexDeadline(t, a[4], false, true)
	if err != nil {
		return 0, err
	}
	q, f, err := queueFile(t, a[0])
	if err != nil {
		return 0, err
	}
	defer f.Release()
	if !f.Readable() {
		return 0, unix.EBADF
	}
	text, priority, err := q.Receive(&t.Sleeper, a[2], f.Nonblocking(), deadline)
	if err != nil {
		return 0, err
	}
	if a[3] != 0 {
		if err := t.MM.Store32(a[3], priority); err != nil {
			return 0, err
		}
	}
	return uint64(len(text)), t.MM.CopyOut(a[1], text)
}

func sysMqGetsetattr(t *task.Thread, a *Args) (uint64, error) {
	q, f, err := queueFile(t, a[0])
	if err != nil {
		return 0, err
	}
	defer f.Release()
	var b [64]byte
	attr, flags := q.Attr(), f.Flags()&unix.O_NONBLOCK
	if a[1] != 0 {
		if err := t.MM.CopyIn(b[:], a[1]); err != nil {
			return 0, err
		}
		v := le.Uint64(b[:])
		if v&^unix.O_NONBLOCK != 0 {
			return 0, unix.EINVAL
		}
		f.SetFlags(uint32(v), unix.O_NONBLOCK)
	}
	if a[2] == 0 {
		return 0, nil
	}
	b = [64]byte{}
	put64s(b[:], 0, uint64(flags), uint64(attr.Max), uint64(attr.Size), uint64(attr.Current))
	return 0, t.MM.CopyOut(a[2], b[:])
}
