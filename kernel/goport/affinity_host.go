//go:build !metal

package goport

// Pin does nothing on the host: its threads are Linux's.
func Pin(mask uint64) {}
