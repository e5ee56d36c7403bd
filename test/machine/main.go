//go:build metal

// Command machine is a kernel that tests the machine layer on the machine itself: the Go runtime on it, ring 3, user
// copies, timers, interrupts. Each line of its log starts with "ok" or "FAIL"; the report's status is the number of
// failures. Build it with
//
//	go run ./host/mkkernel -pkg ./test/machine -o build/machine.elf
package main

import (
	"fmt"
	"strings"

	"gosv/abi/boot"
	"gosv/kernel/board"
	"gosv/kernel/cpu"
)

var failures int

func check(ok bool, format string, args ...any) {
	word := "ok    "
	if !ok {
		word = "FAIL  "
		failures++
	}
	cpu.Log(word + fmt.Sprintf(format, args...) + "\n")
}

// tests run in this order; words on the command line select some of them.
var tests = []struct {
	name string
	run  func()
}{
	{"gc", testGC},
	{"channels", testChannels},
	{"clock", testClock},
	{"sleep", testSleep},
	{"panics", testPanics},
	{"preempt", testPreempt},
	{"parallel", testParallel},
	{"ring3", testRing3},
	{"copy", testCopy},
	{"fpu", testFPU},
	{"stw", testStopTheWorld},
	{"switch", testSwitch},
}

// crashes end the machine, and are run only when they are named.
var crashes = map[string]func(){
	"crash-nil":     func() { *(*int)(nil) = 1 },
	"crash-machine": crashMachine,
	"crash-stack":   func() { crashStack(1) },
	"crash-map":     crashMap,
	"idle":          idle,
	"echo":          echo,
}

func main() {
	words := strings.Fields(board.Info.Cmdline)
	cpu.Log(fmt.Sprintf("machine: %d us after kernel entry, %d cpus, %d MiB\n", cpu.Nanotime()/1000, cpu.NumCPU(), board.Info.Total>>20))
	for name, at := range cpu.Marks {
		cpu.Log(fmt.Sprintf("machine: %s at %d us\n", name, at/1000))
	}
	a := &board.Info.ACPI
	cpu.Log(fmt.Sprintf("machine: rsdp %#x, %d cpus, %d I/O APICs, %d overrides, PM1a %#x, sleep register %#x, S5 %d, ECAM %#x\n",
		board.Info.RSDP, a.NCPU, a.NIOAPIC, a.NOverride, a.PM1a, a.SleepReg, a.S5, a.ECAM))
	var named []string
	for _, w := range words {
		if f := crashes[w]; f != nil {
			f()
		}
		for _, t := range tests {
			if t.name == w {
				named = append(named, w)
			}
		}
	}
	for _, t := range tests {
		if len(named) == 0 || strings.Contains(" "+strings.Join(named, " ")+" ", " "+t.name+" ") {
			t.run()
		}
	}
	cpu.Log(boot.FormatReport(failures) + "\n")
	cpu.PowerOff(failures)
}
