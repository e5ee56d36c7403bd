//go:build metal

// Command gosv-kernel is the kernel's main package.
package main

import (
	"strconv"

	"gosv/abi/boot"
	"gosv/kernel/board"
	"gosv/kernel/cpu"
	_ "gosv/kernel/goport" // the runtime stands on it
)

func main() {
	cpu.Log("gosv: main after " + strconv.FormatInt(cpu.Nanotime()/1000, 10) + " us, " + strconv.Itoa(cpu.NumCPU()) + " cpus, command line " + board.Info.Cmdline + "\n")
	cpu.Log(boot.FormatReport(0) + "\n")
	cpu.PowerOff(0)
}
