// Package mm is virtual memory: address spaces and their areas, page tables, demand paging and copy-on-write, the page
// cache, and the kernel's access to user memory.
//
// An AddressSpace is a tree of areas, what the program asked for, and a page table, what it has touched so far. Every
// page of a table comes into being in a page fault and goes in zap; both are in this package only.
//
// Lock order:
//
//	locks of files and file systems that are held over Read and Write of a Cache (i_rwsem in Linux)
//	  AddressSpace.mu         for reading in page faults, for writing by what changes areas or removes page tables
//	    Cache.mu
//	    caches.mu             the list that reclaim walks
//	  locks that a Backing takes
//
// User memory may be touched with none of these held but the first: a copy that faults takes AddressSpace.mu. A
// Backing is called with no lock of this package held.
package mm

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
	"gosv/kernel/frame"
)

// Prot is a set of PROT_* bits (mmap(2)).
type Prot uint8

// What a page may be used for.
const (
	ProtRead  Prot = 1
	ProtWrite Prot = 2
	ProtExec  Prot = 4
)

// Access is the kind of access that faulted.
type Access uint8

// The kinds of access.
const (
	AccessRead Access = iota
	AccessWrite
	AccessExec
)

// outcome is how resolve ended.
type outcome uint8

const (
	resolved  outcome = iota // the access can be tried again
	noMapping                // SIGSEGV, SEGV_MAPERR
	noAccess                 // SIGSEGV, SEGV_ACCERR
	beyondEnd                // SIGBUS, BUS_ADRERR: beyond the end of the file, or it cannot be read
	noMemory                 // no frame is left
)

// A FaultError is a page fault that the program must hear of.
type FaultError struct {
	Signal int   // SIGSEGV, SIGBUS, SIGKILL
	Code   int32 // si_code
	OOM    bool  // there was no memory: the process is to be killed and reported
}

func (e *FaultError) Error() string {
	if e.OOM {
		return "out of memory"
	}
	return "bad memory access"
}

// A Mappable is what a file offers to mmap(2). The area holds a reference.
type Mappable interface {
	Cache() *Cache   // the page cache of the file's inode
	MapName() string // its path, for /proc/self/maps
	Retain()
	Release()
}

// MapArgs are the arguments of Mmap.
type MapArgs struct {
	Addr, Len uint64
	Prot      Prot
	Flags     uint32 // MAP_*
	File      Mappable
	MaxProt   Prot // what mprotect may set later; 0 is everything
	Offset    uint64
	Name      string // last column of /proc/self/maps, for what is not a file: [heap], [stack]
	Grow      bool   // grows down on a fault below it, as MAP_GROWSDOWN
	Low       bool   // may be below vm.mmap_min_addr: CAP_SYS_RAWIO
}

// AreaInfo is a line of /proc/self/maps.
type AreaInfo struct {
	Start, End uint64
	Prot       Prot
	Shared     bool
	Offset     uint64
	File       Mappable // nil for anonymous memory
	Name       string
	Resident   uint64 // bytes in memory, for smaps; 0 from Areas, see Residency
	Locked     bool
	Grows      bool
	DontDump   bool // MADV_DONTDUMP
	Sealed     bool // mseal(2)
	Gate       bool // no area of the address space: the vsyscall page
}

// A Key identifies a futex across the threads, and for shared memory across the
// processes, that use it. Keys can be compared with ==.
type Key struct {
	as    *AddressSpace // private
	cache *Cache        // shared
	off   uint64
}

// Backing is where a Cache gets its pages from.
type Backing interface {
	// FillPage reads page index of the file into f; what is beyond the end of the
	// file is zero. f comes with undefined contents.
	FillPage(index uint64, f frame.Frame) error
	// WritePage writes a dirty page back.
	WritePage(index uint64, f frame.Frame) error
}

// A RangeBacking reads several pages at once, for readahead.
type RangeBacking interface {
	Backing
	FillRange(index uint64, frames []frame.Frame) error
}

// A ResidentBacking has its pages in memory already and lends them: they are never
// freed, and mapped and read where they are.
type ResidentBacking interface {
	Backing
	ResidentFrame(index uint64) (frame.Frame, bool)
}

