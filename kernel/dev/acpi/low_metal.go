//go:build metal

package acpi

// lowMemory says that the first MiB can be searched for the firmware's structures.
const lowMemory = true
