package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/fs/procfs"
	"gosv/kernel/ipc"
	"gosv/kernel/ipc/msg"
	"gosv/kernel/ipc/sem"
	"gosv/kernel/ipc/shm"
	"gosv/kernel/mm"
	"gosv/kernel/task"
)

// sysvRows are System V shared memory, semaphores and message queues (sysvipc(7)).
var sysvRows = []Row{
	{AMD64: 29, ARM64: 194, Name: "shmget", Fn: sysShmget, Format: "key:hex, size:size, shmflg:oct",
		Level: Partial, Note: "no SHM_HUGETLB (ENOMEM)"},
	{AMD64: 30, ARM64: 196, Name: "shmat", Fn: sysShmat, Format: "shmid:int, shmaddr:ptr, shmflg:oct, =ptr"},
	{AMD64: 67, ARM64: 197, Name: "shmdt", Fn: sysShmdt, Format: "shmaddr:ptr"},
	{AMD64: 31, ARM64: 195, Name: "shmctl", Fn: sysShmctl, Format: "shmid:int, cmd:int, buf:ptr"},
	{AMD64: 64, ARM64: 190, Name: "semget", Fn: sysSemget, Format: "key:hex, nsems:int, semflg:oct"},
	{AMD64: 65, ARM64: 193, Name: "semop", Blocks: true, Fn: sysSemop, Format: "semid:int, sops:ptr, nsops:size"},
	{AMD64: 220, ARM64: 192, Name: "semtimedop", Blocks: true, Fn: sysSemtimedop, Format: "semid:int, sops:ptr, nsops:size, timeout:timespec"},
	{AMD64: 66, ARM64: 191, Name: "semctl", Fn: sysSemctl, Format: "semid:int, semnum:int, cmd:int, arg:hex"},
	{AMD64: 68, ARM64: 186, Name: "msgget", Fn: sysMsgget, Format: "key:hex, msgflg:oct"},
	{AMD64: 69, ARM64: 189, Name: "msgsnd", Blocks: true, Fn: sysMsgsnd, Format: "msqid:int, msgp:ptr, msgsz:size, msgflg:oct"},
	{AMD64: 70, ARM64: 188, Name: "msgrcv", Blocks: true, Fn: sysMsgrcv, Format: "msqid:int, msgp:ptr, msgsz:size, msgtyp:int, msgflg:oct"},
	{AMD64: 71, ARM64: 187, Name: "msgctl", Fn: sysMsgctl, Format: "msqid:int, cmd:int, buf:ptr"},
}

func init() {
	task.OnExit(func(p *task.Process) { sem.Exit(p, p.PID) })
	procfs.Register("sysvipc/msg", msg.AppendList)
	procfs.Register("sysvipc/sem", sem.AppendList)
	procfs.Register("sysvipc/shm", shm.AppendList)
}

const shmHugeTLB = 0o4000

func sysShmget(t *task.Thread, a *Args) (uint64, error) {
	flags := uint32(a[2])
	if flags&shmHugeTLB != 0 {
		return 0, unix.ENOMEM
	}
	return count(shm.Get(t.Creds(), t.Proc.PID, int32(a[0]), a[1], flags))
}

func sysShmat(t *task.Thread, a *Args) (uint64, error) {
	s, err := shm.Segments.Find(int(int32(a[0])))
	if err != nil {
		return 0, err
	}
	return s.Attach(t.Creds(), t.Proc.PID, t.MM, a[1], uint32(a[2]))
}

func sysShmdt(t *task.Thread, a *Args) (uint64, error) { return 0, shm.Detach(t.Proc.PID, t.MM, a[0]) }

