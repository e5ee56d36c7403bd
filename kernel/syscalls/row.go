// Package syscalls is the Linux system-call table: one row per call, one file per family of calls.
//
// A row declares everything about a call: its numbers, its name, its handler, how strace prints its arguments, and how
// much of it there is. Dispatch, strace, the counters and docs/syscalls.md all read the rows.
package syscalls

import (
	"sync/atomic"

	"gosv/kernel/task"
)

// Args are the six argument registers of a call.
type Args [6]uint64

// A Handler does a call for thread t. Its error is a syscall.Errno, or nil; the
// restart codes of abi/linux included.
type Handler func(t *task.Thread, a *Args) (uint64, error)

// Level says how much of a call is there.
type Level uint8

// The support levels. Each but Full wants a note that says what is missing.
const (
	Full    Level = iota
	Partial       // some flags, commands or effects are missing
	None          // ENOSYS, or what Linux returns to a program that can do without
)

// String returns the level as docs/syscalls.md has it.
func (l Level) String() string { return [...]string{"full", "partial", "none"}[l] }

// NoNumber stands for the number of a call on an architecture that lacks it.
const NoNumber = -1

// A Row is one system call.
type Row struct {
	AMD64, ARM64 int     // numbers; NoNumber where the architecture lacks the call
	Name         string  // as in man section 2
	Blocks       bool    // it can wait for as long as a program wants; test/guest/c/killed.c kills such waits
	Fn           Handler // nil: ENOSYS
	Format       string  // arguments for strace: "fd:fd, buf:out, count:size", "=kind" for the result
	Level        Level
	Note         string

	count atomic.Uint64
}

// Count returns how often the call was made while CountCalls was on.
func (r *Row) Count() uint64 { return r.count.Load() }
