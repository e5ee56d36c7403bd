// Command embed puts a built kernel where the tool embeds it from.
//
//	go run ./host/kernel/embed bin/gosv-kernel.elf
package main

import (
	"bytes"
	"fmt"
	"os"

	"gosv/host/kernel"
)

const target = "host/kernel/embedded/gosv-kernel.elf"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: embed KERNEL, from the top of the repository")
		os.Exit(2)
	}
	if err := embed(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

func embed(name string) error {
	if _, err := kernel.MemoryEnd(name); err != nil {
		return err
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(target); err == nil && bytes.Equal(old, b) {
		return nil // an unchanged file keeps the tool's build cache good
	}
	if err := os.WriteFile(target+".new", b, 0o644); err != nil {
		return err
	}
	return os.Rename(target+".new", target)
}
