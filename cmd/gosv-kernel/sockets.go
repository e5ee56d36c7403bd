//go:build metal && !nonet

package main

// The families of sockets that need a network, and what /proc/net shows of all.
import (
	"gosv/kernel/fs/procfs"
	"gosv/kernel/net/inet"
	_ "gosv/kernel/net/netlink"
	"gosv/kernel/net/unix"
)

func init() {
	procfs.RegisterNet("sockstat", func(b []byte) []byte { return inet.AppendSockstat(b, unix.Count()) })
}
