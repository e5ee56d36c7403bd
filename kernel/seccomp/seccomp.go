// Package seccomp is what a program may forbid itself (seccomp(2)): the strict mode, and filters in classic BPF that look
// at the number and the arguments of each system call.
package seccomp

import "golang.org/x/sys/unix"

// Modes.
const (
	Strict = 1
	Filter = 2
)

// Actions, the upper half of a filter's result (include/uapi/linux/seccomp.h).
const (
	KillProcess = 0x80000000
	KillThread  = 0x00000000
	Trap        = 0x00030000
	Errno       = 0x00050000
	UserNotif   = 0x7fc00000
	Trace       = 0x7ff00000
	Log         = 0x7ffc0000
	Allow       = 0x7fff0000

	actionMask = 0xffff0000
	dataMask   = 0x0000ffff
)

// Data is struct seccomp_data: what a filter looks at.
type Data struct {
	Nr   int32
	Arch uint32
	IP   uint64
	Args [6]uint64
}

// word returns the 32 bits at an offset.
func (d *Data) word(at uint32) uint32 {
	switch {
	case at == 0:
		return uint32(d.Nr)
	case at == 4:
		return d.Arch
	case at < 16:
		return uint32(d.IP >> (8 * (at - 8)))
	}
	return uint32(d.Args[(at-16)/8] >> (8 * (at % 8)))
}

// State is what holds for a thread. It never changes: more filters make a new one.
type State struct {
	Mode    int
	Filters int // how many there are
	prog    []insn
	prev    *State
	total   int // instructions of all, for the limit
}

// maxTotal bounds the instructions of all filters, each of which counts four more
// (MAX_INSNS_PER_PATH).
const maxTotal = 32768

// NewStrict is the state of the strict mode.
func NewStrict() *State { return &State{Mode: Strict} }

// Add returns the state with one more filter, a program of struct sock_filter.
// EINVAL, ENOMEM.
func (s *State) Add(program []byte) (*State, error) {
	prog, err := parse(program)
	if err != nil {
		return nil, err
	}
	n := &State{Mode: Filter, Filters: 1, prog: prog, prev: s, total: len(prog)}
	if s != nil {
		n.Filters += s.Filters
		n.total += s.total + 4
	}
	if n.total > maxTotal {
		return nil, unix.ENOMEM
	}
	return n, nil
}

// Within reports whether s has all that o has: o is one of the states that s was
// made from.
func (s *State) Within(o *State) bool {
	for ; s != nil; s = s.prev {
		if s == o {
			return true
		}
	}
	return o == nil
}

// Check runs the filters and returns the action that counts, the strictest, and
// its data. It allocates nothing.
func (s *State) Check(d *Data) (action uint32, data uint16) {
	result := uint32(Allow)
	for ; s != nil; s = s.prev {
		if r := run(s.prog, d); int32(r&actionMask) < int32(result&actionMask) {
			result = r
		}
	}
	return result & actionMask, uint16(result & dataMask)
}

// Known reports whether an action does here what it says.
func Known(action uint32) bool {
	switch action {
	case KillProcess, KillThread, Trap, Errno, Trace, Log, Allow:
		return true
	}
	return false
}
