//go:build !metal

package goport

// Self is not known on the host.
func Self() G { return 0 }

// Blocked does not know, on the host.
func Blocked(g G) bool { return false }
