package unix

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"gosv/kernel/net/socket"
	"gosv/kernel/wait"
)

// charge notes that n bytes of the socket's send buffer are in use.
func (s *Socket) charge(n int) { s.sent.Add(int64(n)) }

// uncharge gives them back, and wakes writers.
func (s *Socket) uncharge(n int) {
	if n == 0 {
		return
	}
	// Writable means that three quarters are free (unix_writable).
	limit := int64(s.SndBuf.Load()) / 4
	now := s.sent.Add(-int64(n))
	if now <= limit || now+int64(n) >= limit*4 {
		s.Notify(wait.Writable | wait.WrBand)
	}
}

// room is how much of the send buffer is free.
func (s *Socket) room() int { return int(int64(s.SndBuf.Load()) - s.sent.Load()) }

// Send implements socket.Socket.
func (s *Socket) Send(c *socket.Caller, m *socket.Message) (int, error) {
	if s.Type == unix.SOCK_SEQPACKET {
		if err := s.TakeError(); err != nil {
			return 0, err
		}
		s.mu.Lock()
		st := s.state
		s.mu.Unlock()
		if st != connected {
			return 0, unix.ENOTCONN
		}
	}
	if m.Control != nil && !m.Parsed {
		if err := s.parseControl(c, m); err != nil {
			return 0, err
		}
		m.Parsed = true
	}
	if s.Type == unix.SOCK_STREAM {
		return s.sendStream(c, m)
	}
	if m.Flags&unix.MSG_OOB != 0 {
		return 0, unix.EOPNOTSUPP
	}
	return s.sendPacket(c, m)
}

// parseControl takes SCM_RIGHTS and SCM_CREDENTIALS (__scm_send in
// net/core/scm.c).
func (s *Socket) parseControl(c *socket.Caller, m *socket.Message) error {
	return m.EachControl(func(level, typ int, data []byte) error {
		if level != unix.SOL_SOCKET {
			return nil
		}
		switch typ {
		case unix.SCM_RIGHTS:
			return takeRights(c, m, data)
		case unix.SCM_CREDENTIALS:
			cred, err := socket.ParseCred(data)
			if err != nil {
				return err
			}
			if err := c.MayClaim(cred); err != nil {
				return err
			}
			m.Cred, m.HasCred = cred, true
			return nil
		}
		return unix.EINVAL
	})
}

// label gives a packet its sender.
func (s *Socket) label(c *socket.Caller, m *socket.Message, p *packet, to *Socket) {
	p.from, p.addr = s, s.addr.Load()
	switch {
	case m.HasCred:
		p.cred, p.hasCred = m.Cred, true
	case s.Flag(socket.FlagPassCred|socket.FlagPassPIDFD) || to.Flag(socket.FlagPassCred|socket.FlagPassPIDFD):
		p.cred, p.hasCred = c.Cred(), true
	}
}

func (s *Socket) sendStream(c *socket.Caller, m *socket.Message) (int, error) {
	s.mu.Lock()
	to, st := s.peer, s.state
	s.mu.Unlock()
	if m.Flags&unix.MSG_OOB != 0 && m.Buf.Len() == 0 {
		return 0, unix.EOPNOTSUPP
	}
	if len(m.Name) > 0 {
		if st == connected {
			return 0, unix.EISCONN
		}
		return 0, unix.EOPNOTSUPP
	}
	if st != connected {
		return 0, unix.ENOTCONN
	}
	if s.shut.Load()&shutWrite != 0 {
		return 0, unix.EPIPE
	}
	if m.Flags&unix.MSG_OOB != 0 {
		return 0, unix.EOPNOTSUPP
	}
	if len(m.Files) > 0 && tooMany(c, len(m.Files)) {
		return 0, unix.ETOOMANYREFS
	}
	if to == nil || to.gone.Load() || to.shut.Load()&shutRead != 0 {
		return 0, unix.EPIPE
	}
	done := 0
	for m.Buf.Len() > 0 {
		if err := s.TakeError(); err != nil {
			return done, partialErr(done, err)
		}
		room := s.room()
		if room <= 0 {
			return done, partialErr(done, unix.EAGAIN)
		}
		// At most half a buffer at a time, so that the other side can go on.
		n := min(m.Buf.Len(), max(room, pageSize), max(int(s.SndBuf.Load())/2-64, pageSize), 32<<10)
		p, err := newPacket(m.Buf, n)
		if err != nil {
			return done, partialErr(done, err)
		}
		s.label(c, m, p, to)
		to.q.mu.Lock()
		if to.gone.Load() {
			to.q.mu.Unlock()
			p.free()
			return done, partialErr(done, unix.EPIPE)
		}
		launch(c, p, m.Files, to)
		m.Files = nil
		if t := to.q.tail(p); t != nil {
			o := t.off + t.n
			b := p.pages[0].Bytes()[:p.n]
			for len(b) > 0 {
				k := copy(t.pages[o/pageSize].Bytes()[o%pageSize:], b)
				b, o = b[k:], o+k
			}
			t.n += n
			t.charge += n
			s.charge(n)
			to.q.mu.Unlock()
			p.free()
		} else {
			p.charge = n + overhead
			s.charge(p.charge)
			to.q.push(p)
			to.q.mu.Unlock()
		}
		done += n
		to.Notify(wait.Readable)
	}
	return done, nil
}

