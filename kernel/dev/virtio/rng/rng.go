// Package rng drives virtio entropy devices (VIRTIO 1.2, section 5.4): what they give is mixed into the kernel's generator,
// once at boot and again after every so many hours.
package rng

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
	"gosv/kernel/dev/virtio"
	"gosv/kernel/frame"
	"gosv/kernel/random"
	"gosv/kernel/wait"
)

const (
	seedSize = 64
	// interval in nanoseconds between requests: what leaked from the generator's
	// state is worthless after it.
	interval = 3600e9
)

// A Source is one device.
type Source struct {
	dev   *virtio.Device
	queue *virtio.Queue
	mem   frame.Frame
	timer wait.Timer
	add   func([]byte)
}

// Open starts the device and asks it for entropy; the answer is used when it
// comes.
func Open(t virtio.Transport) (*Source, error) { return open(t, random.AddEntropy) }

func open(t virtio.Transport, add func([]byte)) (*Source, error) {
	dev, err := virtio.Open(t, 0)
	if err != nil {
		return nil, err
	}
	s := &Source{dev: dev, add: add}
	if s.queue, err = dev.NewQueue(0, virtio.QueueConfig{Size: 2, Handler: s.serve}); err == nil {
		if s.mem = frame.Alloc(); s.mem == 0 {
			err = unix.ENOMEM
		} else {
			err = dev.Start(nil)
		}
	}
	if err != nil {
		dev.Close()
		if s.mem != 0 {
			s.mem.Unref()
		}
		return nil, err
	}
	s.ask()
	return s, nil
}

// ask gives the device the buffer; it is the device's until serve has it back.
func (s *Source) ask() {
	if s.dev.Broken() {
		return
	}
	s.queue.Add(0, nil, []virtio.Segment{{Addr: uint64(s.mem), Len: seedSize}})
	s.queue.Kick()
}

func (s *Source) serve() {
	_, n, ok := s.queue.Next()
	if !ok {
		return
	}
	b := s.mem.Bytes()[:n]
	s.add(b)
	clear(b)
	s.queue.UnmaskInterrupts()
	s.timer.Start(cpu.Nanotime()+interval, s.ask)
}
