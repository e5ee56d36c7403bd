//go:build metal

package main

import (
	"gosv/abi/boot"
	"gosv/kernel/dev/virtio/mmio"
	"gosv/kernel/net"
	"slices"
)

// startNetwork configures the network beside the program's start. On a machine without network devices it does
// nothing: the stack is made when the first socket is.
func startNetwork(config boot.Config, d *devices) error {
	c, err := net.ParseConfig(config.Options)
	if err != nil || c.Off() || len(d.nics) == 0 {
		return err
	}
	nics := d.nics
	if _, ok := nics[0].(*mmio.Device); ok {
		// QEMU fills the slots from the last one down; eth0 is the first of its command line.
		slices.Reverse(nics)
	}
	c.Hostname = config.Hostname
	net.Verbose = config.Verbose
	net.Pending()
	go net.Start(nics, c)
	return nil
}