func partialErr(done int, err error) error {
	if done > 0 {
		return nil
	}
	return err
}

// sendPacket sends a datagram, or a record of a SOCK_SEQPACKET connection.
func (s *Socket) sendPacket(c *socket.Caller, m *socket.Message) (int, error) {
	n := m.Buf.Len()
	var to *Socket
	s.mu.Lock()
	peer := s.peer
	s.mu.Unlock()
	if s.Type == unix.SOCK_SEQPACKET {
		m.Name = nil
	}
	switch {
	case len(m.Name) > 0:
		var err error
		if to, err = s.find(c, m.Name); err != nil {
			return 0, err
		}
	case peer != nil:
		to = peer
	case s.Type == unix.SOCK_SEQPACKET:
		return 0, unix.EPIPE
	default:
		return 0, unix.ENOTCONN
	}
	if s.Flag(socket.FlagPassCred|socket.FlagPassPIDFD) && s.Type == unix.SOCK_DGRAM {
		s.mu.Lock()
		err := s.autobind()
		s.mu.Unlock()
		if err != nil {
			return 0, err
		}
	}
	if n > int(s.SndBuf.Load())-32 {
		return 0, unix.EMSGSIZE
	}
	if s.shut.Load()&shutWrite != 0 {
		return 0, unix.EPIPE
	}
	if s.room() <= 0 {
		return 0, unix.EAGAIN
	}
	if len(m.Files) > 0 && tooMany(c, len(m.Files)) {
		return 0, unix.ETOOMANYREFS
	}
	to.mu.Lock()
	err := s.maySend(to)
	if err == nil && to.peer != s && to.q.len() > to.backlog {
		to.wait(s)
		err = unix.EAGAIN
	}
	to.mu.Unlock()
	if err == unix.ECONNREFUSED && to == peer && len(m.Name) == 0 {
		s.mu.Lock()
		if s.peer == to {
			s.peer = nil
		}
		s.mu.Unlock()
		s.disconnected(to)
	}
	if err != nil {
		return 0, err
	}
	before := *m.Buf
	p, err := newPacket(m.Buf, n)
	if err != nil {
		*m.Buf = before
		return 0, err
	}
	s.label(c, m, p, to)
	p.charge = n + overhead
	to.q.mu.Lock()
	if to.gone.Load() {
		to.q.mu.Unlock()
		p.free()
		return 0, unix.ECONNREFUSED
	}
	launch(c, p, m.Files, to)
	m.Files = nil
	s.charge(p.charge)
	to.q.push(p)
	to.q.mu.Unlock()
	to.Notify(wait.Readable)
	return n, nil
}

// maySend checks the other end; its mu is held.
func (s *Socket) maySend(to *Socket) error {
	switch {
	case s.Type == unix.SOCK_DGRAM && to.gone.Load():
		return unix.ECONNREFUSED
	case to.gone.Load() || to.shut.Load()&shutRead != 0:
		return unix.EPIPE
	case s.Type == unix.SOCK_DGRAM && to.peer != nil && to.peer != s:
		return unix.EPERM
	}
	return nil
}

// Recv implements socket.Socket.
func (s *Socket) Recv(c *socket.Caller, m *socket.Message) (int, error) {
	s.mu.Lock()
	st := s.state
	s.mu.Unlock()
	if st != connected {
		switch s.Type {
		case unix.SOCK_STREAM:
			return 0, unix.EINVAL
		case unix.SOCK_SEQPACKET:
			return 0, unix.ENOTCONN
		}
	}
	if m.Flags&unix.MSG_OOB != 0 {
		if s.Type == unix.SOCK_STREAM {
			return 0, unix.EINVAL // there is none
		}
		return 0, unix.EOPNOTSUPP
	}
	if s.Type == unix.SOCK_STREAM {
		return s.recvStream(c, m)
	}
	return s.recvPacket(c, m)
}

// empty is what a read of an empty queue gives.
func (s *Socket) empty(c *socket.Caller) error {
	if err := s.TakeError(); err != nil {
		return err
	}
	if s.shut.Load()&shutRead != 0 && (s.Type != unix.SOCK_DGRAM || c.Wait) {
		return nil // end of file
	}
	return unix.EAGAIN
}

