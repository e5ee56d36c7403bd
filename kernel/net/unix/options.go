package unix

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"gosv/kernel/net/socket"
)

// SetOption implements socket.Socket.
func (s *Socket) SetOption(c *socket.Caller, level, name int, v []byte) error {
	if level != unix.SOL_SOCKET {
		return unix.EOPNOTSUPP
	}
	return s.SetSocketOption(c, name, v)
}

// GetOption implements socket.Socket.
func (s *Socket) GetOption(c *socket.Caller, level, name, room int) ([]byte, error) {
	if level != unix.SOL_SOCKET {
		return nil, unix.EOPNOTSUPP
	}
	switch name {
	case unix.SO_PEERCRED:
		b := make([]byte, unix.SizeofUcred)
		s.mu.Lock()
		PutCred(b, s.peerCred)
		s.mu.Unlock()
		return socket.Cut(b, room)
	case unix.SO_PEERNAME:
		b, err := s.Peer(nil)
		if err == nil && len(b) < room {
			return nil, unix.EINVAL
		}
		return b[:min(room, len(b))], err
	case unix.SO_ACCEPTCONN:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.state == listening {
			return socket.PutInt(1, room)
		}
		return socket.PutInt(0, room)
	case unix.SO_PEERGROUPS:
		s.mu.Lock()
		none := s.state == idle && s.peer == nil
		s.mu.Unlock()
		if none {
			return nil, unix.ENODATA
		}
		var b []byte
		for _, g := range c.Creds.Groups {
			b = binary.LittleEndian.AppendUint32(b, g)
		}
		if len(b) > room {
			return nil, unix.ERANGE
		}
		return b, nil
	}
	return s.GetSocketOption(c, name, room)
}
