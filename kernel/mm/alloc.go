package mm

import (
	"sync"

	"gosv/kernel/cpu"
	"gosv/kernel/frame"
)

// collect runs the garbage collector and gives free heap memory back.
var collect struct {
	mu   sync.Mutex
	f    func()
	last int64 // when it ended
}

// SetCollect sets what is called when there is no frame left and the page cache
// has nothing to give: it collects garbage and returns the Go heap's free pages.
func SetCollect(f func()) { collect.f = f }

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

// makeRoom is the last resort of who has no lock: mapped pages of files, then the
// Go heap's garbage. It reports whether trying again makes sense.
func makeRoom() bool {
	if frame.Reclaim(64) > 0 {
		return true
	}
	if collect.f == nil {
		return false
	}
	collect.mu.Lock()
	defer collect.mu.Unlock()
	// A process that dies of this is killed soon; do not collect for each page it asks for.
	const often = 50e6
	if now := cpu.Nanotime(); collect.last != 0 && now-collect.last < often {
		return false
	}
	_, before, _, _ := frame.Stats()
	collect.f()
	collect.last = cpu.Nanotime()
	_, after, _, _ := frame.Stats()
	return after > before
}

func alloc(zero bool) frame.Frame {
	if zero {
		return frame.AllocUser()
	}
	return frame.AllocRaw()
}
