// Package block is the list of block devices, as /proc and /sys show them.
package block

import "sync"

// A Device is a disk.
type Device interface {
	Size() int64 // bytes
	ReadOnly() bool
	LogicalBlockSize() int
	Stats() Stats
}

// Stats is what a device has done (Documentation/admin-guide/iostats.rst).
type Stats struct {
	Reads, Writes, Flushes, Discards            uint64 // requests that have ended
	SectorsRead, SectorsWritten, SectorsDropped uint64 // of 512 bytes
	ReadTime, WriteTime, FlushTime, DiscardTime int64  // ns, of all requests together
	InFlight                                    int
	Busy                                        int64 // ns with a request in flight
}

// A Disk is a device with its name.
type Disk struct {
	Name         string // "vda"
	Major, Minor uint32
	Device
}

// VirtioMajor is the major number of virtio disks: the first of those that Linux
// gives out at run time.
const VirtioMajor = 254

var disks struct {
	mu   sync.Mutex
	list []Disk
}

// Register adds the next virtio disk: vda, vdb and so on.
func Register(d Device) {
	disks.mu.Lock()
	defer disks.mu.Unlock()
	n := len(disks.list)
	disks.list = append(disks.list, Disk{"vd" + suffix(n), VirtioMajor, uint32(16 * n), d})
}

// suffix is how disks are told apart: a to z, then aa.
func suffix(n int) string {
	s := ""
	for ; n >= 0; n = n/26 - 1 {
		s = string(rune('a'+n%26)) + s
	}
	return s
}

// Disks returns all disks in the order of their numbers.
func Disks() []Disk {
	disks.mu.Lock()
	defer disks.mu.Unlock()
	return append([]Disk(nil), disks.list...)
}
