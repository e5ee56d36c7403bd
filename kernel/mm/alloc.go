package mm

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
	"gosv/kernel/frame"
)

// collect runs the garbage collector and gives free heap memory back.
var collect struct {
	mu   sync.Mutex
	f    func()
	heap func() uint64
	last atomic.Int64 // when it ended
	size uint64       // of the heap then
}

// SetCollect sets what is called when there is no frame left and the page cache has nothing to give: f collects garbage and
// returns the Go heap's free pages, heap is how many bytes the Go heap takes.
func SetCollect(f func(), heap func() uint64) { collect.f, collect.heap = f, heap }

// allocZeroed returns a zeroed frame for the application, 0 if memory is out.
func allocZeroed() frame.Frame {
	if f := frame.AllocUser(); f != 0 {
		return f
	}
	return allocSlowly(true)
}

// allocRaw is allocZeroed for a frame that is about to be overwritten.
func allocRaw() frame.Frame {
	if f := frame.AllocRaw(); f != 0 {
		return f
	}
	return allocSlowly(false)
}

// allocSlowly takes frames of the page cache. Locks of address spaces and of
// caches may be held: what it needs itself, it only tries to lock.
func allocSlowly(zero bool) frame.Frame {
	for range 3 {
		if frame.Reclaim(64) == 0 {
			break
		}
		if f := alloc(zero); f != 0 {
			return f
		}
	}
	return 0
}

// makeRoom is for who holds no lock of this package: mapped pages of files, then the
// Go heap's garbage. It reports whether trying again makes sense.
func makeRoom() bool {
	return frame.Reclaim(64) > 0 || collectGarbage(false)
}

// collectGarbage reports whether programs can have frames again. Unless it is forced to, it passes a collection over when the
// last one was a moment ago and the heap has not grown since: a process that dies of this is killed soon, do not collect for
// each page it asks for.
func collectGarbage(forced bool) bool {
	if collect.f == nil {
		return false
	}
	const often, growth = 50e6, 256 << 10
	before := collect.last.Load()
	collect.mu.Lock()
	defer collect.mu.Unlock()
	if !frame.Short() {
		return true // another thread has collected
	}
	last := collect.last.Load()
	soon := last != 0 && cpu.Nanotime()-last < often && collect.heap() < collect.size+growth
	if soon && (!forced || last != before) {
		return false
	}
	collect.f()
	collect.last.Store(cpu.Nanotime())
	collect.size = collect.heap()
	return !frame.Short()
}

// Ended notes that a process has ended: what it had in the kernel is garbage that is worth collecting.
func Ended() { collect.last.Store(0) }

// relieving says that a goroutine makes room.
var relieving atomic.Bool

// RelieveSoon makes what room it can without killing, for who cannot wait: packets that come from outside.
func RelieveSoon() {
	if relieving.CompareAndSwap(false, true) {
		go func() {
			frame.Reclaim(frame.Missing() + 64)
			collectGarbage(false)
			relieving.Store(false)
		}()
	}
}

// Relieve makes room when programs get no frame, or the kernel's objects have taken from its reserve: it takes pages of files,
// collects garbage, and at last lets a process be killed, asking for as. It reports whether there is room; false says that the
// caller has to do without, or that its own process is killed. The caller holds no lock.
func Relieve(as *AddressSpace) bool {
	for tries := 0; frame.Short(); tries++ {
		frame.Reclaim(frame.Missing() + 64)
		if !frame.Short() || collectGarbage(tries > 0) {
			return true
		}
		if tries == maxTries || killer == nil || !killer(as) {
			return false
		}
	}
	return true
}

// Large is from what size on an object on the Go heap is worth asking Admit for.
const Large = 64 << 10

// Admit makes room for an object of n bytes that a program wants the kernel to make on the Go heap: ENOMEM if there is none. The
// caller holds no lock.
func Admit(as *AddressSpace, n uint64) error {
	for tries := 0; n >= Large && !frame.Room(n); tries++ {
		if TryAdmit(n) == nil {
			return nil
		}
		if n >= frame.Total()*frame.Size/4 || tries == maxTries || killer == nil || !killer(as) {
			return unix.ENOMEM
		}
	}
	return nil
}

// TryAdmit is Admit for who holds locks: it kills no process.
func TryAdmit(n uint64) error {
	if n < Large || frame.Room(n) {
		return nil
	}
	for frame.Reclaim(int(n/frame.Size)+64) > 0 {
		if frame.Room(n) {
			return nil
		}
	}
	if collect.f != nil && n < frame.Total()*frame.Size/4 {
		collect.mu.Lock()
		if !frame.Room(n) {
			collect.f()
		}
		collect.mu.Unlock()
	}
	if frame.Room(n) {
		return nil
	}
	return unix.ENOMEM
}

func alloc(zero bool) frame.Frame {
	if zero {
		return frame.AllocUser()
	}
	return frame.AllocRaw()
}
