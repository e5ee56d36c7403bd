//go:build metal

// Command gosv-kernel is the kernel: this file is its boot sequence, from the Go runtime's main to the end of the program.
package main

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"
	"gosv/abi/boot"
	"gosv/kernel/board"
	"gosv/kernel/cpu"
	"gosv/kernel/syscalls"
	"gosv/kernel/task"
	"gosv/kernel/trace"
)

func main() {
	var chart chart
	config, err := boot.Parse(board.Info.Cmdline)
	if err != nil {
		fail(boot.StatusError, err)
	}
	chart.on = config.BootChart
	limitMemory()
	trace.SetSink(func(line string) { cpu.Log(line + "\n") })
	if config.Wall != 0 {
		task.SetWalltime(config.Wall)
	}

	devices := probeDevices(config)
	chart.step("devices")
	if err := mountRoot(config, devices); err != nil {
		fail(boot.StatusError, err)
	}
	config, err = mergeImageConfig(config)
	if err != nil {
		fail(boot.StatusError, err)
	}
	console, err := newConsole(config, devices)
	if err != nil {
		fail(boot.StatusError, err)
	}
	console.OnInput(func() { cpu.Log(boot.InputWanted + "\n") })
	if err := mountSystem(config, console); err != nil {
		fail(boot.StatusError, err)
	}
	chart.step("file systems")
	if err := setHostname(config); err != nil {
		fail(boot.StatusError, err)
	}
	if err := startNetwork(config, devices); err != nil {
		fail(boot.StatusError, err)
	}
	syscalls.Strace(config.Strace)

	if config.Batch != "" {
		announce(config)
		cpu.Started()
		runBatch(config, console)
		return
	}
	init, err := start(config, console)
	if err != nil {
		fail(startStatus(err), err)
	}
	cpu.Started()
	chart.step("program")
	announce(config)
	go serveControl(devices, console, init)
	end := init.Wait()
	console.Flush()
	report(end)
}

// announce tells the host, if it asks, that nothing of the boot can fail any more.
func announce(config boot.Config) {
	if config.Announce {
		cpu.Log(boot.StartedLine + "\n")
	}
}

// fail ends the machine because the program cannot be run.
func fail(status int, err error) {
	cpu.Log(boot.FormatReport(status, "error", err.Error()) + "\n")
	cpu.PowerOff(status)
}

// startStatus is docker run's status for a program that did not start.
func startStatus(err error) int {
	switch {
	case errors.Is(err, unix.ENOENT):
		return boot.StatusNoProgram
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.ENOEXEC), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ELIBBAD):
		return boot.StatusNoExec
	}
	return boot.StatusError
}

// report ends the machine with how the program ended.
func report(end task.ExitInfo) {
	cpu.Log(boot.FormatReport(end.Status, reportFields(end)...) + "\n")
	cpu.PowerOff(end.Status)
}

func reportFields(end task.ExitInfo) (fields []string) {
	if end.Signal != "" {
		fields = append(fields, "signal", end.Signal)
	}
	if end.Fault {
		fields = append(fields, "addr", hex(end.Addr))
	}
	if end.IP != 0 {
		fields = append(fields, "ip", hex(end.IP))
	}
	if end.Insn != "" {
		fields = append(fields, "insn", end.Insn)
	}
	if end.OOM {
		fields = append(fields, "oom", "1")
	}
	return fields
}

func hex(v uint64) string { return "0x" + strconv.FormatUint(v, 16) }