func (s *Socket) recvStream(c *socket.Caller, m *socket.Message) (int, error) {
	if m.Buf.Len() == 0 {
		if s.q.len() > 0 {
			return 0, nil
		}
		return 0, s.empty(c)
	}
	peek := m.Peeking()
	done, skip := 0, 0
	if off := s.PeekOff(); peek && off > 0 {
		skip = off
	}
	var freed int
	var from *Socket
	var err error
	other := false
	s.q.mu.Lock()
	i := s.q.head
	started := m.Started
	for i < len(s.q.list) && m.Buf.Len() > 0 {
		p, hadFiles := s.q.list[i], false
		if peek && skip >= p.n {
			skip -= p.n
			i++
			continue
		}
		if !started {
			started, m.Cred, m.HasCred = true, p.cred, p.hasCred // the piece may be gone by the next
			hadFiles = p.rights != nil
			s.deliver(m, p, true)
		} else if p.hasCred != m.HasCred || p.cred != m.Cred || p.rights != nil && len(m.Files) > 0 {
			other = true
			break // other credentials, or more descriptors: the next call's
		} else if p.rights != nil {
			hadFiles = true
			s.deliver(m, p, false)
		}
		var n int
		n, err = p.copyTo(m.Buf, skip, min(p.n-skip, m.Buf.Len()))
		skip = 0
		done += n
		if !peek {
			from = p.from
			p.off += n
			p.n -= n
			part := min(n, p.charge)
			if p.n == 0 {
				part = p.charge
			}
			p.charge -= part
			freed += part
			if p.n == 0 {
				s.q.pop()
				p.free()
			}
			i = s.q.head
		} else {
			i++
		}
		if err != nil || hadFiles {
			break
		}
	}
	s.q.mu.Unlock()
	if from != nil {
		from.uncharge(freed)
	}
	if off := s.PeekOff(); off >= 0 && done > 0 {
		s.MovePeekOff(done, peek)
	}
	if done > 0 || other {
		return done, nil
	}
	if err != nil {
		return 0, err
	}
	return 0, s.empty(c)
}

// deliver gives the receiver the sender's name, credentials and files.
func (s *Socket) deliver(m *socket.Message, p *packet, first bool) {
	if first {
		m.Cred, m.HasCred = p.cred, p.hasCred
		if m.WantName && p.addr != nil {
			m.Name = p.addr.append(m.NameBuf())
		}
		if s.Flag(socket.FlagPassCred) {
			var b [unix.SizeofUcred]byte
			cred := socket.Cred{PID: 0, UID: 65534, GID: 65534}
			if p.hasCred {
				cred = p.cred
			}
			PutCred(b[:], cred)
			m.AddControl(unix.SOL_SOCKET, unix.SCM_CREDENTIALS, b[:])
		}
	}
	switch {
	case p.rights == nil:
	case m.Peeking():
		m.Files = peekFiles(p)
	default:
		m.Files = land(p)
	}
}

// PutCred writes a struct ucred.
func PutCred(b []byte, c socket.Cred) {
	binary.LittleEndian.PutUint32(b, uint32(c.PID))
	binary.LittleEndian.PutUint32(b[4:], c.UID)
	binary.LittleEndian.PutUint32(b[8:], c.GID)
}

func (s *Socket) recvPacket(c *socket.Caller, m *socket.Message) (int, error) {
	s.q.mu.Lock()
	p := s.q.front()
	peek := m.Peeking()
	skip := 0
	if off := s.PeekOff(); peek && off > 0 && p != nil {
		skip = off
		for i := s.q.head; skip >= p.n && skip > 0; {
			skip -= p.n
			if i++; i == len(s.q.list) {
				p = nil
				break
			}
			p = s.q.list[i]
		}
	}
	if p == nil {
		s.q.mu.Unlock()
		return 0, s.empty(c)
	}
	s.deliver(m, p, true)
	n := p.n - skip
	room := m.Buf.Len()
	done, err := p.copyTo(m.Buf, skip, min(n, room))
	if n > room {
		m.Out |= unix.MSG_TRUNC
		if m.Flags&unix.MSG_TRUNC == 0 {
			n = room
		}
	}
	if s.PeekOff() >= 0 {
		if !peek {
			done = p.n // the whole message is gone
		}
		s.MovePeekOff(done, peek)
	}
	if peek {
		s.q.mu.Unlock()
		if err != nil {
			return 0, err
		}
		return n, nil
	}
	full := len(s.q.list)-s.q.head > s.backlog
	s.q.pop()
	s.q.mu.Unlock()
	p.from.uncharge(p.charge)
	p.free()
	if full || s.Type == unix.SOCK_DGRAM {
		s.mu.Lock()
		s.wakeWaiting()
		s.mu.Unlock()
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}
