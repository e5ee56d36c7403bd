package unix

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"gosv/kernel/net/socket"
)

func init() { socket.RegisterDiag(unix.AF_UNIX, diag) }

// The layout of struct unix_diag_req and unix_diag_msg (include/uapi/linux/unix_diag.h): what is to be shown, and the
// attributes that show it.
const (
	diagRequestSize = 24

	showName     = 1 << 0
	showPeer     = 1 << 2
	showQueue    = 1 << 4
	diagName     = 0
	diagPeer     = 2
	diagQueue    = 4
	diagShutdown = 6

	// States, as TCP's are numbered.
	diagEstablished = 1
	diagClose       = 7
	diagListen      = 10
)

// diag answers sock_diag(7).
func diag(body []byte, wantAll bool) ([][]byte, error) {
	if len(body) < diagRequestSize {
		return nil, unix.EINVAL
	}
	le := binary.LittleEndian
	states, ino, show := le.Uint32(body[4:]), le.Uint32(body[8:]), le.Uint32(body[12:])
	var list [][]byte
	for _, s := range sockets() {
		if !wantAll && uint32(s.Ino()) != ino {
			continue
		}
		s.mu.Lock()
		st, peer, waiting, backlog := s.state, s.peer, len(s.accept), s.backlog
		s.mu.Unlock()
		shown := uint8(diagClose)
		switch {
		case st == listening:
			shown = diagListen
		case st == connected || s.Type != unix.SOCK_DGRAM && peer != nil:
			shown = diagEstablished
		}
		if wantAll && states>>shown&1 == 0 {
			continue
		}
		b := []byte{unix.AF_UNIX, byte(s.Type), shown, 0}
		b = le.AppendUint32(b, uint32(s.Ino()))
		b = le.AppendUint64(b, s.Ino()) // the cookie
		if a := s.addr.Load(); a != nil && show&showName != 0 {
			name := a.name
			if a.path() {
				name = name[:len(name)-1]
			}
			b = socket.AppendAttr(b, diagName, []byte(name))
		}
		if peer != nil && show&showPeer != 0 {
			b = socket.AppendAttr(b, diagPeer, le.AppendUint32(nil, uint32(peer.Ino())))
		}
		if show&showQueue != 0 {
			read, write := uint32(s.q.available(s.Stream())), uint32(s.sent.Load())
			if st == listening {
				read, write = uint32(waiting), uint32(backlog)
			}
			b = socket.AppendAttr(b, diagQueue, le.AppendUint32(le.AppendUint32(nil, read), write))
		}
		list = append(list, socket.AppendAttr(b, diagShutdown, []byte{byte(s.shut.Load())}))
	}
	if !wantAll && list == nil {
		return nil, unix.ENOENT
	}
	return list, nil
}
