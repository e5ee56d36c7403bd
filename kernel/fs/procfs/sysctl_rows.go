package procfs

import (
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/random"
	"gosv/kernel/sysctl"
)

// sysctls are the settings that no other package steers: what is true of this
// kernel, in Linux's names (Documentation/admin-guide/sysctl). They cannot be
// written where Linux's can, because nothing would come of it.
var sysctls = [...]sysctl.Row{
	{Name: "kernel.ostype", Value: sysctl.Fixed("Linux")},
	{Name: "kernel.arch", Value: sysctl.Fixed(machine)},
	{Name: "kernel.cap_last_cap", Value: &sysctl.Int{Get: func(int) int32 { return unix.CAP_LAST_CAP }}},
	{Name: "kernel.overflowuid", Value: sysctl.Fixed("65534")},
	{Name: "kernel.overflowgid", Value: sysctl.Fixed("65534")},
	{Name: "kernel.ngroups_max", Value: sysctl.Fixed("65536")},
	{Name: "kernel.pty.max", Value: sysctl.Fixed("4096")},
	{Name: "kernel.perf_event_paranoid", Value: sysctl.Fixed("4")},
	{Name: "kernel.kptr_restrict", Value: sysctl.Fixed("2")},
	{Name: "kernel.dmesg_restrict", Value: sysctl.Fixed("1")},
	{Name: "kernel.core_pipe_limit", Value: sysctl.Fixed("0")},
	{Name: "kernel.printk", Value: sysctl.Fixed("4\t4\t1\t7")},
	{Name: "kernel.shm_rmid_forced", Value: sysctl.Fixed("0")},
	{Name: "kernel.auto_msgmni", Value: sysctl.Fixed("0")},
	{Name: "kernel.sysctl_writes_strict", Value: sysctl.Fixed("1")},
	{Name: "kernel.panic", Value: sysctl.Fixed("1")},
	{Name: "kernel.panic_on_oops", Value: sysctl.Fixed("1")},
	{Name: "kernel.tainted", Value: sysctl.Fixed("0")},
	{Name: "kernel.sched_rr_timeslice_ms", Value: sysctl.Fixed("100")},
	{Name: "kernel.sched_rt_period_us", Value: sysctl.Fixed("1000000")},
	{Name: "kernel.sched_rt_runtime_us", Value: sysctl.Fixed("950000")},
	{Name: "kernel.unprivileged_bpf_disabled", Value: sysctl.Fixed("2")},
	{Name: "kernel.random.poolsize", Value: sysctl.Fixed("256")},
	{Name: "kernel.random.entropy_avail", Value: sysctl.Fixed("256")},
	{Name: "kernel.random.write_wakeup_threshold", Value: sysctl.Fixed("256")},
	{Name: "kernel.random.urandom_min_reseed_secs", Value: sysctl.Fixed("60")},
	{Name: "kernel.random.uuid", Value: &sysctl.String{Get: newUUID}},
	{Name: "kernel.random.boot_id", Value: &sysctl.String{Get: bootID}},
	{Name: "vm.overcommit_ratio", Value: sysctl.Fixed("50")},
	{Name: "vm.overcommit_kbytes", Value: sysctl.Fixed("0")},
	{Name: "vm.swappiness", Value: sysctl.Fixed("0")},
	{Name: "vm.nr_hugepages", Value: sysctl.Fixed("0")},
	{Name: "vm.nr_overcommit_hugepages", Value: sysctl.Fixed("0")},
	{Name: "vm.panic_on_oom", Value: sysctl.Fixed("0")},
	{Name: "vm.oom_kill_allocating_task", Value: sysctl.Fixed("1")},
	{Name: "vm.legacy_va_layout", Value: sysctl.Fixed("0")},
	{Name: "vm.mmap_rnd_bits", Value: sysctl.Fixed("28")},
	{Name: "vm.page-cluster", Value: sysctl.Fixed("0")},
	{Name: "fs.overflowuid", Value: sysctl.Fixed("65534")},
	{Name: "fs.overflowgid", Value: sysctl.Fixed("65534")},
	{Name: "fs.suid_dumpable", Value: sysctl.Fixed("0")},
	{Name: "fs.mount-max", Value: sysctl.Fixed("100000")},
}

func init() { sysctl.Register(sysctls[:]) }

var bootID = sync.OnceValue(newUUID)

// newUUID returns a random UUID (RFC 9562, version 4).
func newUUID() string {
	var u [16]byte
	random.Read(u[:])
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	b := make([]byte, 0, 36)
	for i, c := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = hex(b, uint64(c), 2)
	}
	return string(b)
}
