// Package main, without the tag metal, boots the kernel of this directory on every kind of bus and interrupt, and checks
// what its drivers did with a disk, a console and an entropy device.
package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gosv/test/target"
)

const diskSize = 3<<20 + 512*3

func TestDevices(t *testing.T) {
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("no qemu-system-x86_64 here: sh test/setup.sh installs it")
	}
	dir := t.TempDir()
	kernel := filepath.Join(dir, "kernel.elf")
	build := exec.Command("go", "run", "./host/mkkernel", "-pkg", "./test/devices", "-o", kernel)
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, m := range []struct{ name, machine, bus, options string }{
		{"microvm", "microvm,auto-kernel-cmdline=off", "device", ""},
		{"microvm-noacpi", "microvm,acpi=off,auto-kernel-cmdline=off", "device", ""},
		{"microvm-cmdline", "microvm,acpi=off", "device", ""},
		{"q35", "q35", "pci", ""},
		{"q35-modern-bridge", "q35", "pci,disable-legacy=on,bus=root-port", "-device pcie-root-port,id=root-port"},
		{"pc", "pc", "pci", ""},
		{"q35-line", "q35", "pci,vectors=0", ""},
		{"pc-line", "pc", "pci,disable-legacy=on,vectors=0", ""},
		{"microvm-plain-ring", "microvm,auto-kernel-cmdline=off", "device,event_idx=off,indirect_desc=off", ""},
	} {
		t.Run(m.name, func(t *testing.T) {
			disk := make([]byte, diskSize)
			var sum, sum2 uint64
			for i := range disk {
				disk[i] = byte(rand.Int())
			}
			for i := range (diskSize + 64*4096 - 1) / (64 * 4096) * (64 * 4096) {
				if i < diskSize {
					sum += uint64(disk[i])
				}
				sum2 += sum
			}
			file := filepath.Join(dir, m.name)
			if err := os.WriteFile(file, disk, 0o600); err != nil {
				t.Fatal(err)
			}
			input := make([]byte, 300001)
			for i := range input {
				input[i] = byte(rand.Int())
			}
			log := file + ".log"
			line := "-M " + m.machine + " -accel tcg,thread=multi -cpu max -smp 2 -m 64M -nodefaults -no-user-config -display none -no-reboot" +
				" -device isa-debug-exit,iobase=0xf4,iosize=0x04 -global virtio-mmio.force-legacy=false -kernel " + kernel +
				" -chardev file,id=log,path=" + log + " -serial chardev:log " + m.options +
				" -drive if=none,id=disk,format=raw,file=" + file + " -device virtio-blk-" + m.bus + ",drive=disk,serial=the-disk"
			// One device per bridge port.
			rest := strings.ReplaceAll(m.bus, ",bus=root-port", "")
			line += " -device virtio-rng-" + strings.ReplaceAll(rest, ",vectors=0", "") + ",max-bytes=1024,period=1000 -device virtio-serial-" + rest +
				" -chardev stdio,id=stdin,signal=off -chardev file,id=stdout,path=/proc/self/fd/3" +
				" -device virtserialport,chardev=stdin,name=gosv.stdin -device virtserialport,chardev=stdout,name=gosv.stdio"
			ctx, cancel := context.WithTimeout(t.Context(), target.Patience(time.Minute))
			defer cancel()
			qemu := exec.CommandContext(ctx, "qemu-system-x86_64", strings.Fields(line)...)
			qemu.Stdin = bytes.NewReader(input)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			qemu.ExtraFiles = []*os.File{w}
			var complaints bytes.Buffer
			qemu.Stderr = &complaints
			if err := qemu.Start(); err != nil {
				t.Fatal(err)
			}
			w.Close()
			got := new(bytes.Buffer)
			got.ReadFrom(r)
			qemu.Wait()
			text, _ := os.ReadFile(log)
			t.Logf("%s%s", text, &complaints)
			if want := append([]byte("hello from the guest\n"), input...); !bytes.Equal(got.Bytes(), want) {
				t.Errorf("the output has %d bytes, not the %d of the input", got.Len(), len(want))
			}
			for _, want := range []string{
				fmt.Sprintf("disk size %d sum %x ", diskSize, sum2), "serial the-disk", "found 3", "rng", "wrote", "echoed 300001",
			} {
				if !strings.Contains(string(text), want) {
					t.Errorf("the log lacks %q", want)
				}
			}
			after, err := os.ReadFile(file)
			want := append([]byte(nil), disk...)
			clear(want[4096:8192])
			copy(want[4096:], "written by the guest")
			if err != nil || !bytes.Equal(after, want) {
				t.Error("the disk is not as the guest wrote it")
			}
		})
	}
}
