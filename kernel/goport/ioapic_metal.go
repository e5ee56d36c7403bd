//go:build metal

package goport

import (
	"sync"

	"gosv/kernel/board"
	"gosv/kernel/cpu"
)

// pin is one input of an I/O APIC (Intel 82093AA).
type pin struct {
	regs   uintptr // its I/O APIC's registers
	n      uint32
	vector uint32
	level  bool
	low    bool
}

const (
	ioapicSelect = 0x00
	ioapicWindow = 0x10

	redirLow    = 1 << 13
	redirLevel  = 1 << 15
	redirMasked = 1 << 16
)

var ioapics struct {
	mu   sync.Mutex
	regs [4]uintptr   // mapped registers
	lock cpu.SpinLock // guards the register window of all
}

// findPin applies the overrides and returns the pin of gsi, nil if there is none.
func findPin(gsi uint32, level bool) *pin {
	t := &board.Info.ACPI
	p := &pin{level: level}
	for i := range t.Overrides[:t.NOverride] {
		if o := &t.Overrides[i]; uint32(o.IRQ) == gsi {
			gsi = o.GSI
			p.low = o.Flags&3 == 3
			break
		}
	}
	ioapics.mu.Lock()
	defer ioapics.mu.Unlock()
	for i := range t.IOAPICs[:t.NIOAPIC] {
		if ioapics.regs[i] == 0 {
			if ioapics.regs[i] = cpu.MapMMIO(t.IOAPICs[i].Phys, cpu.PageSize); ioapics.regs[i] == 0 {
				return nil
			}
		}
		p.regs = ioapics.regs[i]
		first := t.IOAPICs[i].GSI
		if pins := p.read(1)>>16&0xff + 1; gsi >= first && gsi < first+pins {
			p.n = gsi - first
			return p
		}
	}
	return nil
}

//go:nosplit
func (p *pin) read(reg uint32) uint32 {
	f := ioapics.lock.Lock()
	cpu.Store32(p.regs+ioapicSelect, reg)
	v := cpu.Load32(p.regs + ioapicWindow)
	ioapics.lock.Unlock(f)
	return v
}

//go:nosplit
func (p *pin) write(reg, v uint32) {
	f := ioapics.lock.Lock()
	cpu.Store32(p.regs+ioapicSelect, reg)
	cpu.Store32(p.regs+ioapicWindow, v)
	ioapics.lock.Unlock(f)
}

// redirection is the low word of the pin's entry.
//
//go:nosplit
func (p *pin) redirection() uint32 {
	v := p.vector
	if p.level {
		v |= redirLevel
	}
	if p.low {
		v |= redirLow
	}
	return v
}

// route sends the pin's interrupts to the boot CPU.
func (p *pin) route() {
	p.write(0x10+2*p.n+1, cpu.ByIndex(0).APICID<<24)
	p.write(0x10+2*p.n, p.redirection())
}

//go:nosplit
func (p *pin) mask(on bool) {
	v := p.redirection()
	if on {
		v |= redirMasked
	}
	p.write(0x10+2*p.n, v)
}
