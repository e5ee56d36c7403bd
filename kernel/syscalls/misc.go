package syscalls

import (
	"strconv"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/frame"
	"gosv/kernel/random"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// miscRows are the calls about the system as a whole, and prctl.
var miscRows = []Row{
	{AMD64: 63, ARM64: 160, Name: "uname", Fn: sysUname, Format: "buf:utsname"},
	{AMD64: 170, ARM64: 161, Name: "sethostname", Fn: sysSethostname, Format: "name:buf, len:size"},
	{AMD64: 171, ARM64: 162, Name: "setdomainname", Fn: sysSetdomainname, Format: "name:buf, len:size"},
	{AMD64: 99, ARM64: 179, Name: "sysinfo", Fn: sysSysinfo, Format: "info:ptr"},
	{AMD64: 318, ARM64: 278, Name: "getrandom", Fn: sysGetrandom, Format: "buf:ptr, buflen:size, flags:flags.grnd"},
	{AMD64: 158, ARM64: NoNumber, Name: "arch_prctl", Fn: sysArchPrctl, Format: "code:flags.archprctl, addr:hex",
		Level: Partial, Note: "the FS and GS bases; no CPUID faulting, no shadow stack"},
	{AMD64: 157, ARM64: 167, Name: "prctl", Fn: sysPrctl, Format: "option:flags.prctl, arg2:hex, arg3:hex, arg4:hex, arg5:hex",
		Level: Partial, Note: "names, dumpable, capabilities, no_new_privs, subreaper, parent-death signal, timer slack, THP, PR_GET_AUXV; EINVAL: PR_SET_MM, PR_SET_VMA, PR_SET_MDWE, PR_SET_MEMORY_MERGE, PR_SCHED_CORE, PR_SET_PTRACER, PR_SET_TSC, PR_MCE_KILL, PR_SET_IO_FLUSHER, PR_SET_SYSCALL_USER_DISPATCH, PR_*_SPECULATION_CTRL, PR_TASK_PERF_EVENTS_* and those of other architectures"},
	{AMD64: 135, ARM64: 92, Name: "personality", Fn: sysPersonality, Format: "persona:hex",
		Level: Partial, Note: "ADDR_NO_RANDOMIZE works; the others are kept and have no effect"},
	{AMD64: 169, ARM64: 142, Name: "reboot", Fn: sysReboot, Format: "magic:hex, magic2:hex, cmd:hex, arg:ptr",
		Level: Partial, Note: "restart, halt and power-off end the machine"},
	{AMD64: 103, ARM64: 116, Name: "syslog", Fn: sysSyslog, Format: "type:int, buf:ptr, len:int",
		Level: Partial, Note: "the log of the kernel is on its serial port, and empty here"},
}

func sysUname(t *task.Thread, a *Args) (uint64, error) {
	var b [6 * 65]byte
	for i, s := range [...]string{"Linux", task.Hostname(), task.Release, task.Version, machineName, task.Domainname()} {
		copy(b[65*i:65*i+64], s)
	}
	return 0, t.MM.CopyOut(a[0], b[:])
}

func copyInName(t *task.Thread, a *Args) (string, error) {
	if !t.Creds().Has(unix.CAP_SYS_ADMIN) {
		return "", unix.EPERM
	}
	n := int(int32(a[1]))
	if n < 0 || n > 64 {
		return "", unix.EINVAL
	}
	var b [64]byte
	if err := t.MM.CopyIn(b[:n], a[0]); err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

func sysSethostname(t *task.Thread, a *Args) (uint64, error) {
	s, err := copyInName(t, a)
	if err == nil {
		task.SetHostname(s)
	}
	return 0, err
}

func sysSetdomainname(t *task.Thread, a *Args) (uint64, error) {
	s, err := copyInName(t, a)
	if err == nil {
		task.SetDomainname(s)
	}
	return 0, err
}

// sysSysinfo is sysinfo(2), in units of one byte.
func sysSysinfo(t *task.Thread, a *Args) (uint64, error) {
	var b [112]byte
	total, free, _, cached := frame.Stats()
	le.PutUint64(b[0:], uint64(cpu.Nanotime()/1e9))
	for i, load := range task.LoadAverage() {
		le.PutUint64(b[8+8*i:], load<<5) // from 1/2048 to 1/65536
	}
	le.PutUint64(b[32:], uint64(total)*cpu.PageSize)
	le.PutUint64(b[40:], uint64(free)*cpu.PageSize)
	le.PutUint64(b[56:], uint64(cached)*cpu.PageSize) // bufferram
	le.PutUint16(b[80:], uint16(min(task.Tasks.Count(), 65535)))
	le.PutUint32(b[104:], 1)
	return 0, t.MM.CopyOut(a[0], b[:])
}

func sysGetrandom(t *task.Thread, a *Args) (uint64, error) {
	flags := uint32(a[2])
	const known = unix.GRND_NONBLOCK | unix.GRND_RANDOM | unix.GRND_INSECURE
	if flags&^known != 0 || flags&(unix.GRND_RANDOM|unix.GRND_INSECURE) == unix.GRND_RANDOM|unix.GRND_INSECURE {
		return 0, unix.EINVAL
	}
	n := min(a[1], 1<<31-1)
	var b [256]byte
	for done := uint64(0); done < n; {
		part := b[:min(n-done, uint64(len(b)))]
		random.Read(part)
		if err := t.MM.CopyOut(a[0]+done, part); err != nil {
			if done > 0 {
				return done, nil
			}
			return 0, err
		}
		done += uint64(len(part))
		if t.SignalPending() && done < n {
			return done, nil
		}
	}
	return n, nil
}

func sysPersonality(t *task.Thread, a *Args) (uint64, error) {
	old := t.Proc.Personality()
	if p := uint32(a[0]); p != 0xffffffff {
		t.Proc.SetPersonality(p)
	}
	return uint64(old), nil
}

// sysReboot is reboot(2): on this machine every end is a power-off.
func sysReboot(t *task.Thread, a *Args) (uint64, error) {
	if !t.Creds().Has(unix.CAP_SYS_BOOT) {
		return 0, unix.EPERM
	}
	if uint32(a[0]) != unix.LINUX_REBOOT_MAGIC1 {
		return 0, unix.EINVAL
	}
	switch uint32(a[1]) {
	case unix.LINUX_REBOOT_MAGIC2, 85072278, 369367448, 537993216: // birthdays (man page)
	default:
		return 0, unix.EINVAL
	}
	switch uint32(a[2]) {
	case unix.LINUX_REBOOT_CMD_CAD_ON, unix.LINUX_REBOOT_CMD_CAD_OFF:
		return 0, nil
	case unix.LINUX_REBOOT_CMD_RESTART, unix.LINUX_REBOOT_CMD_HALT, unix.LINUX_REBOOT_CMD_POWER_OFF, unix.LINUX_REBOOT_CMD_RESTART2:
		vfs.SyncAll()
		if p := task.Init(); p != nil {
			p.End(0)
		}
		return 0, nil
	}
	return 0, unix.EINVAL
}

// sysSyslog is syslog(2) of an empty log.
func sysSyslog(t *task.Thread, a *Args) (uint64, error) {
	switch int32(a[0]) {
	case 0, 1, 5, 6, 7, 8, 9:
		return 0, nil
	case 2, 3, 4:
		if a[1] == 0 || int32(a[2]) < 0 {
			return 0, unix.EINVAL
		}
		return 0, nil
	case 10: // the size of the buffer
		return 0, nil
	}
	return 0, unix.EINVAL
}

func itoa(n int) string { return strconv.Itoa(n) }
