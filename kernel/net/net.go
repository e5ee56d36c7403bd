// Package net is the machine's network: gVisor's TCP/IP stack, the interfaces under it and how they are configured.
//
// The stack is made at its first use, with the loopback interface lo; a machine whose program never opens a socket does not pay
// for it. [Start] makes NICs of devices and gives them addresses, by hand or by DHCP and router advertisements, while the
// program already runs. [WaitConfigured] is for what needs to reach somebody: connect, and
// datagrams to other machines.
//
// Lock order:
//
//	state.mu
//	gVisor's own locks
package net

import (
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Loopback is the index of lo; NICs follow.
const Loopback tcpip.NICID = 1

var state struct {
	once    sync.Once
	stack   *stack.Stack
	pending chan struct{} // closed when Start is done; nil if it will not be called
	start   func()        // what calls Start
	demand  sync.Once

	mu   sync.Mutex // guards what follows
	nics []*nic     // eth0 and so on, in order
}

// Default is the machine's network stack. It is made at the first call; a call
// that comes while the NICs are being made waits for them.
func Default() *stack.Stack {
	if state.pending != nil {
		Demand()
		<-state.pending
	}
	return base()
}

// Demand makes the NICs of Pending come up, beside the caller, if they have not yet.
func Demand() {
	if state.start != nil {
		state.demand.Do(func() { go state.start() })
	}
}

// base is the stack, with or without NICs.
func base() *stack.Stack {
	state.once.Do(func() { state.stack = newStack() })
	return state.stack
}
