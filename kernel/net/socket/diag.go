package socket

// A Diag answers a request of sock_diag(7) for the sockets of a family: the
// messages about those that body, from its family on, asks for. Each is what
// follows struct nlmsghdr, with its attributes. A request is for all of a kind,
// or for one. ENOENT: there is no such socket.
type Diag func(body []byte, all bool) ([][]byte, error)

var diags [maxFamily]Diag

// RegisterDiag is called while packages initialize.
func RegisterDiag(af int, d Diag) { diags[af] = d }

// DiagOf is what answers for a family; nil if nothing does.
func DiagOf(af int) Diag {
	if af < 0 || af >= maxFamily {
		return nil
	}
	return diags[af]
}

// AppendAttr adds an attribute to a message (netlink(7), struct nlattr).
func AppendAttr(b []byte, kind uint16, v []byte) []byte {
	n := 4 + len(v)
	b = append(b, byte(n), byte(n>>8), byte(kind), byte(kind>>8))
	b = append(b, v...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
