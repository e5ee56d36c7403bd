// Package shm is System V shared memory (shmget(2), shmop(2)).
package shm

import (
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/frame"
	"gosv/kernel/ipc"
	"gosv/kernel/mm"
	"gosv/kernel/sysctl"
	"gosv/kernel/vfs"
)

// Limits (proc_sys_kernel(5)).
var (
	MaxSegments sysctl.Int32  = 4096              // shmmni
	MaxSize     sysctl.Uint64 = 1<<64 - 1 - 1<<24 // shmmax, in bytes
	MaxPages    sysctl.Uint64 = 1<<64 - 1 - 1<<24 // shmall
)

// pages is how many pages all segments have.
var pages atomic.Uint64

var sysctls = [...]sysctl.Row{
	{Name: "kernel.shmmni", Value: &sysctl.Int{Var: &MaxSegments, Max: ipc.MaxSlots}},
	{Name: "kernel.shmmax", Value: &sysctl.Ulong{Var: &MaxSize}},
	{Name: "kernel.shmall", Value: &sysctl.Ulong{Var: &MaxPages}},
}

func init() { sysctl.Register(sysctls[:]) }

// Bits of Perm.Mode beside the permissions.
const (
	dest   = 0o1000 // goes with its last attachment
	locked = 0o2000
)

// Flags of shmat(2).
const (
	ReadOnly = 0o10000
	Round    = 0o20000
	Remap    = 0o40000
	Exec     = 0o100000
)

// Segments is all segments.
var Segments = &ipc.Table[*Segment]{Max: &MaxSegments}

// lasting is the quota of all segments: they stay when their processes are gone.
var lasting = mm.Lethal(mm.Lasting)

// A Segment is memory that processes share: what they map is it.
type Segment struct {
	key   int32
	mu    sync.Mutex
	perm  ipc.Perm
	Size  uint64
	cache *mm.Cache

	ATime, DTime, CTime int64
	Creator, Last       int
	attached            atomic.Int64
}

// IPCPerm implements ipc.Object.
func (s *Segment) IPCPerm() *ipc.Perm { return &s.perm }

// Get is shmget(2) by process pid.
func Get(c *vfs.Creds, pid int, key int32, size uint64, flags uint32) (int, error) {
	return Segments.Get(c, key, flags, func(p ipc.Perm) (*Segment, error) {
		if size == 0 || size > MaxSize.Load() {
			return nil, unix.EINVAL
		}
		if size > 1<<62 {
			return nil, unix.ENOSPC
		}
		n := (size + cpu.PageSize - 1) / cpu.PageSize
		if pages.Load()+n > MaxPages.Load() {
			return nil, unix.ENOSPC
		}
		if total, _, _, _ := frame.Stats(); size > uint64(total)*cpu.PageSize {
			return nil, unix.ENOMEM
		}
		s := &Segment{key: key, perm: p, Size: size, cache: mm.NewMemory(lasting), CTime: ipc.Now(), Creator: pid}
		if err := s.cache.SetSize(int64(size+cpu.PageSize-1) &^ (cpu.PageSize - 1)); err != nil {
			return nil, err
		}
		pages.Add(n)
		return s, nil
	}, func(s *Segment) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := s.perm.Check(c, flags); err != nil {
			return err
		}
		if size > s.Size {
			return unix.EINVAL
		}
		return nil
	})
}

// Cache implements mm.Mappable.
func (s *Segment) Cache() *mm.Cache { return s.cache }

// MapName implements mm.Mappable.
func (s *Segment) MapName() string {
	h := strconv.FormatUint(uint64(uint32(s.key)), 16)
	return "/SYSV" + "00000000"[len(h):] + h + " (deleted)"
}

// Retain implements mm.Mappable: each mapping is an attachment.
func (s *Segment) Retain() { s.attached.Add(1) }

// Release implements mm.Mappable.
func (s *Segment) Release() {
	if s.attached.Add(-1) == 0 {
		s.mu.Lock()
		s.DTime = ipc.Now()
		last := s.perm.Mode&dest != 0 && s.attached.Load() == 0
		s.mu.Unlock()
		if last {
			s.destroy()
		}
	}
}

func (s *Segment) destroy() {
	if Segments.Remove(s.key, s) {
		pages.Add(-((s.Size + cpu.PageSize - 1) / cpu.PageSize))
	}
	s.cache.Drop()
}

// Attached is how many mappings there are.
func (s *Segment) Attached() uint64 { return uint64(max(s.attached.Load(), 0)) }

