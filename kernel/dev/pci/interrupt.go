package pci

import (
	"sync"

	"golang.org/x/sys/unix"

	"gosv/kernel/dev/iomem"
	"gosv/kernel/goport"
)

// The MSI-X capability and its table (PCI Local Bus 3.0, section 6.8.2).
const (
	msixControl = 0 // in the upper half: size, function mask, enable
	msixTable   = 4
	msixEnable  = 1 << 31
	msixMaskAll = 1 << 30

	entryAddress = 0
	entryUpper   = 4
	entryData    = 8
	entryControl = 12
	entrySize    = 16
	entryMasked  = 1
)

// A waiter is an interrupt; *goport.Interrupt on the machine.
type waiter interface{ Wait() }

type msix struct {
	cap     uint32
	table   iomem.Window
	vectors []waiter
}

// EnableMSIX sets up to want interrupt messages up and returns how many, 0 if
// the device has no MSI-X or the machine no vectors left.
func (d *Device) EnableMSIX(want int) int {
	c := d.Find(CapMSIX)
	if c == 0 || c > 0xf4 {
		return 0
	}
	control := d.Read(c + msixControl)
	n := min(want, int(control>>16&0x7ff)+1)
	where := d.Read(c + msixTable)
	table := d.Map(int(where&7), where&^7, uint32(n)*entrySize)
	if table == nil || n == 0 {
		return 0
	}
	m := &msix{cap: c, table: table}
	d.Write(c+msixControl, control|msixEnable|msixMaskAll)
	for i := range uint32(n) {
		irq, addr, data, err := newMSI()
		if err != nil {
			break
		}
		table.Store32(i*entrySize+entryAddress, uint32(addr))
		table.Store32(i*entrySize+entryUpper, uint32(addr>>32))
		table.Store32(i*entrySize+entryData, data)
		table.Store32(i*entrySize+entryControl, table.Load32(i*entrySize+entryControl)&^entryMasked)
		m.vectors = append(m.vectors, irq)
	}
	if len(m.vectors) == 0 {
		d.Write(c+msixControl, control&^msixEnable)
		return 0
	}
	d.msix = m
	d.Write(regCommand, d.Read(regCommand)&0xffff|commandINTxDisable)
	d.Write(c+msixControl, control&^msixMaskAll|msixEnable)
	return len(m.vectors)
}

// ServeMSIX starts a goroutine that calls f for each message of a vector that
// EnableMSIX set up.
func (d *Device) ServeMSIX(vector int, f func()) {
	irq := d.msix.vectors[vector]
	go func() {
		for {
			irq.Wait()
			f()
		}
	}()
}

// newMSI allocates a message: the interrupt, and what the device writes where.
var newMSI = func() (waiter, uint64, uint32, error) {
	irq, addr, data, err := goport.NewMSI()
	if err == nil {
		irq.SetName("pci")
	}
	return irq, addr, data, err
}

// newLine opens an interrupt line of the I/O APIC, level-triggered.
var newLine = func(gsi int) (waiter, error) {
	irq, err := goport.NewInterrupt(gsi, true)
	if err == nil {
		irq.SetName("pci")
	}
	return irq, err
}

// lines are the interrupt lines that are served. Devices share them: each one's
// handler looks whether its device raised the line, and lowers it.
var lines struct {
	mu    sync.Mutex
	byGSI map[int]*line
}

type line struct {
	mu       sync.Mutex
	handlers []func()
}

// gsi is the device's line, 0 if it has none: the one that the firmware routed
// (section 6.2.4). A PC's line N is GSI N, since the chipset raises the I/O
// APIC's pin along with the legacy controller's.
func (d *Device) gsi() int {
	v := d.Read(regInterrupt)
	if pin := v >> 8 & 0xff; pin == 0 || pin > 4 || v&0xff > 23 {
		return 0
	}
	return int(v & 0xff)
}

// HasLine reports whether the device can interrupt without messages.
func (d *Device) HasLine() bool { return d.gsi() != 0 }

// ServeLine calls f for each interrupt on the device's line. ENODEV: there is
// none.
func (d *Device) ServeLine(f func()) error {
	gsi := d.gsi()
	if gsi == 0 {
		return unix.ENODEV
	}
	d.Write(regCommand, d.Read(regCommand)&0xffff&^commandINTxDisable)
	lines.mu.Lock()
	defer lines.mu.Unlock()
	l := lines.byGSI[gsi]
	if l != nil {
		l.mu.Lock()
		l.handlers = append(l.handlers, f)
		l.mu.Unlock()
		return nil
	}
	irq, err := newLine(gsi)
	if err != nil {
		return err
	}
	l = &line{handlers: []func(){f}}
	if lines.byGSI == nil {
		lines.byGSI = map[int]*line{}
	}
	lines.byGSI[gsi] = l
	go func() {
		for {
			irq.Wait()
			l.mu.Lock()
			handlers := l.handlers
			l.mu.Unlock()
			for _, f := range handlers {
				f()
			}
		}
	}()
	return nil
}