// An AddressSpace is the memory of a process.
type AddressSpace struct {
	root uint64 // physical address of the top-level table
	refs atomic.Int32

	rssAnon, rssFile atomic.Int64 // pages
	tables           atomic.Int64 // frames of page tables, the top level included
	oom              atomic.Bool
	noHuge           atomic.Bool // PR_SET_THP_DISABLE
	hugeTables       hugeTables

	mu       sync.RWMutex // guards what follows
	peakRSS  int64        // pages; as of the last notePeak
	peakSize uint64       // the same of vsize
	areas    areaTree
	vsize    uint64 // sum of the areas
	gather   gather
	dead     []Mappable // to be released when mu is not held
	peak     int64      // highest RSS seen, in pages

	mmapBase      uint64 // areas are placed below it
	brkStart, brk uint64
	stackTop      uint64
	limits        limits

	lockNew areaFlags // of lockFlags, what new areas get: mlockall(2)
}

// limits are the RLIMIT_* that memory obeys, in bytes; ^0 is none.
type limits struct{ as, stack, data, memlock uint64 }

// defaultMmapBase is where mappings start if nothing else is said.
const defaultMmapBase = 0x7ffff7fff000

// New returns an empty address space with one reference. It fails with ENOMEM.
func New() (*AddressSpace, error) {
	root := allocZeroed()
	if root == 0 && makeRoom() {
		root = allocZeroed()
	}
	if root == 0 {
		return nil, unix.ENOMEM
	}
	cpu.InitRoot(uint64(root))
	as := &AddressSpace{
		root:     uint64(root),
		mmapBase: defaultMmapBase,
		stackTop: cpu.UserTop,
		limits:   limits{^uint64(0), 8 << 20, ^uint64(0), ^uint64(0)},
	}
	as.areas.seed = uint32(root)
	as.tables.Store(1)
	as.refs.Store(1)
	return as, nil
}

// Root is the physical address of the page table.
func (as *AddressSpace) Root() uint64 { return as.root }

// Retain adds a reference.
func (as *AddressSpace) Retain() { as.refs.Add(1) }

// Shared reports whether others have a reference too.
func (as *AddressSpace) Shared() bool { return as.refs.Load() > 1 }

// Release drops a reference; the last one unmaps everything.
func (as *AddressSpace) Release() {
	if as.refs.Add(-1) == 0 {
		as.destroy()
	}
}

// destroy frees all memory. Nothing runs in the address space any more, but the
// page cache may still look for mappings in it.
func (as *AddressSpace) destroy() {
	as.mu.Lock()
	cpu.DropRoot(as.root)
	g := as.begin()
	all := as.areas.extract(0, cpu.UserTop)
	all.each(func(a *area) bool {
		as.zap(g, a.start, a.end, false)
		a.drop(as)
		return true
	})
	as.freeTables(g, 0, cpu.UserTop&^pageMask, 0, 1<<47)
	g.lo, g.hi = ^uint64(0), 0 // no CPU has the table
	g.flush()
	as.vsize = 0
	frame.Frame(as.root).Unref()
	as.unlock()
}

// unlock ends a change of the areas, and releases the files that lost one.
func (as *AddressSpace) unlock() {
	dead := as.dead
	as.dead = nil
	as.mu.Unlock()
	for _, f := range dead {
		f.Release()
	}
}

// SetLayout says where things go: areas are placed below mmapBase, the program
// break starts at brkStart, and the stack ends at stackTop.
func (as *AddressSpace) SetLayout(mmapBase, brkStart, stackTop uint64) {
	as.mu.Lock()
	as.mmapBase = mmapBase &^ pageMask
	as.stackTop = stackTop
	as.mu.Unlock()
	as.SetBrk(brkStart)
}

// SetBrk puts the start of the heap of brk(2), which is empty, at start.
func (as *AddressSpace) SetBrk(start uint64) {
	as.mu.Lock()
	as.brkStart = (start + pageMask) &^ pageMask
	as.brk = as.brkStart
	as.mu.Unlock()
}

// SetLimits sets RLIMIT_AS, RLIMIT_STACK, RLIMIT_DATA and RLIMIT_MEMLOCK, in bytes.
func (as *AddressSpace) SetLimits(space, stack, data, memlock uint64) {
	as.mu.Lock()
	as.limits = limits{space, stack, data, memlock}
	as.mu.Unlock()
}

// Usage returns the bytes of address space and of memory in use.
func (as *AddressSpace) Usage() (vsize, rss uint64) {
	as.mu.RLock()
	vsize = as.vsize
	as.mu.RUnlock()
	return vsize, uint64(max(as.rssAnon.Load()+as.rssFile.Load(), 0)) * pageSize
}