// Attach is shmat(2) into as; addr 0 lets the kernel choose. EACCES, EINVAL,
// ENOMEM.
func (s *Segment) Attach(c *vfs.Creds, pid int, as *mm.AddressSpace, addr uint64, flags uint32) (uint64, error) {
	prot, mode := mm.ProtRead|mm.ProtWrite, uint32(0o666)
	if flags&ReadOnly != 0 {
		prot, mode = mm.ProtRead, 0o444
	}
	if flags&Exec != 0 {
		prot |= mm.ProtExec
		mode |= 0o111
	}
	s.mu.Lock()
	err := s.perm.Check(c, mode)
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	m := mm.MapArgs{Addr: addr, Len: s.Size, Prot: prot, MaxProt: mm.ProtRead | mm.ProtWrite | mm.ProtExec, Flags: unix.MAP_SHARED, File: s}
	if flags&ReadOnly != 0 {
		m.MaxProt &^= mm.ProtWrite
	}
	switch {
	case addr == 0 && flags&Remap != 0:
		return 0, unix.EINVAL
	case addr != 0:
		if addr%cpu.PageSize != 0 {
			if flags&Round == 0 {
				return 0, unix.EINVAL
			}
			m.Addr &^= cpu.PageSize - 1
		}
		m.Flags |= unix.MAP_FIXED
		if flags&Remap == 0 {
			m.Flags |= unix.MAP_FIXED_NOREPLACE
		}
	}
	s.Retain() // it must not go between here and its mapping
	defer s.Release()
	at, err := as.Mmap(m)
	if err != nil {
		if err == unix.EEXIST {
			err = unix.EINVAL
		}
		return 0, err
	}
	s.mu.Lock()
	s.ATime, s.Last = ipc.Now(), pid
	s.mu.Unlock()
	return at, nil
}

// Detach is shmdt(2): it unmaps the segment attached at addr. EINVAL.
func Detach(pid int, as *mm.AddressSpace, addr uint64) error {
	type piece struct{ start, end uint64 }
	var pieces []piece
	var seg *Segment
	if addr%cpu.PageSize != 0 {
		return unix.EINVAL
	}
	as.Areas(func(a mm.AreaInfo) bool {
		s, ok := a.File.(*Segment)
		if !ok || a.Start < addr || a.Start-addr != a.Offset {
			return true
		}
		if seg == nil {
			seg = s
		}
		if s == seg && a.Start-addr < s.Size {
			pieces = append(pieces, piece{a.Start, a.End})
		}
		return true
	})
	if seg == nil {
		return unix.EINVAL
	}
	for _, p := range pieces {
		if err := as.Munmap(p.start, p.end-p.start); err != nil {
			return err
		}
	}
	seg.mu.Lock()
	seg.DTime, seg.Last = ipc.Now(), pid
	seg.mu.Unlock()
	return nil
}

// Remove is IPC_RMID: the segment goes with its last attachment.
func (s *Segment) Remove(c *vfs.Creds) error {
	s.mu.Lock()
	if err := s.perm.MayChange(c); err != nil {
		s.mu.Unlock()
		return err
	}
	s.perm.Mode |= dest
	s.perm.Key = ipc.Private
	last := s.attached.Load() == 0
	s.mu.Unlock()
	Segments.Hide(s.key, s)
	if last {
		s.destroy()
	}
	return nil
}

// Set is IPC_SET.
func (s *Segment) Set(c *vfs.Creds, uid, gid, mode uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.perm.MayChange(c); err != nil {
		return err
	}
	s.perm.Update(uid, gid, mode)
	s.CTime = ipc.Now()
	return nil
}

// Lock is SHM_LOCK and SHM_UNLOCK: nothing is ever swapped, so it is a mark only.
func (s *Segment) Lock(c *vfs.Creds, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.Has(unix.CAP_IPC_LOCK) && c.EUID != s.perm.UID && c.EUID != s.perm.CUID {
		return unix.EPERM
	}
	s.perm.Mode &^= locked
	if on {
		s.perm.Mode |= locked
	}
	return nil
}

// Snapshot is what IPC_STAT shows.
func (s *Segment) Snapshot() (p ipc.Perm, atime, dtime, ctime int64, creator, last int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.perm, s.ATime, s.DTime, s.CTime, s.Creator, s.Last
}

// Resident is how many pages have memory.
func (s *Segment) Resident() int64 { return s.cache.Pages() }

// AppendList writes /proc/sysvipc/shm.
func AppendList(b []byte) []byte {
	b = append(b, "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime"+
		"                   rss                  swap\n"...)
	all, _ := Segments.All()
	for _, s := range all {
		p, atime, dtime, ctime, creator, last := s.Snapshot()
		b = ipc.AppendPerm(b, &p)
		b = ipc.Column(append(b, ' '), int64(s.Size), 21)
		b = ipc.Column(append(b, ' '), int64(creator), 5)
		b = ipc.Column(append(b, ' '), int64(last), 5)
		b = ipc.Column(append(b, "  "...), int64(s.Attached()), 5)
		b = ipc.AppendOwners(b, &p)
		for _, t := range [...]int64{atime, dtime, ctime} {
			b = ipc.Column(append(b, ' '), t, 10)
		}
		b = ipc.Column(append(b, ' '), s.Resident()*cpu.PageSize, 21)
		b = ipc.Column(append(b, ' '), 0, 21)
		b = append(b, '\n')
	}
	return b
}
