package socket

import (
	"encoding/binary"
	"sync"

	"golang.org/x/sys/unix"

	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

// FlagEnds is a flag of a message beside MSG_*: with MSG_DONTWAIT, a socket that was
// shut ends as in a call that blocks. The caller waits by other means.
const FlagEnds = 1 << 32

// AddressSize is the size of struct sockaddr_storage, the longest address.
const AddressSize = 128

// A Message is the operand of one send or receive (struct msghdr).
type Message struct {
	Buf   *mm.Buf
	Flags int // MSG_* of the call

	// Name is where a message goes, nil for the peer; or where it came from. An empty one
	// is not nil: sendto(2) was given an address without a length.
	Name []byte
	// WantName says that the receiver asks for Name.
	WantName bool

	// Control is what the sender gave, as struct cmsghdr have it.
	Control []byte
	// Parsed is for the family: Control was looked at in an earlier attempt.
	Parsed bool
	// Files are those in SCM_RIGHTS, with a reference each: of the sender until
	// the family takes them, or for the receiver.
	Files []*vfs.File
	// Cred is SCM_CREDENTIALS of the sender; for the receiver, what the first
	// piece of a stream came with.
	Cred    Cred
	HasCred bool
	// Started says that a part was sent already; or that the receiver has one, and
	// what goes with it: this attempt is to add to it, if that has the same
	// credentials.
	Started bool

	// Out is MSG_TRUNC, MSG_CTRUNC, MSG_EOR, MSG_ERRQUEUE for the receiver.
	Out int
	// Received collects control data for the receiver, at most ControlMax bytes.
	Received   []byte
	ControlMax int

	// By is whose call it is; kept here so that a call allocates nothing.
	By Caller

	// Scratch is the family's, and stays with the message when it is used again.
	Scratch any

	nameBuf    [AddressSize]byte
	controlBuf [256]byte
}

var messages = sync.Pool{New: func() any { return new(Message) }}

// NewMessage returns a message without name and control data.
func NewMessage(b *mm.Buf, flags int) *Message {
	m := messages.Get().(*Message)
	m.Buf, m.Flags = b, flags
	return m
}

// Free ends the use of a message of NewMessage.
func (m *Message) Free() {
	m.Reset()
	messages.Put(m)
}

// Reset makes m as new, and drops the files that nobody took.
func (m *Message) Reset() {
	for _, f := range m.Files {
		f.Release()
	}
	m.Buf, m.Flags, m.Name, m.WantName, m.Control, m.Parsed = nil, 0, nil, false, nil, false
	m.Files, m.HasCred, m.Started, m.Out, m.Received, m.ControlMax = nil, false, false, 0, nil, 0
	m.By = Caller{}
}

// NameBuf returns an empty slice with room for an address.
func (m *Message) NameBuf() []byte { return m.nameBuf[:0] }

// ControlBuf returns an empty slice with room for a little control data.
func (m *Message) ControlBuf() []byte { return m.controlBuf[:0] }

// Nonblocking, Peeking report flags of the call.
func (m *Message) Peeking() bool { return m.Flags&unix.MSG_PEEK != 0 }

const (
	controlHeader = 16 // struct cmsghdr
	controlAlign  = 8
)

// AddControl adds a control message for the receiver, cut to what it has room
// for (put_cmsg in net/core/scm.c).
func (m *Message) AddControl(level, typ int, data []byte) {
	room := m.ControlMax - len(m.Received)
	if room < controlHeader {
		m.Out |= unix.MSG_CTRUNC
		return
	}
	n := controlHeader + len(data)
	if n > room {
		m.Out |= unix.MSG_CTRUNC
		n = room
		data = data[:n-controlHeader]
	}
	var h [controlHeader]byte
	binary.LittleEndian.PutUint64(h[:], uint64(n))
	binary.LittleEndian.PutUint32(h[8:], uint32(level))
	binary.LittleEndian.PutUint32(h[12:], uint32(typ))
	if m.Received == nil {
		m.Received = m.controlBuf[:0]
	}
	m.Received = append(append(m.Received, h[:]...), data...)
	for len(m.Received)%controlAlign != 0 && len(m.Received) < m.ControlMax {
		m.Received = append(m.Received, 0)
	}
}

// AddControl32 adds a control message that is an int.
func (m *Message) AddControl32(level, typ int, v uint32) {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], v)
	m.AddControl(level, typ, b[:])
}

// ControlRoom is how many bytes of data one more control message may have.
func (m *Message) ControlRoom() int { return m.ControlMax - len(m.Received) - controlHeader }

// EachControl calls f for the control messages of the sender; EINVAL if one is
// malformed (cmsg(3)).
func (m *Message) EachControl(f func(level, typ int, data []byte) error) error {
	for b := m.Control; len(b) >= controlHeader; {
		n := binary.LittleEndian.Uint64(b)
		if n < controlHeader || n > uint64(len(b)) {
			return unix.EINVAL
		}
		err := f(int(int32(binary.LittleEndian.Uint32(b[8:]))), int(int32(binary.LittleEndian.Uint32(b[12:]))), b[controlHeader:n])
		if err != nil {
			return err
		}
		b = b[min(int(n+controlAlign-1)&^(controlAlign-1), len(b)):]
	}
	return nil
}

// A Source is what sendfile(2) sends: pages of a file, not memory of a program.
type Source interface {
	Len() int
	CopyFrom(dst []byte) (int, error)
}

// A SourceSender is a stream that can send a Source of any length without a detour.
// It returns how much of it was taken; what it has read of the rest is of no
// consequence. The message is empty, and keeps the family's Scratch.
type SourceSender interface {
	SendFrom(m *Message, src Source) (int, error)
}
