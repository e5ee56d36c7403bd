package goport

// An InterruptCount is how often an interrupt came.
type InterruptCount struct {
	Kind   InterruptKind
	Line   int  // of an InterruptPin: the global system interrupt; -1
	Level  bool // of an InterruptPin: level-triggered
	Name   string
	Counts []uint64 // of each CPU
}

// An InterruptKind is where an interrupt comes from.
type InterruptKind int

const (
	InterruptTimer InterruptKind = iota // of the CPU's local APIC
	InterruptIPI                        // from another CPU
	InterruptPin                        // a line of an I/O APIC
	InterruptMSI                        // a message of a PCI device
)
