//go:build metal && nonet

package main

import (
	"gosv/abi/boot"
	"gosv/kernel/cpu"
)

// startNetwork says that devices which the machine has are of no use to this kernel, the minimal one.
func startNetwork(_ boot.Config, d *devices) error {
	if len(d.nics) != 0 {
		cpu.Log("virtio-net: this kernel has no network\n")
	}
	return nil
}
