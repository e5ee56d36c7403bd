// Package serial is the driver of the 16550 UART (National Semiconductor PC16550D): a byte channel to the host for machines
// that have no virtio console. The kernel log writes to the same UART; output takes the log's lock.
package serial

import (
	"errors"
	"sync"

	"gosv/kernel/goport"
	"gosv/kernel/wait"
)

// Registers, as offsets from the base port.
const (
	regData = 0 // RBR, THR
	regIER  = 1
	regFCR  = 2
	regLCR  = 3
	regMCR  = 4
	regLSR  = 5
	regSCR  = 7

	ierReceive = 1 << 0
	fcrEnable  = 1 << 0
	lcr8N1     = 3
	mcrOut2    = 1<<0 | 1<<1 | 1<<3 // DTR, RTS, and OUT2, which lets the interrupt through on a PC
	lsrReady   = 1 << 0
)

// COM1 is the first serial port of a PC.
const (
	COM1    = 0x3f8
	COM1IRQ = 4
)

// ErrNoUART says that nothing answers at the port.
var ErrNoUART = errors.New("serial: no UART")

// registers is the UART; tests have their own.
type registers interface {
	in(reg uint16) uint8
	out(reg uint16, v uint8)
	write(p []byte)
}

type interrupt interface{ Wait() }

const ringSize = 4096

// A Port is an open UART. Its methods do not block.
type Port struct {
	regs registers

	mu     sync.Mutex // guards what follows
	ring   [ringSize]byte
	head   uint // bytes ever received
	tail   uint // bytes ever read
	paused bool // the ring is full: the UART keeps what comes, and then the host does

	queue wait.Queue
}

// Open takes the UART at the I/O port base, with the ISA interrupt irq.
func Open(base uint16, irq int) (*Port, error) {
	p := &Port{regs: ports(base)}
	if err := p.probe(); err != nil {
		return nil, err
	}
	i, err := goport.NewInterrupt(irq, false)
	if err != nil {
		return nil, err
	}
	i.SetName("ttyS0")
	p.start(i)
	return p, nil
}

// probe looks for the scratch register.
func (p *Port) probe() error {
	for _, v := range []uint8{0x55, 0xaa} {
		p.regs.out(regSCR, v)
		if p.regs.in(regSCR) != v {
			return ErrNoUART
		}
	}
	return nil
}

func (p *Port) start(i interrupt) {
	p.regs.out(regLCR, lcr8N1)
	p.regs.out(regFCR, fcrEnable)
	p.regs.out(regMCR, mcrOut2)
	p.regs.out(regIER, ierReceive)
	go func() {
		for {
			p.receive()
			i.Wait()
		}
	}()
}

// receive empties the UART into the ring.
func (p *Port) receive() {
	p.mu.Lock()
	n := p.drain()
	p.mu.Unlock()
	if n > 0 {
		p.queue.Notify(wait.Readable)
	}
}

// drain is receive with p.mu held; it returns how many bytes came.
func (p *Port) drain() (n int) {
	for p.regs.in(regLSR)&lsrReady != 0 {
		if p.head-p.tail == ringSize {
			p.paused = true
			p.regs.out(regIER, 0)
			return n
		}
		p.ring[p.head%ringSize] = p.regs.in(regData)
		p.head++
		n++
	}
	return n
}

// Read takes up to len(b) bytes that came. A UART has no end of input: eof is false.
func (p *Port) Read(b []byte) (n int, eof bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n < len(b) && p.tail != p.head {
		b[n] = p.ring[p.tail%ringSize]
		p.tail++
		n++
	}
	if p.paused && n > 0 {
		p.paused = false
		p.drain()
		if !p.paused {
			p.regs.out(regIER, ierReceive)
		}
	}
	return n, false
}

// Buffered is how many bytes Read would find.
func (p *Port) Buffered() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(p.head - p.tail)
}

// Write sends b, all of it.
func (p *Port) Write(b []byte) int {
	p.regs.write(b)
	return len(b)
}

// Readiness is In while bytes are buffered, and always Out.
func (p *Port) Readiness() wait.Events {
	if p.Buffered() > 0 {
		return wait.Readable | wait.Writable
	}
	return wait.Writable
}

// Queue is told when bytes have come.
func (p *Port) Queue() *wait.Queue { return &p.queue }

// Flush has nothing to do: Write waits for the transmitter, and powering off does once more.
func (p *Port) Flush() {}
