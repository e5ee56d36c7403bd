package netlink

import (
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// Reserve implements socket.Poster.
func (s *Socket) Reserve(by *wait.Sleeper, n int) error {
	return vfs.WaitUntil(by, s.Queue(), wait.Writable, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.size+n > int(s.RcvBuf.Load()) && s.size > 0 {
			s.wanted = true
			return false
		}
		s.size += n
		return true
	})
}

// Post implements socket.Poster.
func (s *Socket) Post(b []byte, n int) {
	s.mu.Lock()
	s.size -= n
	if b != nil {
		s.size += len(b)
		s.queue = append(s.queue, packet{b: b})
	}
	wanted := s.wanted
	s.mu.Unlock()
	if b != nil {
		s.Notify(wait.Readable)
	}
	if wanted {
		s.Notify(wait.Writable)
	}
}
