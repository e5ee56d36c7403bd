package net

import (
	"strconv"
	"sync"

	"gosv/kernel/cpu"
	"gosv/kernel/dev/virtio"
	driver "gosv/kernel/dev/virtio/net"
	"gosv/kernel/frame"
)

// Start makes NICs of the devices and configures them; Pending was called
// before. It returns when the NICs are there and what is static is done. A
// device that does not work is left out, and said on the log.
func Start(transports []virtio.Transport, c Config) {
	worker.once.Do(func() { go serve() })
	learned(0, sourceStatic, c.resolver, "")
	s := base()
	for _, t := range transports {
		dev, err := driver.Open(t, driver.Options{Buffers: buffers()})
		if err == nil {
			n := addNIC(s, dev)
			if err = dev.Start(n.link); err == nil {
				n.link.up.Store(dev.LinkUp())
				n.describe()
				n.configure(&c)
				continue
			}
		}
		warn("virtio-net: " + err.Error())
	}
	c.addGateways()
	close(state.pending)
	settle(1, 1)
}

// describe says on the log what the device can do.
func (n *nic) describe() {
	d := n.link.dev
	text := n.name + ": MAC " + n.link.mac.String() + ", MTU " + strconv.Itoa(d.MTU()) + ", " + strconv.Itoa(d.Queues()) + " queue pair(s)"
	if d.CompletesChecksums() {
		text += ", checksums"
	}
	if d.Segments() {
		text += ", segmentation"
	}
	if !d.LinkUp() {
		text += ", no carrier"
	}
	logf(text)
}

// buffers is how many frames a queue of a device may have: at most a 128th of
// the memory, but room for a few packets of the largest size.
func buffers() int {
	total, _, _, _ := frame.Stats()
	return int(min(max(total/128, 34), 256))
}

// logf writes a line to the kernel's log, if that is wanted.
func logf(line string) {
	if Verbose {
		cpu.Log("net: " + line + "\n")
	}
}

// warn writes a line that somebody should see.
func warn(line string) { cpu.Log("net: " + line + "\n") }

// Verbose makes this package say what it does. It is set before Start.
var Verbose bool

// worker runs what must not run where it was noticed.
var worker struct {
	once sync.Once
	box  mailbox[func()]
}

func serve() {
	for {
		f, _ := worker.box.get(0)
		f()
	}
}

// later calls f on the worker.
func later(f func()) { worker.box.put(f) }
