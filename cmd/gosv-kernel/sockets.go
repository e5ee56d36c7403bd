//go:build metal

package main

// The families of sockets that there are.
import (
	_ "gosv/kernel/net/unix"
)
