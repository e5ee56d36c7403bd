package sysfs

import (
	"strconv"

	"gosv/kernel/cpu"
	"gosv/kernel/vfs"
)

// A cache is one of a CPU, as CPUID describes it (Intel SDM, leaf 4; AMD APM,
// leaf 0x8000001d, which has the same registers).
type cache struct {
	kind, level                  uint32
	line, partitions, ways, sets uint32
	sharing                      uint32 // logical CPUs with one
}

// cacheLeaf returns the leaf of CPUID that lists caches, 0 if there is none.
func cacheLeaf() uint32 {
	if top, _, _, _ := cpu.CPUID(0, 0); top >= 4 {
		if a, _, _, _ := cpu.CPUID(4, 0); a&31 != 0 {
			return 4
		}
	}
	if top, _, _, _ := cpu.CPUID(0x80000000, 0); top >= 0x8000001d {
		if _, _, c, _ := cpu.CPUID(0x80000001, 0); c>>22&1 != 0 {
			return 0x8000001d
		}
	}
	return 0
}

// oldWays are the codes of associativity in leaf 0x80000006 (AMD APM volume 3,
// appendix E.4.5).
var oldWays = [16]uint32{1: 1, 2: 2, 4: 4, 6: 8, 8: 16, 10: 32, 11: 48, 12: 64, 13: 96, 14: 128}

// oldCaches lists what AMD's older leaves say: caches of one CPU, and one of the
// third level for all.
func oldCaches(n int) (list []cache) {
	if top, _, _, _ := cpu.CPUID(0x80000000, 0); top < 0x80000006 {
		return nil
	}
	add := func(kind, level, kib, ways, line, sharing uint32) {
		if kib != 0 && ways != 0 && line != 0 && ways != 255 {
			list = append(list, cache{kind: kind, level: level, line: line, partitions: 1, ways: ways, sets: kib << 10 / line / ways, sharing: sharing})
		}
	}
	_, _, c, d := cpu.CPUID(0x80000005, 0)
	add(1, 1, c>>24, c>>16&255, c&255, 1)
	add(2, 1, d>>24, d>>16&255, d&255, 1)
	_, _, c, d = cpu.CPUID(0x80000006, 0)
	add(3, 2, c>>16, oldWays[c>>12&15], c&255, 1)
	add(3, 3, d>>18*512, oldWays[d>>12&15], d&255, uint32(n))
	return list
}

// caches lists the caches of a CPU of n.
func caches(n int) (list []cache) {
	leaf := cacheLeaf()
	if leaf == 0 {
		return oldCaches(n)
	}
	for i := range uint32(8) {
		a, b, c, _ := cpu.CPUID(leaf, i)
		if a&31 == 0 {
			break
		}
		list = append(list, cache{kind: a & 31, level: a >> 5 & 7, line: b&0xfff + 1, partitions: b>>12&0x3ff + 1, ways: b>>22 + 1, sets: c + 1,
			sharing: a>>14&0xfff + 1})
	}
	return list
}

// addCaches adds the directory cache of CPU i of n
// (Documentation/ABI/testing/sysfs-devices-system-cpu).
func addCaches(c *vfs.StaticDir, i, n int) {
	for k, x := range caches(n) {
		d := c.Subdir("cache/index" + strconv.Itoa(k))
		number := func(name string, v uint32) { text(d, name, strconv.FormatUint(uint64(v), 10)) }
		number("level", x.level)
		text(d, "type", [...]string{1: "Data", 2: "Instruction", 3: "Unified"}[min(x.kind, 3)])
		number("coherency_line_size", x.line)
		number("physical_line_partition", x.partitions)
		number("ways_of_associativity", x.ways)
		number("number_of_sets", x.sets)
		text(d, "size", strconv.FormatUint(uint64(x.line)*uint64(x.partitions)*uint64(x.ways)*uint64(x.sets)>>10, 10)+"K")
		number("id", uint32(i)/x.sharing)
		lo := i - i%int(x.sharing)
		hi := min(lo+int(x.sharing), n)
		text(d, "shared_cpu_map", mask(lo, hi, n))
		text(d, "shared_cpu_list", span(lo, hi))
	}
}
