//go:build metal

package main

import (
	"errors"
	"strings"

	"gosv/abi/boot"
	"gosv/kernel/block"
	"gosv/kernel/board"
	"gosv/kernel/cpu"
	"gosv/kernel/dev/serial"
	"gosv/kernel/dev/virtio"
	"gosv/kernel/dev/virtio/blk"
	"gosv/kernel/dev/virtio/console"
	"gosv/kernel/dev/virtio/probe"
	"gosv/kernel/dev/virtio/rng"
	"gosv/kernel/task"
	"gosv/kernel/tty"
)

// devices are the drivers of this machine's devices.
type devices struct {
	disks   []*blk.Disk
	console *console.Console
	nics    []virtio.Transport // started by startNetwork
}

// probeDevices finds the devices and starts their drivers. One that does not
// work is left out, and said on the log.
func probeDevices(config boot.Config) *devices {
	d := new(devices)
	acpi := &board.Info.ACPI
	for _, t := range probe.Transports(probe.Machine{
		Options: config.Options, ECAM: acpi.ECAM, ACPI: board.Info.RSDP != 0, IOAPICs: acpi.NIOAPIC,
	}) {
		var err error
		var name string
		switch t.DeviceID() {
		case virtio.IDBlock:
			name = "virtio-blk"
			var disk *blk.Disk
			if disk, err = blk.Open(t); err == nil {
				d.disks = append(d.disks, disk)
				block.Register(disk)
			}
		case virtio.IDConsole:
			name = "virtio-console"
			if d.console == nil {
				d.console, err = console.Open(t)
			}
		case virtio.IDEntropy:
			name = "virtio-rng"
			_, err = rng.Open(t)
		case virtio.IDNet:
			name = "virtio-net"
			d.nics = append(d.nics, t)
		}
		if err != nil {
			cpu.Log(name + ": " + err.Error() + "\n")
		} else if config.Verbose && name != "" {
			cpu.Log("gosv: " + name + "\n")
		}
	}
	return d
}

// newConsole makes the program's standard streams of the virtio-console ports,
// or of COM1 on a machine without them.
func newConsole(config boot.Config, d *devices) (*tty.Console, error) {
	var o tty.Options
	var null [3]bool
	for _, word := range config.Options {
		if v, ok := strings.CutPrefix(word, "tty="); ok {
			o, _ = tty.ParseOptions(v)
		} else if v, ok := strings.CutPrefix(word, "null="); ok {
			null, _ = tty.ParseStreams(v)
		}
	}
	o.Null = null
	if d.console == nil {
		p, err := serial.Open(serial.COM1, serial.COM1IRQ)
		if err != nil {
			return nil, errors.New("neither a virtio console nor a serial port: " + err.Error())
		}
		return tty.NewConsole(p, p, p, o, signalGroup), nil
	}
	in, out, err := d.console.Port(boot.PortStdin), d.console.Port(boot.PortStdio), d.console.Port(boot.PortStderr)
	return tty.NewConsole(in, out, err, o, signalGroup), nil
}

// signalGroup is what the terminal calls for Ctrl-C and its like. Group 0, that of a terminal whose foreground group
// nobody has set, is the first process's.
func signalGroup(group, sig int) {
	if group == 0 {
		group = 1
	}
	for _, p := range task.Tasks.Group(group) {
		p.SendSignal(sig)
	}
}
