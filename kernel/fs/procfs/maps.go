package procfs

import (
	"strconv"

	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

// nameColumn is where the last column of maps starts.
const nameColumn = 73

// areas returns the areas with their files held, so that nothing below is called
// with the address space locked.
func areas(as *mm.AddressSpace) []mm.AreaInfo {
	var list []mm.AreaInfo
	as.Areas(func(a mm.AreaInfo) bool {
		if a.File != nil {
			a.File.Retain()
		}
		list = append(list, a)
		return true
	})
	return list
}

func releaseAreas(list []mm.AreaInfo) {
	for _, a := range list {
		if a.File != nil {
			a.File.Release()
		}
	}
}

// appendMaps writes /proc/PID/maps, or with smaps the numbers of each area too.
func appendMaps(b []byte, as *mm.AddressSpace, smaps bool) []byte {
	list := areas(as)
	defer releaseAreas(list)
	list = append(list, gateArea...)
	for i := range list {
		b = appendArea(b, &list[i])
		if smaps {
			s := sums(as, &list[i])
			b = size(b, "Size", list[i].End-list[i].Start)
			b = size(b, "KernelPageSize", 4096)
			b = size(b, "MMUPageSize", 4096)
			b = s.append(b)
			b = append(b, "THPeligible:           "...)
			b = append(b, '0'+eligible(as, &list[i]))
			b = append(b, "\nVmFlags:"...)
			b = appendFlags(b, &list[i])
		}
	}
	return b
}

// gateArea is what a program may call though it is no part of its memory.
var gateArea = []mm.AreaInfo{{Start: 0xffffffffff600000, End: 0xffffffffff601000, Prot: mm.ProtExec, Name: "[vsyscall]", Gate: true}}

// eligible is 1 if the area may have huge pages of 2 MiB.
func eligible(as *mm.AddressSpace, a *mm.AreaInfo) byte {
	const size = 2 << 20
	if a.File != nil || a.Shared || a.Grows || as.THPDisabled() || (a.Start+size-1)&^(size-1)+size > a.End {
		return 0
	}
	return 1
}

func appendArea(b []byte, a *mm.AreaInfo) []byte {
	start := len(b)
	b = hex(b, a.Start, 8)
	b = append(b, '-')
	b = hex(b, a.End, 8)
	b = append(b, ' ')
	for _, f := range [...]struct {
		p mm.Prot
		c byte
	}{{mm.ProtRead, 'r'}, {mm.ProtWrite, 'w'}, {mm.ProtExec, 'x'}} {
		if a.Prot&f.p != 0 {
			b = append(b, f.c)
		} else {
			b = append(b, '-')
		}
	}
	if a.Shared {
		b = append(b, "s "...)
	} else {
		b = append(b, "p "...)
	}
	b = hex(b, a.Offset, 8)
	var st vfs.Stat
	if f, ok := a.File.(*vfs.File); ok {
		f.Stat(&st)
	}
	b = append(b, ' ')
	b = hex(b, uint64(unix.Major(st.Dev)), 2)
	b = append(b, ':')
	b = hex(b, uint64(unix.Minor(st.Dev)), 2)
	b = append(b, ' ')
	b = append(strconv.AppendUint(b, st.Ino, 10), ' ')
	if a.Name != "" {
		for len(b)-start < nameColumn {
			b = append(b, ' ')
		}
		b = escapeNewline(b, a.Name)
	}
	return append(b, '\n')
}

func escapeNewline(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] == '\n' {
			b = append(b, `\012`...)
		} else {
			b = append(b, s[i])
		}
	}
	return b
}

