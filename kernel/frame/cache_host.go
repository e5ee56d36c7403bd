//go:build !metal

package frame

import (
	"sync/atomic"

	"gosv/kernel/cpu"
)

// cacheLock guards a cache on the host, where goroutines move between CPUs.
type cacheLock = cpu.SpinLock

var nextCache atomic.Uint32

// lockCache takes the caches in turn, so that tests meet all of them.
func lockCache() (*cache, uintptr) {
	c := &caches[nextCache.Add(1)%2]
	return c, c.lock.Lock()
}

func (c *cache) unlock(flags uintptr) { c.lock.Unlock(flags) }

func (c *cache) count() uint32 {
	defer c.unlock(c.lock.Lock())
	return c.n
}

// Tests of every package find 256 MiB of memory in place.
func init() {
	Init([]Region{{Base: cpu.ArenaBase, Size: 256 << 20}})
}
