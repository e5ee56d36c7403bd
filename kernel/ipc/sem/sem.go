// Package sem is System V semaphores (semget(2), semop(2)).
//
// Lock order: Set.mu, then undo.mu.
package sem

import (
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/kernel/ipc"
	"gosv/kernel/sysctl"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// Limits (proc_sys_kernel(5), "sem").
var (
	MaxSets   sysctl.Int32 = 32000      // SEMMNI
	MaxPerSet sysctl.Int32 = 32000      // SEMMSL
	MaxAll    sysctl.Int32 = 1024000000 // SEMMNS
	MaxOps    sysctl.Int32 = 500        // SEMOPM
)

// MaxValue is SEMVMX.
const MaxValue = 32767

// limits is their order in kernel.sem.
var limits = [...]*sysctl.Int32{&MaxPerSet, &MaxAll, &MaxOps, &MaxSets}

var sysctls = [...]sysctl.Row{
	{Name: "kernel.sem", Value: &sysctl.Int{N: len(limits), Get: func(i int) int32 { return limits[i].Load() }, Set: setLimit}},
}

func init() { sysctl.Register(sysctls[:]) }

func setLimit(i int, v int32) error {
	if limits[i] == &MaxSets && (v < 0 || v > ipc.MaxSlots) {
		return unix.ERANGE
	}
	limits[i].Store(v)
	return nil
}

// used is how many semaphores all sets have.
var used atomic.Int64

// Undo is SEM_UNDO.
const Undo = 0x1000

// Sets is all semaphore sets.
var Sets = &ipc.Table[*Set]{Max: &MaxSets}

// A Set is the semaphores of an identifier.
type Set struct {
	mu      sync.Mutex
	perm    ipc.Perm
	sems    []semaphore
	pending []*waiter
	removed bool
	otime   int64
	ctime   int64
}

type semaphore struct {
	value int
	pid   int
}

// cost is about how many bytes a set of n semaphores takes.
func cost(n int) int { return 256 + 16*n }

// An Op is struct sembuf.
type Op struct {
	Num   uint16
	Op    int16
	Flags int16
}

// waiter is a semop that cannot be done yet.
type waiter struct {
	ops    []Op
	owner  any
	pid    int
	on     int // the semaphore that holds it up
	zero   bool
	done   bool
	err    error
	thread *wait.Sleeper
}

// IPCPerm implements ipc.Object.
func (s *Set) IPCPerm() *ipc.Perm { return &s.perm }

// Get is semget(2).
func Get(c *vfs.Creds, key int32, n int, flags uint32) (int, error) {
	if n < 0 || n > int(MaxPerSet.Load()) {
		return 0, unix.EINVAL
	}
	return Sets.Get(c, key, flags, func(p ipc.Perm) (*Set, error) {
		if n == 0 {
			return nil, unix.EINVAL
		}
		if used.Load()+int64(n) > int64(MaxAll.Load()) {
			return nil, unix.ENOSPC
		}
		if !ipc.Take(cost(n)) {
			return nil, unix.ENOMEM
		}
		used.Add(int64(n))
		return &Set{perm: p, sems: make([]semaphore, n), ctime: ipc.Now()}, nil
	}, func(s *Set) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := s.perm.Check(c, flags); err != nil {
			return err
		}
		if n > len(s.sems) {
			return unix.EINVAL
		}
		return nil
	})
}

