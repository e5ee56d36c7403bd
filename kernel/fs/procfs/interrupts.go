package procfs

import (
	"strconv"

	"gosv/kernel/cpu"
	"gosv/kernel/goport"
)

// irqName is the first column of /proc/interrupts: the number of a line, or of
// the i-th source, behind the lines of the I/O APIC; a short name for what has no
// number.
func irqName(i int, c *goport.InterruptCount) string {
	switch c.Kind {
	case goport.InterruptTimer:
		return "LOC"
	case goport.InterruptIPI:
		return "CAL"
	case goport.InterruptPin:
		return strconv.Itoa(c.Line)
	}
	return strconv.Itoa(firstMSI + i)
}

// firstMSI is the number of the first message, behind the lines.
const firstMSI = 64

// appendInterrupts writes /proc/interrupts (proc_interrupts(5)): a line for each
// source, with a count for each CPU. There are no others than those of devices,
// of the local timers and between CPUs.
func appendInterrupts(b []byte) []byte {
	b = append(b, "           "...)
	for i := range cpu.NumCPU() {
		b = left(b, "CPU"+strconv.Itoa(i), 11)
	}
	b = append(b, '\n')
	list := goport.Interrupts()
	for _, named := range []bool{false, true} { // those with numbers come first
		for i := range list {
			c := &list[i]
			if named != (c.Kind == goport.InterruptTimer || c.Kind == goport.InterruptIPI) {
				continue
			}
			name := irqName(i, c)
			for n := len(name); n < 3; n++ {
				b = append(b, ' ')
			}
			b = append(append(b, name...), ':')
			for _, n := range c.Counts {
				b = right(append(b, ' '), n, 10)
			}
			switch c.Kind {
			case goport.InterruptTimer:
				b = append(b, "   Local timer interrupts"...)
			case goport.InterruptIPI:
				b = append(b, "   Function call interrupts"...)
			case goport.InterruptMSI:
				b = append(append(b, "  PCI-MSI  edge      "...), c.Name...)
			default:
				b = append(b, "  IO-APIC  "...)
				how := "-edge"
				if c.Level {
					how = "-fasteoi"
				}
				b = left(b, strconv.Itoa(c.Line)+how, 10)
				b = append(b, c.Name...)
			}
			b = append(b, '\n')
		}
	}
	return b
}

// appendIntr writes the line "intr" of /proc/stat: the sum of all interrupts, and
// the counts of those with numbers.
func appendIntr(b []byte) []byte {
	byNumber := make([]uint64, 0, 64)
	sum := uint64(0)
	for i, c := range goport.Interrupts() {
		n := uint64(0)
		for _, v := range c.Counts {
			n += v
		}
		sum += n
		if at, err := strconv.Atoi(irqName(i, &c)); err == nil {
			for at >= len(byNumber) {
				byNumber = append(byNumber, 0)
			}
			byNumber[at] += n
		}
	}
	b = strconv.AppendUint(append(b, "intr "...), sum, 10)
	return append(fields(b, byNumber...), '\n')
}
