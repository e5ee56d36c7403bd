package uring

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/sysctl"
	"gosv/kernel/task"
)

// disabled is /proc/sys/kernel/io_uring_disabled: with 1 only privileged processes
// may make rings, with 2 nobody.
var disabled sysctl.Int32

var sysctls = [...]sysctl.Row{
	{Name: "kernel.io_uring_disabled", Value: &sysctl.Int{Var: &disabled, Max: 2}},
}

func init() { sysctl.Register(sysctls[:]) }

// Allowed reports whether the thread may make a ring.
func Allowed(t *task.Thread) bool {
	switch disabled.Load() {
	case 0:
		return true
	case 1:
		return t.Creds().Has(unix.CAP_SYS_ADMIN)
	}
	return false
}