// Commands beside those of package ipc (include/uapi/linux/shm.h, sem.h, msg.h).
const (
	shmLock    = 11
	shmUnlock  = 12
	shmStat    = 13
	shmInfo    = 14
	shmStatAny = 15

	msgStat    = 11
	msgInfo    = 12
	msgStatAny = 13

	semGetPID   = 11
	semGetVal   = 12
	semGetAll   = 13
	semGetNCnt  = 14
	semGetZCnt  = 15
	semSetVal   = 16
	semSetAll   = 17
	semStat     = 18
	semInfo     = 19
	semStatAny  = 20
	ipcPermSize = 48
)

// putPerm writes a struct ipc64_perm.
func putPerm(b []byte, p *ipc.Perm) {
	for i, v := range [...]uint32{uint32(p.Key), p.UID, p.GID, p.CUID, p.CGID, p.Mode} {
		le.PutUint32(b[4*i:], v)
	}
	le.PutUint16(b[24:], p.Seq)
}

// getPerm reads what IPC_SET takes from a struct ipc64_perm.
func getPerm(b []byte) (uid, gid, mode uint32) {
	return le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[20:])
}

func put64s(b []byte, at int, values ...uint64) {
	for i, v := range values {
		le.PutUint64(b[at+8*i:], v)
	}
}

// bySlot finds the object of xxx_STAT, whose argument is a slot and not an ID, or
// of IPC_STAT.
func bySlot[T ipc.Object](tab *ipc.Table[T], id int, slot bool) (T, error) {
	if slot {
		return tab.At(id)
	}
	return tab.Find(id)
}

func sysShmctl(t *task.Thread, a *Args) (uint64, error) {
	id, cmd := int(int32(a[0])), int32(a[1])
	c := t.Creds()
	if id < 0 || cmd < 0 {
		return 0, unix.EINVAL
	}
	var b [112]byte
	switch cmd {
	case ipc.Info:
		n := uint64(shm.MaxSegments.Load())
		put64s(b[:], 0, shm.MaxSize.Load(), 1, n, n, shm.MaxPages.Load())
		_, highest := shm.Segments.All()
		return uint64(highest), t.MM.CopyOut(a[2], b[:72])
	case shmInfo:
		all, highest := shm.Segments.All()
		le.PutUint32(b[:], uint32(len(all)))
		var total, resident uint64
		for _, s := range all {
			total += (s.Size + 4095) / 4096
			resident += uint64(s.Resident())
		}
		put64s(b[:], 8, total, resident)
		return uint64(highest), t.MM.CopyOut(a[2], b[:48])
	case ipc.Stat, shmStat, shmStatAny:
		s, err := bySlot(shm.Segments, id, cmd != ipc.Stat)
		if err != nil {
			return 0, err
		}
		p, atime, dtime, ctime, creator, last := s.Snapshot()
		if cmd != shmStatAny {
			if err := p.Check(c, 0o444); err != nil {
				return 0, err
			}
		}
		putPerm(b[:], &p)
		put64s(b[:], ipcPermSize, s.Size, uint64(atime), uint64(dtime), uint64(ctime))
		le.PutUint32(b[80:], uint32(creator))
		le.PutUint32(b[84:], uint32(last))
		le.PutUint64(b[88:], s.Attached())
		result := uint64(0)
		if cmd != ipc.Stat {
			result = uint64(p.ID)
		}
		return result, t.MM.CopyOut(a[2], b[:])
	}
	s, err := shm.Segments.Find(id)
	if err != nil {
		return 0, err
	}
	switch cmd {
	case ipc.Set:
		if err := t.MM.CopyIn(b[:], a[2]); err != nil {
			return 0, err
		}
		uid, gid, mode := getPerm(b[:])
		return 0, s.Set(c, uid, gid, mode)
	case ipc.Rmid:
		return 0, s.Remove(c)
	case shmLock, shmUnlock:
		return 0, s.Lock(c, cmd == shmLock)
	}
	return 0, unix.EINVAL
}

func sysMsgget(t *task.Thread, a *Args) (uint64, error) {
	return count(msg.Get(t.Creds(), int32(a[0]), uint32(a[1])))
}

