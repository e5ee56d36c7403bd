// Package console drives virtio-console devices: named byte channels to the host (VIRTIO 1.2, section 5.3).
//
// A [Port] can be used as soon as [Console.Port] returned it. The device's answers to the control messages arrive by
// interrupt, and what was written until then is in the port's buffer: a boot does not wait for the handshake.
//
// Lock order:
//
//	Console.mu
//	Port.mu
//	wait.Queue
package console

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/kernel/dev/virtio"
	"gosv/kernel/frame"
)

// Features (section 5.3.3).
const (
	featureSize      = 1 << 0
	featureMultiport = 1 << 1
)

// Offset of max_nr_ports in the configuration (section 5.3.4).
const configMaxPorts = 4

// Events of struct virtio_console_control (section 5.3.6.2).
const (
	eventDeviceReady = 0
	eventPortAdd     = 1
	eventPortRemove  = 2
	eventPortReady   = 3
	eventConsolePort = 4
	eventResize      = 5
	eventPortOpen    = 6
	eventPortName    = 7
)

const (
	maxPorts    = 4   // that are served, 0 to 3: each queue costs time at boot
	messageSize = 8   // of struct virtio_console_control
	receiveSize = 128 // of a control buffer: a message and a name
	receives    = frameSize / receiveSize
	sends       = 16
	backlog     = 64 // messages that wait for room in the queue
	frameSize   = 4096
)

// A Console is one device.
type Console struct {
	dev       *virtio.Device
	multiport bool

	mu       sync.Mutex // guards what follows
	in, out  *virtio.Queue
	inMem    frame.Frame
	outMem   frame.Frame
	sendFree []uint32 // unused message places in outMem
	waiting  [][messageSize]byte
	slots    [maxPorts]slot
	ports    map[string]*Port
	dead     bool // the device was given up

	malformed atomic.Uint64
}

// slot is what the device said about a port number.
type slot struct {
	added bool
	open  bool // on the host's side
	name  string
	rx    *virtio.Queue
	tx    *virtio.Queue
	port  *Port // bound to this number
}

// Open starts the device. It does not wait for the device's answers.
func Open(t virtio.Transport) (*Console, error) {
	dev, err := virtio.Open(t, featureMultiport)
	if err != nil {
		return nil, err
	}
	c := &Console{dev: dev, ports: map[string]*Port{}, multiport: dev.Has(featureMultiport)}
	dev.Failed = c.failed
	if err := c.start(); err != nil {
		dev.Close()
		for _, f := range []frame.Frame{c.inMem, c.outMem} {
			if f != 0 {
				f.Unref()
			}
		}
		return nil, err
	}
	return c, nil
}

func (c *Console) start() error {
	n := 1
	if c.multiport {
		n = int(min(c.dev.Config32(configMaxPorts), maxPorts))
		if n == 0 {
			return unix.EINVAL
		}
	}
	for i := range n {
		rx, tx := queueNumbers(i)
		s := &c.slots[i]
		var err error
		// One vector is for all queues, so one handler for both of a port.
		if s.rx, err = c.dev.NewQueue(rx, virtio.QueueConfig{Size: rxBuffers, Handler: func() { c.serve(i) }}); err != nil {
			return err
		}
		if s.tx, err = c.dev.NewQueue(tx, virtio.QueueConfig{Size: txChains}); err != nil {
			return err
		}
		s.tx.MaskInterrupts()
	}
	if !c.multiport {
		c.slots[0].added, c.slots[0].open = true, true
		return c.dev.Start(nil)
	}
	var err error
	if c.in, err = c.dev.NewQueue(2, virtio.QueueConfig{Size: receives, Handler: c.control}); err != nil {
		return err
	}
	if c.out, err = c.dev.NewQueue(3, virtio.QueueConfig{Size: sends}); err != nil {
		return err
	}
	c.out.MaskInterrupts()
	if c.inMem, c.outMem = frame.Alloc(), frame.Alloc(); c.inMem == 0 || c.outMem == 0 {
		return unix.ENOMEM
	}
	for i := range uint32(min(receives, c.in.Size())) {
		c.receive(i)
	}
	for i := range uint32(c.out.Size()) {
		c.sendFree = append(c.sendFree, i)
	}
	if err := c.dev.Start(nil); err != nil {
		return err
	}
	c.mu.Lock()
	c.in.Kick()
	c.send(0, eventDeviceReady, 1)
	c.poll()
	c.mu.Unlock()
	return nil
}

// queueNumbers are the receive and transmit queue of a port (section 5.3.2).
func queueNumbers(port int) (rx, tx int) {
	if port == 0 {
		return 0, 1
	}
	return 2 + 2*port, 3 + 2*port
}

// Multiport reports whether ports have names. A device without that has the one
// port "".
func (c *Console) Multiport() bool { return c.multiport }

