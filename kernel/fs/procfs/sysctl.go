package procfs

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"gosv/kernel/frame"
	"gosv/kernel/random"
	"gosv/kernel/vfs"
)

// sysctls are the settings of /proc/sys that do not change: what is true of this
// kernel, in Linux's names (Documentation/admin-guide/sysctl). They cannot be
// written, because nothing would come of it.
var sysctls = []struct{ path, value string }{
	{"kernel/ostype", "Linux"},
	{"kernel/pid_max", "4194304"},
	{"kernel/cap_last_cap", strconv.Itoa(unix.CAP_LAST_CAP)},
	{"kernel/overflowuid", "65534"},
	{"kernel/overflowgid", "65534"},
	{"kernel/ngroups_max", "65536"},
	{"kernel/pty/max", "4096"},
	{"kernel/shmmax", "18446744073692774399"},
	{"kernel/shmall", "18446744073692774399"},
	{"kernel/shmmni", "4096"},
	{"kernel/sem", "32000\t1024000000\t500\t32000"},
	{"kernel/msgmax", "8192"},
	{"kernel/msgmnb", "16384"},
	{"kernel/msgmni", "1024"},
	{"fs/mqueue/queues_max", "256"},
	{"fs/mqueue/msg_max", "10"},
	{"fs/mqueue/msgsize_max", "8192"},
	{"fs/mqueue/msg_default", "10"},
	{"fs/mqueue/msgsize_default", "8192"},
	{"kernel/randomize_va_space", "2"},
	{"kernel/perf_event_paranoid", "4"},
	{"kernel/kptr_restrict", "2"},
	{"kernel/dmesg_restrict", "1"},
	{"kernel/panic", "1"},
	{"kernel/panic_on_oops", "1"},
	{"kernel/tainted", "0"},
	{"kernel/sched_rr_timeslice_ms", "100"},
	{"kernel/sched_rt_period_us", "1000000"},
	{"kernel/sched_rt_runtime_us", "950000"},
	{"kernel/io_uring_disabled", "2"},
	{"kernel/unprivileged_bpf_disabled", "2"},
	{"kernel/random/poolsize", "256"},
	{"kernel/random/entropy_avail", "256"},
	{"kernel/random/write_wakeup_threshold", "256"},
	{"kernel/random/urandom_min_reseed_secs", "60"},
	{"vm/overcommit_memory", "1"},
	{"vm/overcommit_ratio", "50"},
	{"vm/overcommit_kbytes", "0"},
	{"vm/max_map_count", "65530"},
	{"vm/mmap_min_addr", "65536"},
	{"vm/swappiness", "0"},
	{"vm/nr_hugepages", "0"},
	{"vm/nr_overcommit_hugepages", "0"},
	{"vm/panic_on_oom", "0"},
	{"vm/oom_kill_allocating_task", "1"},
	{"vm/legacy_va_layout", "0"},
	{"vm/mmap_rnd_bits", "28"},
	{"vm/page-cluster", "0"},
	{"vm/drop_caches", "0"},
	{"vm/memfd_noexec", "0"},
	{"fs/inotify/max_queued_events", "16384"},
	{"fs/inotify/max_user_instances", "1024"},
	{"fs/inotify/max_user_watches", "65536"},
	{"fs/file-max", "9223372036854775807"},
	{"fs/nr_open", "1048576"},
	{"fs/pipe-max-size", "1048576"},
	{"fs/pipe-user-pages-soft", "16384"},
	{"fs/pipe-user-pages-hard", "0"},
	{"fs/overflowuid", "65534"},
	{"fs/overflowgid", "65534"},
	{"fs/suid_dumpable", "0"},
	{"fs/protected_hardlinks", "0"},
	{"fs/protected_symlinks", "0"},
	{"fs/protected_fifos", "0"},
	{"fs/protected_regular", "0"},
	{"fs/mount-max", "100000"},
	{"fs/aio-max-nr", "65536"},
	{"fs/epoll/max_user_watches", "1048576"},
	{"net/core/somaxconn", "4096"},
}

// addSysctl fills /proc/sys.
func (fs *FS) addSysctl(sys *vfs.StaticDir) {
	add := func(path string, n vfs.Inode) {
		dir, name := sys, path
		if i := strings.LastIndexByte(path, '/'); i >= 0 {
			dir, name = sys.Subdir(path[:i]), path[i+1:]
		}
		dir.Add(name, n)
	}
	text := func(path string, f func() string) {
		add(path, vfs.NewReadOnlyFile(func() []byte { return append([]byte(f()), '\n') }))
	}
	for _, s := range sysctls {
		text(s.path, func() string { return s.value })
	}
	text("kernel/osrelease", func() string { return fs.cfg.Release })
	text("kernel/version", func() string { return fs.cfg.Version })
	text("kernel/arch", func() string { return machine })
	text("kernel/threads-max", func() string { return strconv.FormatUint(threadsMax(), 10) })
	text("kernel/ns_last_pid", func() string { return strconv.Itoa(fs.cfg.Processes.Counts().LastPID) })
	text("kernel/random/uuid", newUUID)
	bootID := newUUID()
	text("kernel/random/boot_id", func() string { return bootID })
	text("fs/file-nr", func() string { return strconv.FormatInt(vfs.OpenFiles(), 10) + "\t0\t9223372036854775807" })

	name := func(path string, get func() string, set func(string) error) {
		content := func(vfs.Caller) ([]byte, error) { return append([]byte(get()), '\n'), nil }
		if set == nil {
			add(path, vfs.NewContentFile(0o444, content))
			return
		}
		add(path, vfs.NewWritableFile(0o644, content, func(c vfs.Caller, b []byte) error {
			if !c.Creds.Has(unix.CAP_SYS_ADMIN) {
				return unix.EPERM
			}
			s, _, _ := strings.Cut(string(b), "\x00")
			s, _, _ = strings.Cut(s, "\n")
			return set(s[:min(len(s), 64)])
		}))
	}
	fs.addCore(add)
	name("kernel/hostname", fs.cfg.Hostname, fs.cfg.SetHostname)
	domain := fs.cfg.Domainname
	if domain == nil {
		domain = func() string { return "(none)" }
	}
	name("kernel/domainname", domain, fs.cfg.SetDomainname)
	for _, x := range added {
		name(x.path, x.get, x.set)
	}
}

// added are the settings of packages above this one.
var added []struct {
	path string
	get  func() string
	set  func(string) error
}

// AddSysctl adds a setting at a path below /proc/sys; set is nil if it cannot be
// changed. It is for init functions.
func AddSysctl(path string, get func() string, set func(string) error) {
	added = append(added, struct {
		path string
		get  func() string
		set  func(string) error
	}{path, get, set})
}

// threadsMax is how many threads the memory allows for: one takes about 16 KiB
// of the kernel's.
func threadsMax() uint64 {
	total, _, _, _ := frame.Stats()
	return min(max(total*4096/(128<<10), 20), 1<<22)
}

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
