package net

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/wait"
)

// maxWait bounds how long a program waits for the configuration, in
// nanoseconds: on a network where nobody answers, it then finds out itself.
const maxWait = 10e9

// configuring is what WaitConfigured waits for: how many of the NICs are still
// without their addresses of each family, and who wants to know.
var configuring struct {
	left4, left6 atomic.Int32
	queue        wait.Queue
}

// WaitConfigured returns once the NICs have their addresses of both families,
// or have had time enough to get them. It does not block on a machine without
// NICs, or with addresses set by hand. ERESTARTSYS: interrupted by a signal.
// EAGAIN: s is nil, and it would have to wait.
func WaitConfigured(s *wait.Sleeper) error {
	if err := WaitFamily(s, unix.AF_INET); err != nil {
		return err
	}
	return WaitFamily(s, unix.AF_INET6)
}

// WaitFamily is WaitConfigured for AF_INET or AF_INET6 alone: what must be done
// before something is sent to an address of that family, other than this
// machine's own.
func WaitFamily(s *wait.Sleeper, family int) error {
	if FamilyConfigured(family) {
		return nil
	}
	Demand()
	if s == nil {
		return unix.EAGAIN
	}
	s.Clear()
	w := &wait.Waiter{Mask: wait.In, Notify: func(wait.Events) { s.Wake() }}
	configuring.queue.Add(w)
	defer configuring.queue.Remove(w)
	for deadline := cpu.Nanotime() + maxWait; !FamilyConfigured(family); {
		switch s.Sleep(deadline) {
		case wait.TimedOut:
			return nil
		case wait.Interrupted:
			return linux.ERESTARTSYS
		}
	}
	return nil
}

// FamilyConfigured reports whether WaitFamily would return at once.
func FamilyConfigured(family int) bool {
	if family == unix.AF_INET6 {
		return configuring.left6.Load() <= 0
	}
	return configuring.left4.Load() <= 0
}

// Configured is a queue that gets wait.In whenever FamilyConfigured changes.
func Configured() *wait.Queue { return &configuring.queue }
