// Command mkkernel builds the kernel with the stock Go toolchain: it writes the overlay of runtime assembly files, runs go
// build, and turns the linked ELF file into one that boots.
//
//	go run ./host/mkkernel -o bin/gosv-kernel.elf
//
// With -keep-symbols it also leaves the file for gdb beside it, with ending .go.elf. With -lint it checks the
// linked code of the machine layer instead (see lint.go).
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// machineLayer are the packages with code below the Go scheduler. They are compiled without bounds checks: the panics
// would not fit into a chain of nosplit functions.
var machineLayer = []string{"gosv/kernel/cpu", "gosv/kernel/goport", "gosv/kernel/board", "gosv/kernel/dev/acpi", "gosv/kernel/frame"}

// textAddr is where the linker puts the kernel's text: behind kernelBase at physical textPhys. The flag takes a signed
// number.
const (
	kernelBase = 0xffffffff80000000 // virtual address of physical 0
	textPhys   = 0x111000
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("mkkernel: ")
	out := flag.String("o", "bin/gosv-kernel.elf", "write the bootable kernel to `file`")
	keep := flag.Bool("keep-symbols", false, "also write the ELF file with symbols for gdb, with ending .go.elf")
	check := flag.Bool("lint", false, "check the machine layer's code, write nothing")
	pkg := flag.String("pkg", "./cmd/gosv-kernel", "the kernel's main `package`")
	flag.Parse()
	if flag.NArg() != 0 {
		log.Fatalf("unexpected argument %q", flag.Arg(0))
	}
	if err := run(*out, *pkg, *keep, *check); err != nil {
		log.Fatal(err)
	}
}

func run(out, pkg string, keep, check bool) error {
	dir, err := os.MkdirTemp("", "mkkernel")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	overlay, err := writeOverlay(dir)
	if err != nil {
		return err
	}
	modfile, err := replaceStack(dir)
	if err != nil {
		return err
	}
	linked := filepath.Join(dir, "kernel.go.elf")
	if err := link(overlay, modfile, linked, pkg, keep || check); err != nil {
		return err
	}
	if check {
		return lint(linked)
	}
	image, entry, err := makeImage(linked)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	if keep {
		b, err := os.ReadFile(linked)
		if err != nil {
			return err
		}
		if err := os.WriteFile(strings.TrimSuffix(out, ".elf")+".go.elf", b, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(out, image, 0o644); err != nil {
		return err
	}
	fmt.Printf("%s: %d bytes, entry %#x\n", out, len(image), entry)
	return nil
}

// link runs go build. The result does not depend on where it runs.
func link(overlay, modfile, out, pkg string, symbols bool) error {
	ldflags := fmt.Sprintf("-T -%#x -buildid=", -(kernelBase + textPhys - 1<<64))
	if !symbols {
		ldflags += " -s -w"
	}
	args := []string{"build", "-tags", "metal", "-overlay", overlay, "-modfile", modfile, "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", out}
	for _, p := range machineLayer {
		args = append(args, "-gcflags="+p+"=-B")
	}
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "CGO_ENABLED=0", "GOFLAGS=")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	return nil
}
