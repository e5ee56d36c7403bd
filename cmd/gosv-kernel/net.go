//go:build metal && !nonet

package main

import (
	"cmp"
	"slices"

	"gosv/abi/boot"
	"gosv/kernel/dev/virtio/mmio"
	"gosv/kernel/net"
	"gosv/kernel/net/etc"
	"gosv/kernel/task"
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
	fixed := c.Resolver()
	files := etc.Prepare(cmp.Or(config.Hostname, "gosv"), len(fixed.Servers) == 0)
	files.Update(fixed, false)
	net.OnChange(func(s net.Status) {
		if config.Hostname == "" && s.Hostname != "" {
			task.SetHostname(s.Hostname)
		}
		if s.Address.Len() > 0 {
			files.Address(s.Address.String())
		}
		files.Update(s.Resolver, s.Ready)
	})
	net.Pending()
	go net.Start(nics, c)
	return nil
}
