package socket

import (
	"math"

	"gosv/kernel/sysctl"
)

// sysctls are the settings of all sockets (Documentation/admin-guide/sysctl/net.rst).
var sysctls = [...]sysctl.Row{
	{Name: "net.core.somaxconn", Value: &sysctl.Int{Var: &MaxBacklog, Max: math.MaxInt32}},
	{Name: "net.core.rmem_max", Value: &sysctl.Int{Var: &MaxRcvBuf, Min: minRcvBuf, Max: math.MaxInt32}},
	{Name: "net.core.wmem_max", Value: &sysctl.Int{Var: &MaxSndBuf, Min: minSndBuf, Max: math.MaxInt32}},
	{Name: "net.core.rmem_default", Value: &sysctl.Int{Get: func(int) int32 { return rcvBuf.Load() }, Set: setRcvBuf, Min: minRcvBuf, Max: math.MaxInt32}},
	{Name: "net.core.wmem_default", Value: &sysctl.Int{Get: func(int) int32 { return sndBuf.Load() }, Set: setSndBuf, Min: minSndBuf, Max: math.MaxInt32}},
	{Name: "net.core.optmem_max", Value: &sysctl.Int{Var: &MaxControl, Max: math.MaxInt32}},
}

func init() { sysctl.Register(sysctls[:]) }

var (
	// MaxBacklog is the longest queue of connections that listen(2) makes.
	MaxBacklog sysctl.Int32 = 4096
	// MaxRcvBuf and MaxSndBuf are the most that SO_RCVBUF and SO_SNDBUF take.
	MaxRcvBuf sysctl.Int32 = 212992
	MaxSndBuf sysctl.Int32 = 212992
	// MaxControl is the most control data that a message is sent with.
	MaxControl sysctl.Int32 = 128 << 10

	rcvBuf sysctl.Int32 = DefaultBuffer
	sndBuf sysctl.Int32 = DefaultBuffer
)

// SetDatagramDefaults tells the IP stack of other sizes of buffers; 0 is no change.
// Package inet sets it.
var SetDatagramDefaults = func(receive, send int) error { return nil }

func setRcvBuf(_ int, v int32) error {
	rcvBuf.Store(v)
	return SetDatagramDefaults(int(v), 0)
}

func setSndBuf(_ int, v int32) error {
	sndBuf.Store(v)
	return SetDatagramDefaults(0, int(v))
}
