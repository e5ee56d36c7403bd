package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/ipc"
	"gosv/kernel/ipc/sem"
	"gosv/kernel/task"
)

func sysSemget(t *task.Thread, a *Args) (uint64, error) {
	return count(sem.Get(t.Creds(), int32(a[0]), int(int32(a[1])), uint32(a[2])))
}

func sysSemop(t *task.Thread, a *Args) (uint64, error) { return semop(t, a, 0) }

func sysSemtimedop(t *task.Thread, a *Args) (uint64, error) {
	deadline, err := futexDeadline(t, a[3], true, false)
	if err != nil {
		return 0, err
	}
	return semop(t, a, deadline)
}

func semop(t *task.Thread, a *Args, deadline int64) (uint64, error) {
	n := a[2]
	if n == 0 || int(int32(a[0])) < 0 {
		return 0, unix.EINVAL
	}
	if n > uint64(max(sem.MaxOps.Load(), 0)) {
		return 0, unix.E2BIG
	}
	b := make([]byte, 6*n)
	if err := t.MM.CopyIn(b, a[1]); err != nil {
		return 0, err
	}
	ops := make([]sem.Op, n)
	for i := range ops {
		f := b[6*i:]
		ops[i] = sem.Op{Num: le.Uint16(f), Op: int16(le.Uint16(f[2:])), Flags: int16(le.Uint16(f[4:]))}
	}
	s, err := sem.Sets.Find(int(int32(a[0])))
	if err != nil {
		return 0, err
	}
	return 0, s.Operate(t.Creds(), &t.Sleeper, t.Proc, t.Proc.PID, ops, deadline)
}

func sysSemctl(t *task.Thread, a *Args) (uint64, error) {
	id, n, cmd, arg := int(int32(a[0])), int(int32(a[1])), int32(a[2]), a[3]
	c := t.Creds()
	if id < 0 {
		return 0, unix.EINVAL
	}
	var b [104]byte
	switch cmd {
	case ipc.Info, semInfo:
		all, highest := sem.Sets.All()
		const all32k = 32000 * 32000 // SEMMAP and SEMMNU, which limit nothing
		info := [10]uint32{all32k, uint32(sem.MaxSets.Load()), uint32(sem.MaxAll.Load()), all32k, uint32(sem.MaxPerSet.Load()),
			uint32(sem.MaxOps.Load()), 500, 20, sem.MaxValue, sem.MaxValue}
		if cmd == semInfo {
			total := 0
			for _, s := range all {
				total += s.Len()
			}
			info[7], info[9] = uint32(len(all)), uint32(total)
		}
		for i, v := range info {
			le.PutUint32(b[4*i:], v)
		}
		return uint64(highest), t.MM.CopyOut(arg, b[:40])
	case ipc.Stat, semStat, semStatAny:
		s, err := bySlot(sem.Sets, id, cmd != ipc.Stat)
		if err != nil {
			return 0, err
		}
		p, otime, ctime, n := s.Snapshot()
		if cmd != semStatAny {
			if err := p.Check(c, 0o444); err != nil {
				return 0, err
			}
		}
		putPerm(b[:], &p)
		le.PutUint64(b[ipcPermSize:], uint64(otime))
		le.PutUint64(b[semCTime:], uint64(ctime))
		le.PutUint64(b[semCount:], uint64(n))
		result := uint64(0)
		if cmd != ipc.Stat {
			result = uint64(p.ID)
		}
		return result, t.MM.CopyOut(arg, b[:semDSSize])
	}
	s, err := sem.Sets.Find(id)
	if err != nil {
		return 0, err
	}
	switch cmd {
	case ipc.Set:
		if err := t.MM.CopyIn(b[:ipcPermSize], arg); err != nil {
			return 0, err
		}
		uid, gid, mode := getPerm(b[:])
		return 0, s.Set(c, uid, gid, mode)
	case ipc.Rmid:
		return 0, s.Remove(c)
	case semGetAll:
		values, err := s.Values(c)
		if err != nil {
			return 0, err
		}
		out := make([]byte, 2*len(values))
		for i, v := range values {
			le.PutUint16(out[2*i:], uint16(v))
		}
		return 0, t.MM.CopyOut(arg, out)
	case semSetAll:
		in := make([]byte, 2*s.Len())
		if err := t.MM.CopyIn(in, arg); err != nil {
			return 0, err
		}
		values := make([]int, s.Len())
		for i := range values {
			values[i] = int(le.Uint16(in[2*i:]))
		}
		return 0, s.SetValues(c, t.Proc.PID, 0, values)
	case semSetVal:
		return 0, s.SetValues(c, t.Proc.PID, n, []int{int(int32(arg))})
	case semGetVal, semGetPID, semGetNCnt, semGetZCnt:
		st, err := s.State(c, n)
		if err != nil {
			return 0, err
		}
		return uint64(map[int32]int{semGetVal: st.Value, semGetPID: st.PID, semGetNCnt: st.Waiting, semGetZCnt: st.WaitingZero}[cmd]), nil
	}
	return 0, unix.EINVAL
}
