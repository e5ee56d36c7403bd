package net

import (
	"gvisor.dev/gvisor/pkg/tcpip"
)

// nic is an interface other than lo.
type nic struct {
	id   tcpip.NICID
	name string
}
