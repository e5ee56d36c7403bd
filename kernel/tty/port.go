// Package tty is the program's standard input, output and error: a terminal with Linux's line discipline when the host's
// streams are a terminal, plain streams that look like pipes when they are not.
//
// Lock order:
//
//	Terminal.mu
//	a Port's own locks
//	wait.Queue
package tty

import "gosv/kernel/wait"

// A Port is a byte channel to the host: a virtio-console port, a UART. Its
// methods may be called by several goroutines at once and never block.
type Port interface {
	// Read takes up to len(p) bytes that came from the host. n is 0 while there
	// is nothing; eof says that nothing will come any more.
	Read(p []byte) (n int, eof bool)

	// Buffered returns how many bytes Read would find.
	Buffered() int

	// Write hands bytes to the host and returns how many it took; fewer than
	// len(p) when the device's ring is full. Bytes for a host that is gone are
	// dropped and count as taken.
	Write(p []byte) int

	// Readiness returns In when Read would return bytes or eof, Out when Write
	// would take at least one byte, Hup when the host has closed the input.
	Readiness() wait.Events

	// Queue is told when Readiness changes.
	Queue() *wait.Queue

	// Flush blocks until the host has everything that Write took. It is called
	// when the machine ends.
	Flush()
}
