package procfs

import (
	"gosv/kernel/block"
)

// appendDiskStats writes /proc/diskstats (Documentation/admin-guide/iostats.rst).
// Requests are not merged.
func appendDiskStats(b []byte) []byte {
	ms := func(ns int64) uint64 { return uint64(ns / 1e6) }
	for _, d := range block.Disks() {
		s := d.Stats()
		b = right(b, uint64(d.Major), 4)
		b = right(b, uint64(d.Minor), 8)
		b = append(append(b, ' '), d.Name...)
		b = fields(b, s.Reads, 0, s.SectorsRead, ms(s.ReadTime), s.Writes, 0, s.SectorsWritten, ms(s.WriteTime), uint64(s.InFlight), ms(s.Busy),
			ms(s.ReadTime+s.WriteTime+s.DiscardTime+s.FlushTime), s.Discards, 0, s.SectorsDropped, ms(s.DiscardTime), s.Flushes, ms(s.FlushTime))
		b = append(b, '\n')
	}
	return b
}

// appendPartitions writes /proc/partitions: the sizes of disks in KiB.
func appendPartitions(b []byte) []byte {
	b = append(b, "major minor  #blocks  name\n\n"...)
	for _, d := range block.Disks() {
		b = right(b, uint64(d.Major), 4)
		b = right(b, uint64(d.Minor), 9)
		b = right(append(b, ' '), uint64(d.Size()>>10), 10)
		b = append(append(append(b, ' '), d.Name...), '\n')
	}
	return b
}
