package procfs

import (
	"runtime"
	"strconv"

	"gosv/kernel/block"
	"gosv/kernel/cpu"
	"gosv/kernel/frame"
	"gosv/kernel/goport"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

// addSystem adds the files that are about the whole machine.
func (fs *FS) addSystem() {
	file := func(name string, f func(b []byte) []byte) {
		fs.root.Add(name, vfs.NewReadOnlyFile(func() []byte { return f(make([]byte, 0, 1024)) }))
	}
	file("meminfo", fs.appendMeminfo)
	file("uptime", func(b []byte) []byte {
		now := cpu.Nanotime()
		_, idle := fs.times(now)
		b = append(hundredths(b, now), ' ')
		return append(hundredths(b, idle), '\n')
	})
	file("loadavg", fs.appendLoadavg)
	file("locks", appendLocks)
	file("stat", fs.appendSystemStat)
	file("version", func(b []byte) []byte {
		b = append(append(b, "Linux version "...), fs.cfg.Release...)
		return append(append(append(b, " (gosv) "...), fs.cfg.Version...), '\n')
	})
	file("cmdline", func(b []byte) []byte { return append(append(b, fs.cfg.CommandLine...), '\n') })
	file("cpuinfo", appendCPUInfo)
	file("filesystems", func(b []byte) []byte {
		for name, nodev := range vfs.FilesystemTypes {
			if nodev {
				b = append(b, "nodev"...)
			}
			b = append(append(append(b, '\t'), name...), '\n')
		}
		return b
	})
	file("devices", func(b []byte) []byte {
		b = append(b, "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n 10 misc\n136 pts\n\nBlock devices:\n"...)
		if len(block.Disks()) > 0 {
			b = append(b, "254 virtblk\n"...)
		}
		return b
	})
	file("consoles", func(b []byte) []byte {
		if fs.cfg.ConsoleTTY {
			b = append(b, "console0             -W- (EC p  )    5:1\n"...)
		}
		return b
	})
	file("swaps", func(b []byte) []byte { return append(b, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"...) })
	file("partitions", appendPartitions)
	file("diskstats", appendDiskStats)
	file("vmstat", fs.appendVmstat)
	file("interrupts", appendInterrupts)
	fixed := func(name, text string) { file(name, func(b []byte) []byte { return append(b, text...) }) }
	fixed("cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\n")
	fixed("modules", "")
	fixed("misc", "")
	drivers := "/dev/tty             /dev/tty        5       0 system:/dev/tty\n" +
		"/dev/console         /dev/console    5       1 system:console\n" +
		"/dev/ptmx            /dev/ptmx       5       2 system\n" +
		"pty_slave            /dev/pts      136 0-1048575 pty:slave\n"
	fs.root.Subdir("tty").Add("drivers", vfs.NewReadOnlyFile(func() []byte { return []byte(drivers) }))
	file("gosv", appendKernel)
	fs.root.Add("mounts", vfs.NewLink("self/mounts"))
	addRegistered(fs.root, "")
}

// appendMeminfo writes /proc/meminfo (proc_meminfo(5)). Slab is the kernel's own
// heap, with the stacks of its goroutines.
func (fs *FS) appendMeminfo(b []byte) []byte {
	total, free, reserved, cached := frame.Stats()
	usable := free - min(free, reserved)
	shmem := min(mm.SharedFrames(), cached)
	file := cached - shmem
	m := fs.memoryOfAll()
	anon, tables, locked := m.anon, m.tables, m.locked
	kernel := goport.HeapBytes()
	for _, l := range []struct {
		name  string
		bytes uint64
	}{
		{"MemTotal", total * 4096}, {"MemFree", free * 4096}, {"MemAvailable", (usable + file) * 4096},
		{"Buffers", 0}, {"Cached", cached * 4096}, {"SwapCached", 0},
		{"Active", anon}, {"Inactive", cached * 4096}, {"Active(anon)", anon}, {"Inactive(anon)", shmem * 4096},
		{"Active(file)", 0}, {"Inactive(file)", file * 4096}, {"Unevictable", locked}, {"Mlocked", locked},
		{"SwapTotal", 0}, {"SwapFree", 0}, {"Dirty", 0}, {"Writeback", 0}, {"AnonPages", anon},
		{"Mapped", min(m.file, cached*4096)}, {"Shmem", shmem * 4096}, {"KReclaimable", 0}, {"Slab", kernel}, {"SReclaimable", 0}, {"SUnreclaim", kernel},
		{"KernelStack", 0}, {"PageTables", tables}, {"NFS_Unstable", 0}, {"Bounce", 0}, {"WritebackTmp", 0},
		{"CommitLimit", total * 4096}, {"Committed_AS", anon}, {"VmallocTotal", 34359738367 << 10},
		{"VmallocUsed", 0}, {"VmallocChunk", 0}, {"AnonHugePages", mm.HugePages() << 21}, {"ShmemHugePages", 0},
		{"ShmemPmdMapped", 0}, {"FileHugePages", 0}, {"FilePmdMapped", 0},
	} {
		b = size(b, l.name, l.bytes)
	}
	for _, name := range []string{"HugePages_Total", "HugePages_Free", "HugePages_Rsvd", "HugePages_Surp"} {
		b = append(right(left(b, name+":", 16), 0, 8), '\n')
	}
	b = size(b, "Hugepagesize", 2<<20)
	return size(b, "Hugetlb", 0)
}

// appendKernel writes /proc/gosv, which Linux has not: what the kernel itself
// holds, a name and a number in each line. What a load leaves behind shows there.
func appendKernel(b []byte) []byte {
	total, free, _, cached := frame.Stats()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	for _, l := range []struct {
		name  string
		value uint64
	}{
		{"goroutines", uint64(runtime.NumGoroutine())}, {"open_files", uint64(vfs.OpenFiles())},
		{"frames", total}, {"frames_free", free}, {"frames_cached", cached},
		{"heap_bytes", m.HeapAlloc}, {"heap_objects", m.HeapObjects}, {"runtime_bytes", m.Sys}, {"gc_cycles", uint64(m.NumGC)}, {"gc_pause_ns", m.PauseTotalNs},
	} {
		b = append(append(b, l.name...), ' ')
		b = append(strconv.AppendUint(b, l.value, 10), '\n')
	}
	return b
}

// memory is what all programs use together, in bytes. A page of the page cache
// counts for each address space that maps it.
type memory struct{ anon, file, tables, locked uint64 }

func (fs *FS) memoryOfAll() (m memory) {
	for _, pid := range fs.cfg.Processes.PIDs() {
		p := fs.cfg.Processes.Process(pid)
		if p == nil {
			continue
		}
		if as := p.Space(); as != nil {
			c := as.Counters()
			as.Release()
			m.anon += c.Anon
			m.file += c.File
			m.tables += c.Tables
			m.locked += c.Locked
		}
	}
	return m
}

// cpuTime is how long CPUs were in what state, in ns.
type cpuTime struct{ user, system, idle, irq int64 }

// times returns the times of all CPUs together, and the idle time alone.
func (fs *FS) times(now int64) (all cpuTime, idle int64) {
	c := fs.cfg.Processes.Counts()
	all.user, all.system = c.User, c.System
	n := cpu.NumCPU()
	if fs.cfg.CPUTimes != nil {
		for i := range n {
			idle, irq := fs.cfg.CPUTimes(i)
			all.idle += idle
			all.irq += irq
		}
	} else {
		all.idle = max(now*int64(n)-all.user-all.system, 0)
	}
	return all, all.idle
}

func appendCPULine(b []byte, t cpuTime) []byte {
	b = fields(b, ticks(t.user), 0, ticks(t.system), ticks(t.idle), 0, ticks(t.irq), 0, 0, 0, 0)
	return append(b, '\n')
}

// appendSystemStat writes /proc/stat (proc_stat(5)).
func (fs *FS) appendSystemStat(b []byte) []byte {
	now := cpu.Nanotime()
	all, _ := fs.times(now)
	b = appendCPULine(append(b, "cpu "...), all)
	n := int64(cpu.NumCPU())
	for i := range n {
		t := cpuTime{all.user / n, all.system / n, all.idle / n, all.irq / n}
		if fs.cfg.CPUTimes != nil {
			// What the programs' times are made of on which CPU nobody counts:
			// what is not idle is shared out in the proportion of the whole.
			t.idle, t.irq = fs.cfg.CPUTimes(int(i))
			busy := max(now-t.idle-t.irq, 0)
			if sum := all.user + all.system; sum > 0 {
				t.user = int64(float64(busy) * float64(all.user) / float64(sum))
			} else {
				t.user = 0
			}
			t.system = busy - t.user
		}
		b = strconv.AppendInt(append(b, "cpu"...), i, 10)
		b = appendCPULine(b, t)
	}
	c := fs.cfg.Processes.Counts()
	b = append(appendIntr(b), "ctxt "...)
	b = strconv.AppendUint(b, c.Switches, 10)
	b = append(b, "\nbtime "...)
	b = strconv.AppendInt(b, (cpu.Walltime()-now)/1e9, 10)
	b = append(b, "\nprocesses "...)
	b = strconv.AppendUint(b, c.Forks, 10)
	b = append(b, "\nprocs_running "...)
	b = strconv.AppendInt(b, int64(c.Running), 10)
	b = append(b, "\nprocs_blocked "...)
	b = strconv.AppendInt(b, int64(c.Blocked), 10)
	return append(b, "\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n"...)
}

// appendLoadavg writes /proc/loadavg.
func (fs *FS) appendLoadavg(b []byte) []byte {
	c := fs.cfg.Processes.Counts()
	for _, l := range c.Load {
		l += 2048 / 200
		b = append(strconv.AppendUint(b, l>>11, 10), '.')
		cs := (l & 2047) * 100 >> 11
		b = append(b, byte('0'+cs/10), byte('0'+cs%10), ' ')
	}
	b = strconv.AppendInt(b, int64(c.Running), 10)
	b = strconv.AppendInt(append(b, '/'), int64(c.Threads), 10)
	b = strconv.AppendInt(append(b, ' '), int64(c.LastPID), 10)
	return append(b, '\n')
}

// appendVmstat writes the lines of /proc/vmstat that are known.
func (fs *FS) appendVmstat(b []byte) []byte {
	_, free, _, cached := frame.Stats()
	m := fs.memoryOfAll()
	var in, out uint64
	for _, d := range block.Disks() {
		s := d.Stats()
		in += s.SectorsRead / 2
		out += s.SectorsWritten / 2
	}
	for _, l := range []struct {
		name string
		v    uint64
	}{{"nr_free_pages", free}, {"nr_mlock", m.locked / 4096}, {"nr_anon_pages", m.anon / 4096}, {"nr_mapped", min(m.file/4096, cached)},
		{"nr_file_pages", cached}, {"nr_shmem", min(mm.SharedFrames(), cached)}, {"nr_anon_transparent_hugepages", mm.HugePages()},
		{"nr_slab_unreclaimable", goport.HeapBytes() / 4096}, {"nr_page_table_pages", m.tables / 4096},
		{"pgpgin", in}, {"pgpgout", out}, {"pswpin", 0}, {"pswpout", 0}} {
		b = append(append(b, l.name...), ' ')
		b = append(strconv.AppendUint(b, l.v, 10), '\n')
	}
	return b
}
