package eventpoll

import (
	"gosv/kernel/frame"
	"gosv/kernel/sysctl"
)

var sysctls = [...]sysctl.Row{
	{Name: "fs.epoll.max_user_watches", Value: &sysctl.Ulong{Get: func(int) uint64 { return MaxWatches() }, Set: setMaxWatches, Max: 1 << 62}},
}

func init() { sysctl.Register(sysctls[:]) }

// maxWatches is fs.epoll.max_user_watches; 0 is what the memory allows for.
var maxWatches sysctl.Uint64

// MaxWatches is how many files the epoll instances of a user may watch: those of all take at most a twenty-fifth of the memory
// (eventpoll_init in fs/eventpoll.c).
func MaxWatches() uint64 {
	if n := maxWatches.Load(); n != 0 {
		return n - 1
	}
	return frame.Total() * frame.Size / 25 / itemCost
}

func setMaxWatches(_ int, n uint64) error {
	maxWatches.Store(n + 1)
	return nil
}