// Operate is semtimedop(2) by a process: owner stands for it in the list of what
// is undone at its end. deadline is on cpu.Nanotime's clock, 0 for none. E2BIG,
// EFBIG, EAGAIN, ERANGE, EIDRM, EINTR.
func (s *Set) Operate(c *vfs.Creds, t *wait.Sleeper, owner any, pid int, ops []Op, deadline int64) error {
	s.mu.Lock()
	mode := uint32(0o444)
	for _, o := range ops {
		if int(o.Num) >= len(s.sems) {
			s.mu.Unlock()
			return unix.EFBIG
		}
		if o.Op != 0 {
			mode = 0o222
		}
	}
	if err := s.perm.Check(c, mode); err != nil {
		s.mu.Unlock()
		return err
	}
	if s.removed {
		s.mu.Unlock()
		return unix.EIDRM
	}
	w := &waiter{ops: ops, owner: owner, pid: pid, thread: t}
	blocked, nowait, err := s.try(w)
	switch {
	case err != nil:
		s.mu.Unlock()
		return err
	case !blocked:
		s.otime = ipc.Now()
		s.retry()
		s.mu.Unlock()
		return nil
	case nowait:
		s.mu.Unlock()
		return unix.EAGAIN
	}
	s.pending = append(s.pending, w)
	t.Clear()
	s.mu.Unlock()
	for {
		r := t.Sleep(deadline)
		s.mu.Lock()
		if !w.done && r != wait.Woken {
			w.done, w.err = true, unix.EINTR
			if r == wait.TimedOut {
				w.err = unix.EAGAIN
			}
			s.pending = slices.DeleteFunc(s.pending, func(o *waiter) bool { return o == w })
		}
		done := w.done
		s.mu.Unlock()
		if done {
			return w.err
		}
	}
}

// try does all operations or none; blocked says that one cannot be done now, and
// nowait that it has IPC_NOWAIT. mu is held.
func (s *Set) try(w *waiter) (blocked, nowait bool, err error) {
	for i, o := range w.ops {
		m := &s.sems[o.Num]
		v := m.value + int(o.Op)
		switch {
		case o.Op == 0 && m.value != 0, v < 0:
			blocked, nowait = true, o.Flags&ipc.NoWait != 0
			w.on, w.zero = int(o.Num), o.Op == 0
		case v > MaxValue:
			err = unix.ERANGE
		default:
			m.value = v
			continue
		}
		for _, done := range w.ops[:i] {
			s.sems[done.Num].value -= int(done.Op)
		}
		return blocked, nowait, err
	}
	for _, o := range w.ops {
		s.sems[o.Num].pid = w.pid
		if o.Flags&Undo != 0 && o.Op != 0 {
			adjust(w.owner, s, int(o.Num), -int(o.Op))
		}
	}
	return false, false, nil
}

// retry does what waits, as long as something can be done. mu is held.
func (s *Set) retry() {
	for again := true; again; {
		again = false
		for i, w := range s.pending {
			blocked, nowait, err := s.try(w)
			if blocked && nowait {
				err = unix.EAGAIN
			} else if blocked {
				continue
			}
			s.otime = ipc.Now()
			w.done, w.err = true, err
			s.pending = slices.Delete(s.pending, i, i+1)
			w.thread.Wake()
			again = true
			break
		}
	}
}

// Remove is IPC_RMID.
func (s *Set) Remove(c *vfs.Creds) error {
	s.mu.Lock()
	if err := s.perm.MayChange(c); err != nil {
		s.mu.Unlock()
		return err
	}
	s.removed = true
	for _, w := range s.pending {
		w.done, w.err = true, unix.EIDRM
		w.thread.Wake()
	}
	s.pending = nil
	s.mu.Unlock()
	if Sets.Remove(s.perm.Key, s) {
		ipc.Give(cost(len(s.sems)))
		used.Add(-int64(len(s.sems)))
	}
	forget(s)
	return nil
}

// Set is IPC_SET.
func (s *Set) Set(c *vfs.Creds, uid, gid, mode uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.perm.MayChange(c); err != nil {
		return err
	}
	s.perm.Update(uid, gid, mode)
	s.ctime = ipc.Now()
	return nil
}

// Snapshot is what IPC_STAT shows.
func (s *Set) Snapshot() (p ipc.Perm, otime, ctime int64, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.perm, s.otime, s.ctime, len(s.sems)
}

