// Package probe finds the virtio devices of the machine.
package probe

import (
	"gosv/kernel/dev/pci"
	"gosv/kernel/dev/virtio"
	"gosv/kernel/dev/virtio/mmio"
	vpci "gosv/kernel/dev/virtio/pci"
)

// Machine is what the boot information says.
type Machine struct {
	Options []string // words of the command line
	ECAM    uint64   // PCI Express configuration space, 0: none
	ACPI    bool     // there are ACPI tables
	IOAPICs int
}

// Transports returns the machine's devices: those that the command line names
// (Firecracker, and QEMU's microvm without ACPI), and those on PCI. A machine with
// neither, and without the ports of PCI, is taken for QEMU's microvm, whose
// places for devices are known.
func Transports(m Machine) []virtio.Transport {
	var found []virtio.Transport
	slots := mmio.Parse(m.Options)
	ports := new(pci.Ports).Present()
	if len(slots) == 0 && !ports {
		slots = mmio.Microvm(m.ACPI, m.IOAPICs)
	}
	for _, d := range mmio.Probe(slots) {
		found = append(found, d)
	}
	if access := pci.Machine(m.ECAM, ports); access != nil {
		for _, d := range vpci.Probe(pci.Scan(access)) {
			found = append(found, d)
		}
	}
	return found
}
