package net

import (
	"runtime"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
	"gosv/kernel/dev/virtio"
	"gosv/kernel/frame"
	"gosv/kernel/random"
)

// Classes and commands of the control queue (section 5.1.6.5).
const (
	classMQ  = 4
	pairsSet = 0
	ackOK    = 0
)

// controlTimeout bounds how long the device may take, in nanoseconds.
const controlTimeout = 1e9

// control is the control queue, which is polled.
type control struct {
	queue *virtio.Queue
	mem   frame.Frame
}

func newControl(d *virtio.Device, index int) (*control, error) {
	q, err := d.NewQueue(index, virtio.QueueConfig{Size: 4})
	if err != nil {
		return nil, err
	}
	c := &control{queue: q, mem: frame.Alloc()}
	if c.mem == 0 {
		return nil, unix.ENOMEM
	}
	q.MaskInterrupts()
	return c, nil
}

// setPairs says how many queue pairs the device is to use.
func (c *control) setPairs(n int) error {
	return c.command([]byte{classMQ, pairsSet, byte(n), byte(n >> 8)})
}

// command sends a command. EIO: the device refuses it or does not answer.
func (c *control) command(cmd []byte) error {
	b := c.mem.Bytes()
	n := copy(b, cmd)
	const ack = 64 // its offset
	b[ack] = 0xff
	pa := uint64(c.mem)
	if !c.queue.Add(0, []virtio.Segment{{Addr: pa, Len: 2}, {Addr: pa + 2, Len: uint32(n - 2)}}, []virtio.Segment{{Addr: pa + ack, Len: 1}}) {
		return unix.EIO
	}
	c.queue.Kick()
	for deadline := cpu.Nanotime() + controlTimeout; ; runtime.Gosched() {
		if _, _, ok := c.queue.Next(); ok {
			break
		}
		if cpu.Nanotime() > deadline {
			return unix.EIO
		}
	}
	if b[ack] != ackOK {
		return unix.EIO
	}
	return nil
}

// randomMAC is a locally administered address.
func randomMAC() (mac [6]byte) {
	random.Read(mac[:])
	mac[0] = mac[0]&^1 | 2
	return mac
}
