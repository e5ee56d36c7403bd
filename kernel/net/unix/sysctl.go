package unix

import "gosv/kernel/sysctl"

// dgramQueue is how many datagrams wait at a socket.
var dgramQueue sysctl.Int32 = 10

var sysctls = [...]sysctl.Row{
	{Name: "net.unix.max_dgram_qlen", Value: &sysctl.Int{Var: &dgramQueue}},
}

func init() { sysctl.Register(sysctls[:]) }