// notePeak keeps the most memory that was in use, before it becomes less. as.mu
// is held for writing.
func (as *AddressSpace) notePeak() {
	as.peakRSS = max(as.peakRSS, as.rssAnon.Load()+as.rssFile.Load())
	as.peakSize = max(as.peakSize, as.vsize)
}

// Peak returns the most bytes of address space and of memory that were in use.
func (as *AddressSpace) Peak() (vsize, rss uint64) {
	as.mu.RLock()
	defer as.mu.RUnlock()
	return max(as.peakSize, as.vsize), uint64(max(as.peakRSS, as.rssAnon.Load()+as.rssFile.Load())) * pageSize
}

// Counters are the numbers of /proc/self/status, in bytes.
type Counters struct {
	Size, Anon, File, Tables          uint64
	Data, Stack, Exec, Locked         uint64 // sizes of areas by purpose
	BrkStart, Brk, MmapBase, StackTop uint64
	Areas                             int
}

// Counters returns what /proc/self/status and statm show.
func (as *AddressSpace) Counters() Counters {
	as.mu.RLock()
	defer as.mu.RUnlock()
	c := Counters{
		Size: as.vsize, Areas: as.areas.n, BrkStart: as.brkStart, Brk: as.brk, MmapBase: as.mmapBase, StackTop: as.stackTop,
		Anon:   uint64(max(as.rssAnon.Load(), 0)) * pageSize,
		File:   uint64(max(as.rssFile.Load(), 0)) * pageSize,
		Tables: uint64(max(as.tables.Load(), 0)) * pageSize,
	}
	as.areas.root.each(func(a *area) bool {
		switch {
		case a.flags&growsDown != 0:
			c.Stack += a.size()
		case a.prot&ProtExec != 0 && a.prot&ProtWrite == 0:
			c.Exec += a.size()
		case a.prot&ProtWrite != 0 && a.flags&shared == 0:
			c.Data += a.size()
		}
		if a.flags&locked != 0 {
			c.Locked += a.size()
		}
		return true
	})
	return c
}

// Areas calls yield for each area in order of address, until it returns false.
// yield must not touch user memory.
func (as *AddressSpace) Areas(yield func(AreaInfo) bool) {
	as.mu.RLock()
	defer as.mu.RUnlock()
	as.areas.root.each(func(a *area) bool {
		i := AreaInfo{
			Start: a.start, End: a.end, Prot: a.prot, Shared: a.flags&shared != 0,
			File: a.file, Name: a.name, Locked: a.flags&locked != 0, Grows: a.flags&growsDown != 0,
			DontDump: a.flags&dontDump != 0, Sealed: a.flags&sealed != 0,
		}
		if a.cache != nil {
			i.Offset = a.offset
		}
		if i.Name == "" && a.file != nil {
			i.Name = a.file.MapName()
		}
		return yield(i)
	})
}

// Residency returns how many bytes of [addr, addr+n) are in memory, how many of those are the process's own rather than
// the page cache's, and how many of these are in huge pages.
func (as *AddressSpace) Residency(addr, n uint64) (resident, anon, huge uint64) {
	as.mu.RLock()
	defer as.mu.RUnlock()
	for va, end := addr, addr+n; va < end; {
		t, next := as.leaf(va)
		if t == nil {
			if as.hugeAt(va) != nil {
				huge += min(next, end) - va
			}
			va = next
			continue
		}
		e := atomic.LoadUint64(&t[va>>12&511])
		if e != 0 && pteFrame(e) != zeroFrame {
			resident += pageSize
			if e&pteCache == 0 {
				anon += pageSize
			}
		}
		va += pageSize
	}
	return resident + huge, anon + huge, huge
}

// FutexKey identifies the futex at addr. A private futex belongs to the address
// space; else memory that is shared gives processes the same key. It fails with
// EINVAL for a misaligned address and EFAULT for one that is not mapped.
func (as *AddressSpace) FutexKey(addr uint64, private bool) (Key, error) {
	if addr%4 != 0 {
		return Key{}, unix.EINVAL
	}
	if !inUser(addr, 4) {
		return Key{}, unix.EFAULT
	}
	if private {
		return Key{as: as, off: addr}, nil
	}
	as.mu.RLock()
	defer as.mu.RUnlock()
	a := as.areas.at(addr)
	if a == nil {
		return Key{}, unix.EFAULT
	}
	if a.flags&shared != 0 {
		return Key{cache: a.cache, off: a.offset + addr - a.start}, nil
	}
	return Key{as: as, off: addr}, nil
}
