package eventpoll

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
)

// Requests of Linux 6.9 about polling of network devices (ioctl_eventpoll(2)).
const (
	epiocsparams = 0x40088a01
	epiocgparams = 0x80088a02
)

// Ioctl knows no request: EOPNOTSUPP for busy polling, as in a Linux built without it, EINVAL for others.
func (*Instance) Ioctl(_ *mm.AddressSpace, cmd uint32, _ uint64) (uint64, error) {
	if cmd == epiocsparams || cmd == epiocgparams {
		return 0, unix.EOPNOTSUPP
	}
	return 0, unix.EINVAL
}
