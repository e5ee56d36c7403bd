//go:build !metal

package acpi

// lowMemory: the memory of tests begins above the first MiB.
const lowMemory = false
