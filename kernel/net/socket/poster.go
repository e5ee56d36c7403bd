package socket

import "gosv/kernel/wait"

// A Poster is a socket to which the kernel itself sends messages later, for which
// it keeps room now: mq_notify(2) with SIGEV_THREAD.
type Poster interface {
	// Reserve waits until there is room for n bytes, and takes it. ERESTARTSYS.
	Reserve(s *wait.Sleeper, n int) error
	// Post gives the room back, and unless b is nil puts the message b there.
	Post(b []byte, n int)
}
