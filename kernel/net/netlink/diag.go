package netlink

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/net/socket"
)

// sockDiagByFamily is SOCK_DIAG_BY_FAMILY (include/uapi/linux/sock_diag.h).
const sockDiagByFamily = 20

// diag serves a request of sock_diag(7).
func (r *request) diag() error {
	if r.kind != sockDiagByFamily || len(r.body) < 2 {
		return unix.EINVAL
	}
	af := int(r.body[0])
	if af >= unix.AF_MAX {
		return unix.EINVAL
	}
	answer := socket.DiagOf(af)
	if answer == nil {
		return unix.ENOENT
	}
	isDump := r.flags&unix.NLM_F_DUMP == unix.NLM_F_DUMP
	list, err := answer(r.body, isDump)
	if err != nil {
		return err
	}
	write := func(flags uint16) {
		for _, b := range list {
			r.begin(sockDiagByFamily, flags)
			r.out = append(r.out, b...)
			r.end()
		}
	}
	if isDump {
		return r.dump(write)
	}
	write(0)
	return nil
}
