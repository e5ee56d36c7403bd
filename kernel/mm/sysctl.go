package mm

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/frame"
	"gosv/kernel/sysctl"
)

var (
	// minAddr is vm.mmap_min_addr: nothing is mapped below it.
	minAddr sysctl.Uint64 = 1 << 16
	// maxAreas is vm.max_map_count: areas of an address space.
	maxAreas sysctl.Int32 = 65530
	// overcommit is vm.overcommit_memory. Mode 2, which counts what all have
	// mapped, is not there.
	overcommit sysctl.Int32
)

var sysctls = [...]sysctl.Row{
	{Name: "vm.mmap_min_addr", Value: &sysctl.Ulong{Get: func(int) uint64 { return minAddr.Load() }, Set: setMinAddr}, Cap: unix.CAP_SYS_RAWIO},
	{Name: "vm.overcommit_memory", Value: &sysctl.Int{Get: func(int) int32 { return overcommit.Load() }, Set: setOvercommit, Max: 2}},
	{Name: "vm.max_map_count", Value: &sysctl.Int{Var: &maxAreas, Max: 1<<31 - 1}},
	{Name: "vm.drop_caches", Mode: 0o200, Value: &sysctl.Int{Get: func(int) int32 { return 0 }, Set: dropCaches, Min: 1, Max: 4}},
	{Name: "vm.min_free_kbytes", Value: &sysctl.Int{Get: func(int) int32 {
		_, _, reserved, _ := frame.Stats()
		return int32(reserved * pageSize / 1024)
	}}},
}

func init() { sysctl.Register(sysctls[:]) }

// setMinAddr keeps whole pages. An address beyond the program's half would let
// nothing be mapped any more.
func setMinAddr(_ int, v uint64) error {
	if v > 1<<32 {
		return unix.EINVAL
	}
	minAddr.Store(pageUp(v))
	return nil
}

// setOvercommit takes the modes 0 and 1.
func setOvercommit(_ int, v int32) error {
	if v == 2 {
		return unix.EINVAL
	}
	overcommit.Store(v)
	return nil
}

// dropCaches frees the pages of the page cache that nobody maps, if bit 0 says
// so, and what is garbage on the Go heap, if bit 1 does. That bit is for names and inodes on Linux, which stay here.
func dropCaches(_ int, v int32) error {
	if v&1 != 0 {
		caches.mu.Lock()
		for range 2 { // the first round takes the marks of use away
			for _, c := range caches.list {
				c.evict(1 << 62)
			}
		}
		caches.mu.Unlock()
	}
	if v&2 != 0 && collect.f != nil {
		collect.mu.Lock()
		collect.f()
		collect.mu.Unlock()
	}
	return nil
}
