package main

// A row allows the calls of from to to, a function or the interface method that the call goes through. why says what bounds
// the depth, or why the calls cannot follow each other.
type row struct{ from, to, why string }

const (
	levels4 = "4 levels of page tables"
	treap   = "a treap with random priorities of at most 65,530 areas (vm.max_map_count): about 48 levels"
	nesting = "epoll_ctl(2) refuses chains of more than 5 instances (maxNesting)"
	image   = "a page of a file is filled from a page of the image, and that by the disk"
	lower   = "the lower file system is a read-only image, or one of the kernel's own, never a tmpfs or overlay"
)

var allowed = []row{
	{"(*mm.AddressSpace).freeLevel", "(*mm.AddressSpace).freeLevel", levels4},
	{"mm.split", "mm.split", treap},
	{"mm.join", "mm.join", treap},
	{"mm.refresh", "mm.refresh", treap},
	{"(*mm.area).each", "(*mm.area).each", treap},
	{"(*mm.area).eachIn", "(*mm.area).eachIn", treap},
	{"(*mm.area).highest", "(*mm.area).highest", treap},

	{"(*fs/eventpoll.item).notify", "(*fs/eventpoll.item).enqueue", nesting},
	{"(*fs/eventpoll.Instance).Readiness", "(*vfs.File).Readiness", nesting},
	{"(*fs/eventpoll.node).height", "(*fs/eventpoll.node).height", nesting},
	{"(*fs/eventpoll.node).reaches", "(*fs/eventpoll.node).reaches", nesting},
	{"(*fs/eventpoll.node).countPaths", "(*fs/eventpoll.node).countPaths", nesting},
	{"(*fs/eventpoll.node).tooManyPaths", "(*fs/eventpoll.node).tooManyPaths", nesting},

	{"(*fs/tmpfs.Inode).Stat", "(vfs.Inode).Stat", lower},
	{"(*fs/tmpfs.Inode).Lookup", "(vfs.Inode).Lookup", lower},
	{"(*fs/tmpfs.Inode).readLower", "(vfs.FileImpl).ReadDir", lower},
	{"(*fs/tmpfs.Inode).readLower$1", "func value", lower},

	{"(*fs/procfs.rootNames).Names", "(vfs.Directory).Names", "the static names of /proc, a vfs.StaticDir"},
	{"(*fs/procfs.rootNames).Names$1", "func value", "the static names of /proc, a vfs.StaticDir"},
	{"(*fs/procfs.rootNames).Lookup", "(*vfs.DynamicDir).Lookup", "the static names of /proc, a vfs.StaticDir"},

	{"net.options6", "net.parseReply6$1", "the options in an IA_NA are read by another function, which has none below it"},
	{"syscalls.forbidden", "syscalls.forbidden", "once: the tracer's changed call is checked, and not shown to it again"},

	{"(*mm.Cache).fill", "(mm.Backing).FillPage", image},
	{"(*mm.Cache).fill", "(mm.RangeBacking).FillRange", image},

	{"(*mm.Cache).tryPage", "(mm.ResidentBacking).ResidentFrame", image},
	{"(*mm.Cache).unmap", "(*mm.AddressSpace).unlock", "the areas stay: unlock has no file to release"},
	{"(*mm.Cache).tryUnmap", "(*mm.AddressSpace).unlock", "the areas stay: unlock has no file to release"},
	{"(*mm.Cache).eachMapping", "(*mm.area).each", "what runs for each mapping allocates nothing; it is not what fork runs for each area"},

	{"(*uring.Ring).kick", "(*wait.Queue).Notify", "cqWait holds sleepers of threads only"},
	{"(*net/unix.Socket).close", "(*net/unix.Socket).close", "a connection that waits for accept(2) has none that wait for it"},
	{"(*net/inet.Socket).mayBind", "(*net/inet.Socket).mayBind", "once: an address that was mapped into IPv6 is one of IPv4"},
	{"(*task.Thread).Runnable", "(*sched.Entity).Wake", "who gains a slot is woken only where it waits for one, and Wake does nothing there"},
	{"ipc/mqueue.Open", "ipc/mqueue.Open", "once: another thread has made the queue, and the second time it is not made"},
	{"(*wait.Queue).Notify$bound", "(*wait.Queue).Notify", "steps of the clock tell timerfds, and no timerfd tells the queue of steps"},
	{"syscalls.withFile", "func value", "two descriptors of one call"},
	{"syscalls.linkAt$1", "syscalls.atPlace", "two names of one call"},
	{"syscalls.renameAt$1", "syscalls.atPlace", "two names of one call"},

	{"(*vfs.File).close", "(*fs/procfs.memFile).Release", "a memory of a process is not mapped into one"},
	{"(*vfs.File).close", "(*fs/procfs.pagemapFile).Release", "a pagemap is not mapped into a process"},
	{"(*vfs.File).close", "(*net/unix.Socket).Release", "files in messages are let go of by a list, not one in the other (net/unix: dropping)"},
	{"(*vfs.File).close", "(*uring.Ring).Release", "a ring takes no rings, and goes into no message"},

	{"(*vfs.walker).follow", "(*vfs.walker).walk", "40 symbolic links (maxLinks)"},
}