// Values returns all values (GETALL): EACCES.
func (s *Set) Values(c *vfs.Creds) ([]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.perm.Check(c, 0o444); err != nil {
		return nil, err
	}
	v := make([]int, len(s.sems))
	for i := range s.sems {
		v[i] = s.sems[i].value
	}
	return v, nil
}

// State is what GETVAL, GETPID, GETNCNT and GETZCNT tell of a semaphore.
type State struct{ Value, PID, Waiting, WaitingZero int }

// State looks at semaphore n: EACCES, EINVAL.
func (s *Set) State(c *vfs.Creds, n int) (st State, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.perm.Check(c, 0o444); err != nil {
		return st, err
	}
	if n < 0 || n >= len(s.sems) {
		return st, unix.EINVAL
	}
	st.Value, st.PID = s.sems[n].value, s.sems[n].pid
	for _, w := range s.pending {
		if w.on == n && w.zero {
			st.WaitingZero++
		} else if w.on == n {
			st.Waiting++
		}
	}
	return st, nil
}

// Len is the number of semaphores.
func (s *Set) Len() int { return len(s.sems) }

// SetValues is SETVAL and SETALL: from semaphore first on. What was to be undone
// is forgotten. EACCES, EINVAL, ERANGE.
func (s *Set) SetValues(c *vfs.Creds, pid, first int, values []int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.perm.Check(c, 0o222); err != nil {
		return err
	}
	if first < 0 || first+len(values) > len(s.sems) {
		return unix.EINVAL
	}
	for _, v := range values {
		if v < 0 || v > MaxValue {
			return unix.ERANGE
		}
	}
	if s.removed {
		return unix.EIDRM
	}
	for i, v := range values {
		s.sems[first+i] = semaphore{v, pid}
		clearAdjust(s, first+i)
	}
	s.ctime = ipc.Now()
	s.retry()
	return nil
}

// undo is what SEM_UNDO has collected: per process and set, a value to add to
// each semaphore.
var undo struct {
	mu sync.Mutex
	m  map[any]map[*Set]map[int]int
}

func adjust(owner any, s *Set, n, by int) {
	undo.mu.Lock()
	defer undo.mu.Unlock()
	if undo.m == nil {
		undo.m = make(map[any]map[*Set]map[int]int)
	}
	sets := undo.m[owner]
	if sets == nil {
		sets = make(map[*Set]map[int]int)
		undo.m[owner] = sets
	}
	if sets[s] == nil {
		sets[s] = make(map[int]int)
	}
	sets[s][n] += by
}

func clearAdjust(s *Set, n int) {
	undo.mu.Lock()
	defer undo.mu.Unlock()
	for _, sets := range undo.m {
		delete(sets[s], n)
	}
}

func forget(s *Set) {
	undo.mu.Lock()
	defer undo.mu.Unlock()
	for _, sets := range undo.m {
		delete(sets, s)
	}
}

// Exit is the end of a process: what SEM_UNDO promised is done.
func Exit(owner any, pid int) {
	undo.mu.Lock()
	sets := undo.m[owner]
	delete(undo.m, owner)
	undo.mu.Unlock()
	for s, by := range sets {
		s.mu.Lock()
		for n, d := range by {
			m := &s.sems[n]
			m.value = min(max(m.value+d, 0), MaxValue)
			m.pid = pid
		}
		s.otime = ipc.Now()
		s.retry()
		s.mu.Unlock()
	}
}

// AppendList writes /proc/sysvipc/sem.
func AppendList(b []byte) []byte {
	b = append(b, "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n"...)
	all, _ := Sets.All()
	for _, s := range all {
		p, otime, ctime, n := s.Snapshot()
		b = ipc.AppendPerm(b, &p)
		b = ipc.Column(append(b, ' '), int64(n), 10)
		b = ipc.AppendOwners(b, &p)
		b = ipc.Column(append(b, ' '), otime, 10)
		b = ipc.Column(append(b, ' '), ctime, 10)
		b = append(b, '\n')
	}
	return b
}