func sysMsgsnd(t *task.Thread, a *Args) (uint64, error) {
	if a[2] > uint64(msg.MaxMessage.Load()) || int64(a[2]) < 0 {
		return 0, unix.EINVAL
	}
	kind, err := t.MM.Load64(a[1])
	if err != nil {
		return 0, err
	}
	if err := mm.Admit(t.MM, a[2]); err != nil {
		return 0, err
	}
	text := make([]byte, a[2])
	if err := t.MM.CopyIn(text, a[1]+8); err != nil {
		return 0, err
	}
	q, err := msg.Queues.Find(int(int32(a[0])))
	if err != nil {
		return 0, err
	}
	return 0, q.Send(t.Creds(), &t.Sleeper, t.Proc.PID, int64(kind), text, uint32(a[3]))
}

func sysMsgrcv(t *task.Thread, a *Args) (uint64, error) {
	if int64(a[2]) < 0 {
		return 0, unix.EINVAL
	}
	q, err := msg.Queues.Find(int(int32(a[0])))
	if err != nil {
		return 0, err
	}
	kind, text, err := q.Receive(t.Creds(), &t.Sleeper, t.Proc.PID, int64(a[3]), a[2], uint32(a[4]))
	if err != nil {
		return 0, err
	}
	if err := t.MM.Store64(a[1], uint64(kind)); err != nil {
		return 0, err
	}
	return uint64(len(text)), t.MM.CopyOut(a[1]+8, text)
}

func sysMsgctl(t *task.Thread, a *Args) (uint64, error) {
	id, cmd := int(int32(a[0])), int32(a[1])
	c := t.Creds()
	if id < 0 || cmd < 0 {
		return 0, unix.EINVAL
	}
	var b [120]byte
	switch cmd {
	case ipc.Info, msgInfo:
		all, highest := msg.Queues.All()
		// MSGPOOL, MSGMAP and MSGTQL are constants that limit nothing.
		info := [7]uint32{32000 * 16384 / 1024, 16384, uint32(msg.MaxMessage.Load()), uint32(msg.MaxBytes.Load()), uint32(msg.MaxQueues.Load()), 16, 16384}
		if cmd == msgInfo {
			var messages, bytes uint64
			for _, q := range all {
				_, st := q.Snapshot()
				messages += st.Count
				bytes += st.Bytes
			}
			info[0], info[1], info[6] = uint32(len(all)), uint32(messages), uint32(bytes)
		}
		for i, v := range info {
			le.PutUint32(b[4*i:], v)
		}
		le.PutUint16(b[28:], 0xffff)
		return uint64(highest), t.MM.CopyOut(a[2], b[:32])
	case ipc.Stat, msgStat, msgStatAny:
		q, err := bySlot(msg.Queues, id, cmd != ipc.Stat)
		if err != nil {
			return 0, err
		}
		p, st := q.Snapshot()
		if cmd != msgStatAny {
			if err := p.Check(c, 0o444); err != nil {
				return 0, err
			}
		}
		putPerm(b[:], &p)
		put64s(b[:], ipcPermSize, uint64(st.STime), uint64(st.RTime), uint64(st.CTime), st.Bytes, st.Count, st.MaxBytes)
		le.PutUint32(b[96:], uint32(st.Sender))
		le.PutUint32(b[100:], uint32(st.Receiver))
		result := uint64(0)
		if cmd != ipc.Stat {
			result = uint64(p.ID)
		}
		return result, t.MM.CopyOut(a[2], b[:])
	}
	q, err := msg.Queues.Find(id)
	if err != nil {
		return 0, err
	}
	switch cmd {
	case ipc.Set:
		if err := t.MM.CopyIn(b[:], a[2]); err != nil {
			return 0, err
		}
		uid, gid, mode := getPerm(b[:])
		return 0, q.Set(c, uid, gid, mode, le.Uint64(b[88:]))
	case ipc.Rmid:
		return 0, q.Remove(c)
	}
	return 0, unix.EINVAL
}
