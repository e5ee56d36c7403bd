//go:build !metal

package goport

// Alone does not know, on the host.
func Alone() bool { return false }