// appendFlags writes the VmFlags line, without what nobody can know here.
func appendFlags(b []byte, a *mm.AreaInfo) []byte {
	for _, f := range [...]struct {
		on   bool
		name string
	}{
		{a.Prot&mm.ProtRead != 0, " rd"}, {a.Prot&mm.ProtWrite != 0, " wr"}, {a.Prot&mm.ProtExec != 0, " ex"},
		{a.Shared, " sh"}, {!a.Gate, " mr mw me"}, {a.Shared, " ms"}, {a.Grows, " gd"}, {a.Locked, " lo"}, {a.DontDump, " dd"},
		{a.Sealed, " sl"},
	} {
		if f.on {
			b = append(b, f.name...)
		}
	}
	return append(b, " \n"...)
}

// areaSums are the numbers of smaps, in bytes. A page of the page cache counts
// as clean and shared only where the mapping is: who else maps it is not known.
type areaSums struct {
	rss, anon, huge, file, sharedFile, locked uint64
	exe                                       uint64 // executable areas of the program's file
}

func sums(as *mm.AddressSpace, a *mm.AreaInfo) (s areaSums) {
	if a.Gate {
		return s
	}
	s.rss, s.anon, s.huge = as.Residency(a.Start, a.End-a.Start)
	if a.Shared {
		s.sharedFile, s.anon = s.rss, 0
	} else {
		s.file = s.rss - s.anon
	}
	if a.Locked {
		s.locked = s.rss
	}
	return s
}

// append writes the lines from Rss to Locked. The address space is the only one
// that the kernel knows to map a page, so Pss is Rss.
func (s *areaSums) append(b []byte) []byte {
	b = size(b, "Rss", s.rss)
	b = size(b, "Pss", s.rss)
	b = size(b, "Pss_Dirty", s.anon)
	b = size(b, "Shared_Clean", 0)
	b = size(b, "Shared_Dirty", 0)
	b = size(b, "Private_Clean", s.file+s.sharedFile)
	b = size(b, "Private_Dirty", s.anon)
	b = size(b, "Referenced", s.rss)
	b = size(b, "Anonymous", s.anon)
	b = size(b, "KSM", 0)
	b = size(b, "LazyFree", 0)
	b = size(b, "AnonHugePages", s.huge)
	for _, zero := range []string{"ShmemPmdMapped", "FilePmdMapped",
		"Shared_Hugetlb", "Private_Hugetlb", "Swap", "SwapPss"} {
		b = size(b, zero, 0)
	}
	return size(b, "Locked", s.locked)
}

// appendRollup writes /proc/PID/smaps_rollup: the sums over all areas.
func appendRollup(b []byte, as *mm.AddressSpace) []byte {
	list := areas(as)
	defer releaseAreas(list)
	if len(list) == 0 {
		return b
	}
	var t areaSums
	for i := range list {
		s := sums(as, &list[i])
		t.rss += s.rss
		t.anon += s.anon
		t.huge += s.huge
		t.file += s.file
		t.sharedFile += s.sharedFile
		t.locked += s.locked
	}
	all := mm.AreaInfo{Start: list[0].Start, End: list[len(list)-1].End, Name: "[rollup]"}
	b = appendArea(b, &all)
	b = size(b, "Rss", t.rss)
	b = size(b, "Pss", t.rss)
	b = size(b, "Pss_Dirty", t.anon)
	b = size(b, "Pss_Anon", t.anon)
	b = size(b, "Pss_File", t.file)
	b = size(b, "Pss_Shmem", t.sharedFile)
	rest := t.append(nil)
	for range 3 { // Rss, Pss and Pss_Dirty are above
		for i, c := range rest {
			if c == '\n' {
				rest = rest[i+1:]
				break
			}
		}
	}
	return append(b, rest...)
}

// scanAreas adds up what Counters does not: the executable areas of the program,
// which is the file that is mapped executable first.
func scanAreas(as *mm.AddressSpace) (s areaSums) {
	var exe mm.Mappable
	as.Areas(func(a mm.AreaInfo) bool {
		if a.File != nil && a.Prot&mm.ProtExec != 0 {
			if exe == nil {
				exe = a.File
			}
			if a.File == exe {
				s.exe += a.End - a.Start
			}
		}
		return true
	})
	return s
}
