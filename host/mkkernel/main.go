// Command mkkernel builds the kernel with the stock Go toolchain: it writes the overlay of runtime assembly files, runs go
// build, and turns the linked ELF file into one that boots.
//
//	go run ./host/mkkernel -o bin/gosv-kernel.elf
//
// There are two profiles: the full kernel, and with -profile minimal one without network and sockets. The tables of
// functions lose what only people read (package pcln), unless -full-pclntab is given. With -keep-symbols it also leaves the file for
// gdb beside it, with ending .go.elf. With -lint it checks the linked code of the machine layer instead (see lint.go).
package main

import (
	_ "embed"
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
	var o options
	flag.StringVar(&o.out, "o", "bin/gosv-kernel.elf", "write the bootable kernel to `file`")
	flag.BoolVar(&o.keep, "keep-symbols", false, "also write the ELF file with symbols for gdb, with ending .go.elf")
	flag.BoolVar(&o.fullTables, "full-pclntab", false, "keep file names, lines and arguments of functions, for tracebacks")
	flag.BoolVar(&o.lint, "lint", false, "check the machine layer's code, write nothing")
	flag.BoolVar(&o.uninlined, "uninlined", false, "do without the profile of calls, to count them for a new one")
	flag.StringVar(&o.pkg, "pkg", "./cmd/gosv-kernel", "the kernel's main `package`")
	flag.StringVar(&o.profile, "profile", "full", "`full`, or minimal: without network and sockets")
	flag.Parse()
	if flag.NArg() != 0 {
		log.Fatalf("unexpected argument %q", flag.Arg(0))
	}
	if _, ok := profiles[o.profile]; !ok {
		log.Fatalf("-profile %s: it is full or minimal", o.profile)
	}
	if err := run(o); err != nil {
		log.Fatal(err)
	}
}

// profiles are the build tags of the kernel's kinds.
var profiles = map[string]string{"full": "metal", "minimal": "metal,nonet"}

// options are the flags.
type options struct {
	out, pkg, profile      string
	keep, lint, fullTables bool
	uninlined              bool
}

func run(o options) error {
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
	if err := link(o, overlay, modfile, linked); err != nil {
		return err
	}
	if o.lint {
		return lint(linked)
	}
	image, entry, err := makeImage(linked, o.fullTables)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(o.out), 0o755); err != nil {
		return err
	}
	if o.keep {
		b, err := os.ReadFile(linked)
		if err != nil {
			return err
		}
		if err := os.WriteFile(strings.TrimSuffix(o.out, ".elf")+".go.elf", b, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(o.out, image, 0o644); err != nil {
		return err
	}
	fmt.Printf("%s: %d bytes, entry %#x\n", o.out, len(image), entry)
	return nil
}

// callProfile says how often calls are made under network load: those that are made most are inlined, and calls by
// interface of what they mostly lead to are. bench/callprofile makes it. Names of functions and lines in them identify
// calls, so that an older profile serves too; one that is counted in a kernel that has a profile lacks the calls that are
// inlined there. The smaller kernels have no network, and stay small.
//
//go:embed kernel.pgo
var callProfile []byte

// link runs go build. The result does not depend on where it runs. Functions start at any address but where their code
// aligns something: at multiples of 32, as is usual, 5 % of the text would be padding.
func link(o options, overlay, modfile, out string) error {
	ldflags := fmt.Sprintf("-T -%#x -funcalign 1 -buildid=", -(kernelBase + textPhys - 1<<64))
	if !o.keep && !o.lint {
		ldflags += " -s -w"
	}
	args := []string{"build", "-tags", profiles[o.profile], "-overlay", overlay, "-modfile", modfile, "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", out}
	if o.profile == "full" && !o.uninlined {
		profile := filepath.Join(filepath.Dir(out), "kernel.pgo")
		if err := os.WriteFile(profile, callProfile, 0o644); err != nil {
			return err
		}
		args = append(args, "-pgo", profile)
	}
	for _, p := range machineLayer {
		args = append(args, "-gcflags="+p+"=-B")
	}
	cmd := exec.Command("go", append(args, o.pkg)...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "CGO_ENABLED=0", "GOFLAGS=")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	return nil
}
