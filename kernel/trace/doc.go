// Package trace is how one sees what the kernel does: the log, strace, and counters of events.
package trace
