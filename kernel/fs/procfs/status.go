package procfs

import (
	"strconv"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/frame"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

var stateNames = map[byte]string{
	'R': "R (running)", 'S': "S (sleeping)", 'D': "D (disk sleep)", 'T': "T (stopped)",
	't': "t (tracing stop)", 'Z': "Z (zombie)", 'X': "X (dead)",
}

// appendStatus writes /proc/PID/status (proc_pid_status(5)).
func appendStatus(b []byte, t Thread) []byte {
	var st State
	t.State(&st)
	p := t.Process()
	c := t.Creds()
	if c == nil {
		c = &vfs.Creds{}
	}
	b = append(b, "Name:\t"...)
	for _, r := range []byte(t.Comm()) {
		switch r {
		case '\n':
			b = append(b, `\n`...)
		case '\\':
			b = append(b, `\\`...)
		default:
			b = append(b, r)
		}
	}
	x := t.FSContext()
	if x != nil {
		b = append(b, "\nUmask:\t0"...)
		m := x.Umask()
		b = append(b, byte('0'+m>>6&7), byte('0'+m>>3&7), byte('0'+m&7))
	}
	b = append(append(b, "\nState:\t"...), stateNames[st.State]...)
	b = append(b, '\n')
	b = line(b, "Tgid", uint64(st.PID))
	b = line(b, "Ngid", 0)
	b = line(b, "Pid", uint64(t.TID()))
	b = line(b, "PPid", uint64(st.PPID))
	b = line(b, "TracerPid", uint64(st.TracerPID))
	b = ids(b, "Uid", c.UID, c.EUID, c.SUID, c.FSUID)
	b = ids(b, "Gid", c.GID, c.EGID, c.SGID, c.FSGID)
	fds := 0
	if f := t.Files(); f != nil {
		fds = 64
		f.Each(func(fd int, _ *vfs.File, _ bool) bool {
			for fds <= fd {
				fds *= 2
			}
			return true
		})
	}
	b = line(b, "FDSize", uint64(fds))
	b = append(b, "Groups:\t"...)
	for _, g := range c.Groups {
		b = append(strconv.AppendUint(b, uint64(g), 10), ' ')
	}
	if len(c.Groups) == 0 {
		b = append(b, ' ')
	}
	b = append(b, '\n')
	b = line(b, "NStgid", uint64(st.PID))
	b = line(b, "NSpid", uint64(t.TID()))
	b = line(b, "NSpgid", uint64(st.PGRP))
	b = line(b, "NSsid", uint64(st.SID))
	b = line(b, "Kthread", 0)
	if as := p.Space(); as != nil {
		b = appendMemoryStatus(b, as)
		as.Release()
	}
	b = line(b, "Threads", uint64(st.Threads))
	b = append(b, "SigQ:\t"...)
	b = strconv.AppendInt(b, int64(st.QueuedSignals), 10)
	b = append(b, '/')
	b = strconv.AppendUint(b, p.Limits()[unix.RLIMIT_SIGPENDING].Soft, 10)
	b = append(b, '\n')
	b = mask(b, "SigPnd", st.Pending)
	b = mask(b, "ShdPnd", st.SharedPending)
	b = mask(b, "SigBlk", st.Blocked)
	b = mask(b, "SigIgn", st.Ignored)
	b = mask(b, "SigCgt", st.Caught)
	b = mask(b, "CapInh", c.Inheritable)
	b = mask(b, "CapPrm", c.Permitted)
	b = mask(b, "CapEff", c.Effective)
	b = mask(b, "CapBnd", c.Bounding)
	b = mask(b, "CapAmb", c.Ambient)
	nnp := uint64(0)
	if st.NoNewPrivs {
		nnp = 1
	}
	b = line(b, "NoNewPrivs", nnp)
	b = line(b, "Seccomp", uint64(st.Seccomp))
	b = line(b, "Seccomp_filters", uint64(st.SeccompFilters))
	cpus := affinity(st.Affinity)
	b = append(b, "Cpus_allowed:\t"...)
	b = appendCPUMask(b, cpus)
	b = append(b, "\nCpus_allowed_list:\t"...)
	b = appendCPUList(b, cpus)
	b = append(b, "\nMems_allowed:\t00000000,00000001\nMems_allowed_list:\t0\n"...)
	b = line(b, "voluntary_ctxt_switches", st.Voluntary)
	return line(b, "nonvoluntary_ctxt_switches", st.Involuntary)
}

func ids(b []byte, name string, vs ...uint32) []byte {
	b = append(append(b, name...), ':')
	for _, v := range vs {
		b = strconv.AppendUint(append(b, '\t'), uint64(v), 10)
	}
	return append(b, '\n')
}

func mask(b []byte, name string, v uint64) []byte {
	b = append(append(b, name...), ":\t"...)
	return append(hex(b, v, 16), '\n')
}

func appendMemoryStatus(b []byte, as *mm.AddressSpace) []byte {
	c := as.Counters()
	m := scanAreas(as)
	rss := c.Anon + c.File
	peakSize, peakRSS := as.Peak()
	b = kb(b, "VmPeak", max(peakSize, c.Size))
	b = kb(b, "VmSize", c.Size)
	b = kb(b, "VmLck", c.Locked)
	b = kb(b, "VmPin", 0)
	b = kb(b, "VmHWM", max(peakRSS, rss))
	b = kb(b, "VmRSS", rss)
	b = kb(b, "RssAnon", c.Anon)
	b = kb(b, "RssFile", c.File)
	b = kb(b, "RssShmem", 0)
	b = kb(b, "VmData", c.Data)
	b = kb(b, "VmStk", c.Stack)
	b = kb(b, "VmExe", m.exe)
	b = kb(b, "VmLib", c.Exec-min(m.exe, c.Exec))
	b = kb(b, "VmPTE", c.Tables)
	b = kb(b, "VmSwap", 0)
	b = kb(b, "HugetlbPages", 0)
	b = line(b, "CoreDumping", 0)
	thp := uint64(1)
	if as.THPDisabled() {
		thp = 0
	}
	b = line(b, "THP_enabled", thp)
	return append(b, "untag_mask:\t0xffffffffffffffff\n"...)
}

// affinity returns the mask of a thread: all CPUs if it has none.
func affinity(m []uint64) []uint64 {
	n := cpu.NumCPU()
	all := make([]uint64, (n+63)/64)
	for i := range n {
		all[i/64] |= 1 << (i % 64)
	}
	for i := range all {
		if m != nil {
			v := uint64(0)
			if i < len(m) {
				v = m[i]
			}
			all[i] &= v
		}
	}
	return all
}

// appendCPUMask writes a mask as "%*pb" does: 32 bits a piece, the highest
// first, and no more digits than there are CPUs.
func appendCPUMask(b []byte, m []uint64) []byte {
	n := cpu.NumCPU()
	for i := (n - 1) / 32; i >= 0; i-- {
		bits := min(n-32*i, 32)
		b = hex(b, m[i/2]>>(32*(i%2))&0xffffffff, (bits+3)/4)
		if i > 0 {
			b = append(b, ',')
		}
	}
	return b
}

// appendCPUList writes a mask as "0-3,8".
func appendCPUList(b []byte, m []uint64) []byte {
	on := func(i int) bool { return i/64 < len(m) && m[i/64]>>(i%64)&1 != 0 }
	first := true
	for i := 0; i < 64*len(m); i++ {
		if !on(i) {
			continue
		}
		j := i
		for on(j + 1) {
			j++
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = strconv.AppendInt(b, int64(i), 10)
		if j > i {
			b = strconv.AppendInt(append(b, '-'), int64(j), 10)
		}
		i = j
	}
	return b
}

// appendStat writes /proc/PID/stat (proc_pid_stat(5)), or that of one thread.
func appendStat(b []byte, t Thread, whole bool) []byte {
	var st State
	t.State(&st)
	p := t.Process()
	var c mm.Counters
	if as := p.Space(); as != nil {
		c = as.Counters()
		as.Release()
	}
	l := p.Layout()
	user, system, faults := st.UserTime, st.SystemTime, st.MinorFaults
	if whole {
		user, system, faults = st.ProcessUser, st.ProcessSystem, st.ProcessMinorFaults
	}
	b = strconv.AppendInt(b, int64(t.TID()), 10)
	b = append(append(append(b, " ("...), t.Comm()...), ") "...)
	b = append(b, st.State)
	b = signed(b, st.PPID, st.PGRP, st.SID, st.TTY, st.TTYGroup)
	b = fields(b, 0x400000, faults, st.ChildMinorFaults, st.MajorFaults, st.ChildMajorFaults,
		ticks(user), ticks(system), ticks(st.ChildUser), ticks(st.ChildSystem))
	b = signed(b, st.Priority, st.Nice, st.Threads, 0)
	b = fields(b, ticks(st.Start), c.Size, (c.Anon+c.File)/4096, p.Limits()[unix.RLIMIT_RSS].Soft,
		l.StartCode, l.EndCode, l.StartStack, 0, 0,
		low(st.Pending), low(st.Blocked), low(st.Ignored), low(st.Caught), 0, 0, 0)
	b = signed(b, st.ExitSignal, st.CPU, st.RTPriority, st.Policy)
	b = fields(b, 0, 0, 0, l.StartData, l.EndData, l.StartBrk, l.ArgStart, l.ArgEnd, l.EnvStart, l.EnvEnd)
	b = signed(b, st.ExitStatus)
	return append(b, '\n')
}

// low keeps the signals that stat has room for.
func low(set uint64) uint64 { return set & 0x7fffffff }

// appendStatm writes /proc/PID/statm.
func appendStatm(b []byte, as *mm.AddressSpace) []byte {
	c := as.Counters()
	m := scanAreas(as)
	b = strconv.AppendUint(b, c.Size/4096, 10)
	b = fields(b, (c.Anon+c.File)/4096, c.File/4096, m.exe/4096, 0, (c.Data+c.Stack)/4096, 0)
	return append(b, '\n')
}

// appendSchedstat writes the time on a CPU; the time on the run queue is the
// scheduler's secret.
func appendSchedstat(b []byte, t Thread) []byte {
	var st State
	t.State(&st)
	b = strconv.AppendInt(b, st.UserTime+st.SystemTime, 10)
	return append(fields(b, 0, st.Voluntary+st.Involuntary), '\n')
}

// appendSyscall writes what the thread is doing (proc_pid_syscall(5)).
func appendSyscall(b []byte, t Thread) []byte {
	var st State
	t.State(&st)
	if st.State == 'R' {
		return append(b, "running\n"...)
	}
	b = strconv.AppendInt(b, st.Syscall, 10)
	if st.Syscall >= 0 {
		for _, a := range st.SyscallArgs {
			b = hex(append(b, " 0x"...), a, 1)
		}
	}
	b = hex(append(b, " 0x"...), st.UserSP, 1)
	b = hex(append(b, " 0x"...), st.UserIP, 1)
	return append(b, '\n')
}

var limitNames = [16]struct{ name, unit string }{
	{"Max cpu time", "seconds"}, {"Max file size", "bytes"}, {"Max data size", "bytes"}, {"Max stack size", "bytes"},
	{"Max core file size", "bytes"}, {"Max resident set", "bytes"}, {"Max processes", "processes"}, {"Max open files", "files"},
	{"Max locked memory", "bytes"}, {"Max address space", "bytes"}, {"Max file locks", "locks"}, {"Max pending signals", "signals"},
	{"Max msgqueue size", "bytes"}, {"Max nice priority", ""}, {"Max realtime priority", ""}, {"Max realtime timeout", "us"},
}

// appendLimits writes /proc/PID/limits.
func appendLimits(b []byte, l [16]Limit) []byte {
	b = append(b, "Limit                     Soft Limit           Hard Limit           Units     \n"...)
	value := func(v uint64) string {
		if v == ^uint64(0) {
			return "unlimited"
		}
		return strconv.FormatUint(v, 10)
	}
	for i, n := range limitNames {
		b = append(left(b, n.name, 25), ' ')
		b = append(left(b, value(l[i].Soft), 20), ' ')
		b = append(left(b, value(l[i].Hard), 20), ' ')
		if n.unit != "" {
			b = left(b, n.unit, 10)
		}
		b = append(b, '\n')
	}
	return b
}

// oomScore is the share of the memory that the process uses, in thousandths,
// plus its adjustment.
func oomScore(p Process) string {
	score := 0
	if as := p.Space(); as != nil {
		c := as.Counters()
		as.Release()
		if total, _, _, _ := frame.Stats(); total > 0 {
			score = int((c.Anon + c.File + c.Tables) / 4096 * 1000 / total)
		}
	}
	// Linux's scale has 667 for nothing used and nothing adjusted.
	adj := p.OOMScoreAdj()
	if adj == -1000 {
		return "0\n"
	}
	return strconv.Itoa(max((1000+score+adj)*2/3, 0)) + "\n"
}
