// Command embed puts built kernels where the tool embeds them from.
//
//	go run ./host/kernel/embed bin/gosv-kernel.elf bin/gosv-kernel-minimal.elf
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"gosv/host/kernel"
)

const dir = "host/kernel/embedded"

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: embed KERNEL..., from the top of the repository")
		os.Exit(2)
	}
	for _, name := range os.Args[1:] {
		if err := embed(name); err != nil {
			fmt.Fprintln(os.Stderr, "embed:", err)
			os.Exit(1)
		}
	}
}

func embed(name string) error {
	base := filepath.Base(name)
	if !slices.ContainsFunc(kernel.Profiles, func(p kernel.Profile) bool { return p.FileName() == base }) {
		return fmt.Errorf("%s: the tool embeds no file of this name", name)
	}
	if _, _, err := kernel.Memory(name); err != nil {
		return err
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	target := filepath.Join(dir, base)
	if old, err := os.ReadFile(target); err == nil && bytes.Equal(old, b) {
		return nil // an unchanged file keeps the tool's build cache good
	}
	if err := os.WriteFile(target+".new", b, 0o644); err != nil {
		return err
	}
	return os.Rename(target+".new", target)
}
