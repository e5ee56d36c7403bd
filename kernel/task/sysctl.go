package task

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/frame"
	"gosv/kernel/sysctl"
	"gosv/kernel/vfs"
)

// sysctls are the settings of names, processes and core files.
var sysctls = [...]sysctl.Row{
	{Name: "kernel.osrelease", Value: sysctl.Fixed(Release)},
	{Name: "kernel.version", Value: sysctl.Fixed(Version)},
	{Name: "kernel.hostname", Value: &sysctl.String{Max: 64, Get: Hostname, Set: func(s string) error { SetHostname(s); return nil }}},
	{Name: "kernel.domainname", Value: &sysctl.String{Max: 64, Get: Domainname, Set: func(s string) error { SetDomainname(s); return nil }}},
	{Name: "kernel.core_pattern", Value: &sysctl.String{Max: maxCorePattern, Get: CorePattern, Set: SetCorePattern}},
	{Name: "kernel.core_uses_pid", Value: &sysctl.Int{Var: &coreUsesPID}},
	{Name: "kernel.pid_max", Value: &sysctl.Int{Get: func(int) int32 { return pidMax.Load() }, Set: setPIDMax, Min: reservedPID + 1, Max: maxPID}},
	{Name: "kernel.threads-max", Value: &sysctl.Int{Get: threadsMost, Set: setThreadsMost, Min: 1, Max: 1<<29 - 1}},
	{Name: "kernel.ns_last_pid", Mode: 0o444, Value: &sysctl.Int{Get: func(int) int32 {
		Tasks.mu.Lock()
		defer Tasks.mu.Unlock()
		return int32(Tasks.last)
	}}},
}

func init() { sysctl.Register(sysctls[:]) }

// threadsMax is kernel.threads-max; 0 is what the memory allows for.
var threadsMax sysctl.Int32

// threadsMost returns how many threads there can be. One takes about 16 KiB of
// the kernel's memory; they may take an eighth of it.
func threadsMost(int) int32 {
	if n := threadsMax.Load(); n != 0 {
		return n
	}
	total, _, _, _ := frame.Stats()
	return int32(min(max(64, total*cpu.PageSize/(8*16<<10)), maxPID))
}

func setThreadsMost(_ int, v int32) error {
	threadsMax.Store(v)
	return nil
}

func init() { vfs.SetPrivileged(mayExceedFiles) }

// mayExceedFiles reports whether a thread that uses the table has CAP_SYS_ADMIN.
func mayExceedFiles(files *vfs.FDTable) bool {
	Tasks.mu.Lock()
	defer Tasks.mu.Unlock()
	for _, t := range Tasks.tasks {
		if t.Files == files && t.Creds().Has(unix.CAP_SYS_ADMIN) {
			return true
		}
	}
	return false
}
