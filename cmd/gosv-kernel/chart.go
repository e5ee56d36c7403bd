//go:build metal

package main

import (
	"runtime"
	"strconv"

	"gosv/kernel/cpu"
)

// chart is the boot chart: a line on the log for each step, with the time since
// the kernel's first instruction.
type chart struct {
	on   bool
	said bool // the machine layer's steps
}

// step ends a step of the boot. It yields: a goroutine that runs for 10 ms is
// preempted by a signal, and the code for that would be met for the first time.
func (c *chart) step(name string) {
	runtime.Gosched()
	if !c.on {
		return
	}
	if !c.said {
		c.said = true
		for name, at := range cpu.Marks {
			line(name, at)
		}
	}
	line(name, cpu.Nanotime())
}

// line writes what the tool reads: "bootchart: NAME MICROSECONDS".
func line(name string, at int64) {
	cpu.Log("bootchart: " + name + " " + strconv.FormatInt(at/1000, 10) + "\n")
}
