//go:build metal

package main

import (
	"strconv"

	"gosv/kernel/cpu"
)

// chart is the boot chart: a line on the log for each step, with the time since
// the kernel's first instruction.
type chart struct {
	on   bool
	said bool // the machine layer's steps
}

func (c *chart) step(name string) {
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
