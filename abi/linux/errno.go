// Package linux holds what golang.org/x/sys/unix lacks of Linux's constants and structs, one file per kernel header.
package linux

import "syscall"

// Errors that a blocked system call returns inside the kernel when a signal
// interrupted it (include/linux/errno.h). They never reach the program: signal
// delivery turns them into EINTR or into a restart of the call.
const (
	ERESTARTSYS           = syscall.Errno(512) // restart if the handler has SA_RESTART
	ERESTARTNOINTR        = syscall.Errno(513) // always restart
	ERESTARTNOHAND        = syscall.Errno(514) // restart only if no handler ran
	ERESTART_RESTARTBLOCK = syscall.Errno(516) // restart with what is left of the timeout
)