// Port returns the port of that name, and makes the host see it open. The
// device may not have it, or not have told yet: see Port.Bound.
func (c *Console) Port(name string) *Port {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.ports[name]
	if p == nil {
		p = &Port{name: name, dead: c.dead}
		c.ports[name] = p
		for i := range c.slots {
			c.bind(i)
		}
		c.poll()
	}
	return p
}

// failed makes every port look closed by the host: the device was given up. What it has of the ports' memory stays theirs.
func (c *Console) failed(bool) {
	c.mu.Lock()
	c.dead = true
	for _, p := range c.ports {
		p.fail()
	}
	c.mu.Unlock()
}

// Malformed is how many control messages made no sense, and were dropped.
func (c *Console) Malformed() uint64 { return c.malformed.Load() }

// serve handles an interrupt of a port's queues.
func (c *Console) serve(i int) {
	c.mu.Lock()
	p := c.slots[i].port
	c.mu.Unlock()
	if p != nil {
		p.serve()
	}
}

// control handles an interrupt of the control queue.
func (c *Console) control() {
	c.mu.Lock()
	c.poll()
	c.mu.Unlock()
}

// poll handles the messages that have arrived. Devices that answer while they
// are notified are dealt with at once.
func (c *Console) poll() {
	if !c.multiport {
		return
	}
	// The bound is for a device that answers without end.
	for range 10 * receives {
		token, n, ok := c.in.Next()
		if !ok {
			if c.in.UnmaskInterrupts() {
				continue
			}
			break
		}
		if token < receives {
			c.handle(c.inMem.Bytes()[token*receiveSize:][:min(n, receiveSize)])
			c.receive(token)
			c.in.Kick()
		}
	}
	c.drain()
}

// receive gives the device control buffer i.
func (c *Console) receive(i uint32) {
	c.in.Add(i, nil, []virtio.Segment{{Addr: uint64(c.inMem) + uint64(i)*receiveSize, Len: receiveSize}})
}

// handle acts on a control message from the device.
func (c *Console) handle(b []byte) {
	if len(b) < messageSize {
		c.malformed.Add(1)
		return
	}
	id := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
	event, value := uint16(b[4])|uint16(b[5])<<8, uint16(b[6])|uint16(b[7])<<8
	if id >= maxPorts || c.slots[id].rx == nil {
		if event == eventPortAdd {
			c.send(id, eventPortReady, 0) // section 5.3.6.2: not set up
		} else {
			c.malformed.Add(1)
		}
		return
	}
	s := &c.slots[id]
	if !s.added && event != eventPortAdd {
		c.malformed.Add(1)
		return
	}
	switch event {
	case eventPortAdd:
		if !s.added {
			s.added = true
			c.send(id, eventPortReady, 1)
			if s.port != nil { // it was removed and comes again
				c.send(id, eventPortOpen, 1)
			}
		}
	case eventPortRemove:
		s.added, s.open = false, false
		if s.port != nil {
			s.port.setOpen(false)
		}
	case eventPortOpen:
		s.open = value != 0
		if s.port != nil {
			s.port.setOpen(s.open)
		}
	case eventPortName:
		name := b[messageSize:]
		for i, ch := range name {
			if ch == 0 {
				name = name[:i] // the specification has no terminator, QEMU sends one
				break
			}
		}
		if s.name == "" {
			s.name = string(name)
			c.bind(int(id))
		}
	case eventConsolePort, eventResize:
		// A console port is a port like the others; the size is the host
		// terminal's business.
	default:
		c.malformed.Add(1)
	}
}

// bind gives a port number to the Port that somebody opened by its name.
func (c *Console) bind(i int) {
	s := &c.slots[i]
	p := c.ports[s.name]
	if s.port != nil || !s.added || p == nil || s.name == "" && c.multiport || p.Bound() {
		return
	}
	s.port = p
	if c.multiport {
		c.send(uint32(i), eventPortOpen, 1)
	}
	p.bind(s.rx, s.tx, s.open)
}

// send gives the device a control message.
func (c *Console) send(id uint32, event, value uint16) {
	if len(c.waiting) == backlog {
		c.malformed.Add(1) // it asks for answers and does not take them
		return
	}
	c.waiting = append(c.waiting, [messageSize]byte{
		byte(id), byte(id >> 8), byte(id >> 16), byte(id >> 24), byte(event), byte(event >> 8), byte(value), byte(value >> 8)})
	c.drain()
}

// drain moves waiting messages into the queue.
func (c *Console) drain() {
	for {
		i, _, ok := c.out.Next()
		if !ok {
			break
		}
		c.sendFree = append(c.sendFree, i)
	}
	for len(c.waiting) > 0 && len(c.sendFree) > 0 {
		i := c.sendFree[len(c.sendFree)-1]
		copy(c.outMem.Bytes()[i*messageSize:], c.waiting[0][:])
		if !c.out.Add(i, []virtio.Segment{{Addr: uint64(c.outMem) + uint64(i)*messageSize, Len: messageSize}}, nil) {
			break
		}
		c.sendFree = c.sendFree[:len(c.sendFree)-1]
		c.waiting = c.waiting[1:]
	}
	c.out.Kick()
}
