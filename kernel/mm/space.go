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
	Offset    uint64
	Name      string // last column of /proc/self/maps, for what is not a file: [heap], [stack]
	Grow      bool   // grows down on a fault below it, as MAP_GROWSDOWN
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

	mu sync.RWMutex

	refs atomic.Int32
}

// Root is the physical address of the page table.
func (as *AddressSpace) Root() uint64 { return as.root }

// SetLayout sets where things go.
func (as *AddressSpace) SetLayout(mmapBase, brkStart, stackTop uint64) {}

// SetBrk sets the program break.
func (as *AddressSpace) SetBrk(start uint64) {}

// SetLimits sets RLIMITs.
func (as *AddressSpace) SetLimits(as_, stack, data, memlock uint64) {}

// Fault handles a page fault; nil means retry.
func (as *AddressSpace) Fault(addr uint64, acc Access) *FaultError { return nil }
