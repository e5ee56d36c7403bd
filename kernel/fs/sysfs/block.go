package sysfs

import (
	"strconv"

	"gosv/kernel/block"
	"gosv/kernel/vfs"
)

// addBlock adds the disks: the directories below devices/virtual/block, and the
// links to them (Documentation/ABI/stable/sysfs-block).
func addBlock(root *vfs.StaticDir) {
	names, classes, numbers := root.Subdir("block"), root.Subdir("class/block"), root.Subdir("dev/block")
	for _, disk := range block.Disks() {
		path := "devices/virtual/block/" + disk.Name
		dev := strconv.Itoa(int(disk.Major)) + ":" + strconv.Itoa(int(disk.Minor))
		addDisk(root.Subdir(path), disk, dev)
		names.Add(disk.Name, vfs.NewLink("../"+path))
		classes.Add(disk.Name, vfs.NewLink("../../"+path))
		numbers.Add(dev, vfs.NewLink("../../"+path))
	}
}

func addDisk(d *vfs.StaticDir, disk block.Disk, dev string) {
	text(d, "dev", dev)
	text(d, "uevent", "MAJOR="+strconv.Itoa(int(disk.Major))+"\nMINOR="+strconv.Itoa(int(disk.Minor))+"\nDEVNAME="+disk.Name+"\nDEVTYPE=disk")
	text(d, "removable", "0")
	text(d, "range", "16")
	text(d, "ext_range", "256")
	text(d, "hidden", "0")
	text(d, "capability", "0")
	text(d, "alignment_offset", "0")
	text(d, "discard_alignment", "0")
	ro := "0"
	if disk.ReadOnly() {
		ro = "1"
	}
	text(d, "ro", ro)
	number := func(name string, get func() uint64) {
		d.Add(name, vfs.NewReadOnlyFile(func() []byte { return append(strconv.AppendUint(nil, get(), 10), '\n') }))
	}
	number("size", func() uint64 { return uint64(disk.Size()) / 512 })
	d.Add("stat", vfs.NewReadOnlyFile(func() []byte {
		s := disk.Stats()
		ms := func(ns int64) uint64 { return uint64(ns / 1e6) }
		var b []byte
		for _, v := range [...]uint64{s.Reads, 0, s.SectorsRead, ms(s.ReadTime), s.Writes, 0, s.SectorsWritten, ms(s.WriteTime), uint64(s.InFlight), ms(s.Busy),
			ms(s.ReadTime + s.WriteTime + s.DiscardTime + s.FlushTime), s.Discards, 0, s.SectorsDropped, ms(s.DiscardTime), s.Flushes, ms(s.FlushTime)} {
			b = append(b, ' ')
			for n := len(strconv.FormatUint(v, 10)); n < 8; n++ {
				b = append(b, ' ')
			}
			b = strconv.AppendUint(b, v, 10)
		}
		return append(b, '\n')
	}))
	d.Add("inflight", vfs.NewReadOnlyFile(func() []byte {
		b := strconv.AppendInt(append([]byte("       0 "), "       "...), int64(disk.Stats().InFlight), 10)
		return append(b, '\n')
	}))
	logical := strconv.Itoa(disk.LogicalBlockSize())
	q := d.Subdir("queue")
	for _, f := range [...][2]string{{"logical_block_size", logical}, {"physical_block_size", logical}, {"hw_sector_size", logical},
		{"minimum_io_size", logical}, {"optimal_io_size", "0"}, {"rotational", "0"}, {"scheduler", "[none]"}, {"nr_requests", "64"},
		{"discard_granularity", "0"}, {"discard_max_bytes", "0"}, {"discard_zeroes_data", "0"}, {"read_ahead_kb", "128"},
		{"zoned", "none"}, {"add_random", "0"}, {"iostats", "1"}, {"dax", "0"}} {
		text(q, f[0], f[1])
	}
	d.Subdir("holders")
	d.Subdir("slaves")
	d.Add("subsystem", vfs.NewLink("../../../../class/block"))
}
