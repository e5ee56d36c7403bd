// Package goport is Go's runtime on bare metal: it answers the runtime's system calls as Linux would — futex, mmap, clone,
// signals, time, epoll — and turns interrupts into goroutines that run.
package goport
