//go:build metal && !nonet

package main

// The families of sockets that there are.
import (
	_ "gosv/kernel/net/inet"
	_ "gosv/kernel/net/unix"
)
