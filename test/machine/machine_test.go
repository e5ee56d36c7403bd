// Package main, without the tag metal, boots the kernel of this directory, which tests the machine layer, on every machine
// type and with several CPUs.
package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gosv/abi/boot"
	"gosv/test/target"
)

// timing are the checks that bound a time: on a busy host they may miss it, which is no fault of the kernel.
var timing = []string{"FAIL  sleep", "FAIL  parallel"}

func TestMachine(t *testing.T) {
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("no qemu-system-x86_64 here: sh test/setup.sh installs it")
	}
	kernel := filepath.Join(t.TempDir(), "machine.elf")
	build := exec.Command("go", "run", "./host/mkkernel", "-pkg", "./test/machine", "-o", kernel)
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, m := range []struct{ machine, cpus, cpu string }{
		{"microvm", "1", "max"}, {"microvm", "2", "max"}, {"q35", "2", "max"}, {"pc", "4", "max"},
		{"q35", "2", "qemu64"}, // neither FSGSBASE, nor XSAVE, nor SMAP
	} {
		t.Run(m.machine+"-"+m.cpus+"-"+m.cpu, func(t *testing.T) {
			log := run(t, kernel, m.machine, m.cpus, m.cpu, "")
			for line := range strings.Lines(log) {
				if !strings.HasPrefix(line, "FAIL") {
					continue
				}
				bound := false
				for _, p := range timing {
					bound = bound || strings.HasPrefix(line, p)
				}
				if bound {
					t.Log("only a time: " + line)
				} else {
					t.Error(line)
				}
			}
			if strings.Count(log, "ok    ") < 20 {
				t.Errorf("only some of the checks ran:\n%s", log)
			}
		})
	}
	// A bug of the kernel ends the machine with a report.
	for name, want := range map[string]string{
		"crash-nil": "nil pointer", "crash-machine": "", "crash-map": "concurrent map",
	} {
		t.Run(name, func(t *testing.T) {
			log := run(t, kernel, "microvm", "2", "max", name)
			var report boot.Report
			for line := range strings.Lines(log) {
				if r, ok := boot.ParseReport(line); ok {
					report = r
				}
			}
			if report.Status != boot.StatusError || report.Fields["panic"] == "" || !strings.Contains(report.Fields["panic"], want) {
				t.Errorf("report %+v\n%s", report, log)
			}
		})
	}
}

// run boots the kernel and returns its log.
func run(t *testing.T, kernel, machine, cpus, cpu, line string) string {
	ctx, cancel := context.WithTimeout(t.Context(), target.Patience(2*time.Minute))
	defer cancel()
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64", "-M", machine, "-accel", "tcg,thread=multi", "-cpu", cpu, "-smp", cpus, "-m", "128M",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
		"-kernel", kernel, "-append", line, "-serial", "stdio")
	out, err := qemu.CombinedOutput()
	if ctx.Err() != nil {
		t.Errorf("the machine hung: %v", err)
	}
	return string(out)
}
