// Package goport is what stands under Go's runtime on bare metal: its machine threads and their scheduler, futexes, virtual
// memory, clones, signals, and the netpoller as the way in which interrupts reach goroutines.
//
// The build overlay has replaced every SYSCALL instruction of the runtime by a call of [gosv/kernel/cpu]'s kcall entry;
// this package answers as Linux would. What of it runs below the Go scheduler keeps to docs/machine-layer.md. The
// files without build tag metal make Park, Interrupt and SetTimer work in ordinary tests on a Linux host.
//
// Lock order: sched.lock, then the kernel log. heapLock is taken alone, and before package frame's locks.
package goport
