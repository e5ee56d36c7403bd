package serial

import "gosv/kernel/cpu"

// ports is a UART in I/O space, by its base port.
type ports uint16

func (b ports) in(reg uint16) uint8     { return cpu.Inb(uint16(b) + reg) }
func (b ports) out(reg uint16, v uint8) { cpu.Outb(uint16(b)+reg, v) }
func (b ports) write(p []byte)          { cpu.LogRaw(p) }
