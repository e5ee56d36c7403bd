//go:build metal

// Command devices is a kernel that exercises the drivers and powers off: devices_test.go boots it.
package main

import (
	"strconv"
	"strings"

	"gosv/abi/boot"
	"gosv/kernel/board"
	"gosv/kernel/cpu"
	"gosv/kernel/dev/virtio"
	"gosv/kernel/dev/virtio/blk"
	"gosv/kernel/dev/virtio/console"
	"gosv/kernel/dev/virtio/probe"
	"gosv/kernel/dev/virtio/rng"
	"gosv/kernel/frame"
	"gosv/kernel/wait"
)

func log(words ...string) { cpu.Log("devices: " + strings.Join(words, " ") + "\n") }

func fail(words ...string) {
	log(append([]string{"FAILED:"}, words...)...)
	cpu.PowerOff(1)
}

func since(start int64) string { return strconv.FormatInt((cpu.Nanotime()-start)/1000, 10) + " us" }

func main() {
	config, err := boot.Parse(board.Info.Cmdline)
	if err != nil {
		fail(err.Error())
	}
	a := &board.Info.ACPI
	start := cpu.Nanotime()
	found := probe.Transports(probe.Machine{Options: config.Options, ECAM: a.ECAM, ACPI: board.Info.RSDP != 0, IOAPICs: a.NIOAPIC})
	log("found", strconv.Itoa(len(found)), "in", since(start))
	for _, t := range found {
		start := cpu.Nanotime()
		switch t.DeviceID() {
		case virtio.IDEntropy:
			if _, err := rng.Open(t); err != nil {
				fail("rng", err.Error())
			}
			log("rng", since(start))
		case virtio.IDBlock:
			d, err := blk.Open(t)
			if err != nil {
				fail("blk", err.Error())
			}
			log("blk", since(start))
			disk(d)
		case virtio.IDConsole:
			c, err := console.Open(t)
			if err != nil {
				fail("console", err.Error())
			}
			out := c.Port(boot.PortStdio)
			in := c.Port(boot.PortStdin)
			log("console", since(start))
			echo(in, out)
		}
	}
	cpu.PowerOff(0)
}

// disk reads the whole disk and logs a sum of it.
func disk(d *blk.Disk) {
	start := cpu.Nanotime()
	name, err := d.Serial()
	if err != nil {
		fail("serial", err.Error())
	}
	log("serial", name, since(start))
	sum, sum2 := uint64(0), uint64(0)
	f := make([]frame.Frame, 64)
	for i := range f {
		f[i] = frame.Alloc()
	}
	start = cpu.Nanotime()
	blocks := uint64(d.Size()+blk.BlockSize-1) / blk.BlockSize
	for b := uint64(0); b < blocks; b += uint64(len(f)) {
		if err := d.FillRange(b, f); err != nil {
			fail("read", err.Error())
		}
		for _, x := range f {
			for _, c := range x.Bytes() {
				sum += uint64(c)
				sum2 += sum
			}
		}
	}
	log("disk size", strconv.FormatInt(d.Size(), 10), "sum", strconv.FormatUint(sum2, 16), since(start))
	if !d.ReadOnly() {
		clear(f[0].Bytes())
		copy(f[0].Bytes(), "written by the guest")
		if err := d.WriteRange(1, f[:1]); err != nil {
			fail("write", err.Error())
		}
		if err := d.Flush(); err != nil {
			fail("flush", err.Error())
		}
		log("wrote")
	}
	start = cpu.Nanotime()
	for range 200 {
		if err := d.FillRange(3, f[:1]); err != nil {
			fail("read", err.Error())
		}
	}
	log("200 single reads", since(start))
}

// echo copies the input to the output until its end.
func echo(in, out *console.Port) {
	write(out, []byte("hello from the guest\n"))
	b := make([]byte, 10000)
	total := 0
	for {
		n, eof := in.Read(b)
		if eof {
			break
		}
		if n == 0 {
			block(in, wait.In)
			continue
		}
		total += n
		write(out, b[:n])
	}
	out.Flush()
	log("echoed", strconv.Itoa(total))
}

func write(p *console.Port, b []byte) {
	for len(b) > 0 {
		n := p.Write(b)
		if b = b[n:]; len(b) > 0 {
			block(p, wait.Out)
		}
	}
}

// block waits until the port has one of the events.
func block(p *console.Port, ev wait.Events) {
	var s wait.Sleeper
	w := wait.Waiter{Mask: ev, Notify: func(wait.Events) { s.Wake() }}
	p.Queue().Add(&w)
	for p.Readiness()&ev == 0 {
		s.SleepUninterruptible(0)
	}
	p.Queue().Remove(&w)
}
