//go:build metal && !nonet

package main

import (
	"cmp"
	"slices"

	"gosv/abi/boot"
	"gosv/kernel/cpu"
	"gosv/kernel/dev/virtio/mmio"
	"gosv/kernel/net"
	"gosv/kernel/net/etc"
	"gosv/kernel/task"
	"gosv/kernel/wait"
)

// lateStartDelay is after what time the NICs come up by themselves, in ns.
const lateStartDelay = 250e6

var lateStart wait.Timer

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
	net.Pending(func() { net.Start(nics, c) })
	if len(fixed.Servers) == 0 {
		net.Demand() // files wait for what it learns
		return nil
	}
	// With everything known beforehand the first socket brings the NICs up. A program that has none is there
	// to be pinged all the same, a little later: a short one ends without having paid for a network.
	lateStart.Start(cpu.Nanotime()+lateStartDelay, net.Demand)
	return nil
}
