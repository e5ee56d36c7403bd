package syscalls

import (
	"slices"

	"gosv/kernel/mm"
	"gosv/kernel/task"
)

// The Go heap has a reserve that programs cannot have (frame.Scarce). A call that begins while a part of that is gone waits until
// pages of files, garbage or the end of a process have made room, and fails with ENOMEM when nothing has: only calls that are
// under way take from what is left, and the collector always has memory to work with.

// sparing lists the calls that run however little memory there is: they give memory back, end a wait, or make nothing.
var sparing = [...]string{
	"brk", "close", "close_range", "exit", "exit_group", "ftruncate", "futex", "getpid", "gettid", "inotify_rm_watch", "io_destroy",
	"kill", "madvise", "mq_unlink", "msgctl", "munmap", "restart_syscall", "rmdir", "rt_sigprocmask", "rt_sigreturn",
	"sched_yield", "semctl", "shmctl", "shmdt", "shutdown", "tgkill", "timer_delete", "tkill", "truncate", "umount2", "unlink",
	"unlinkat", "wait4", "waitid",
}

// admit makes room for a call while memory is scarce. False: there is none, or the caller is killed.
func admit(t *task.Thread, row *Row) bool {
	return slices.Contains(sparing[:], row.Name) || mm.Relieve(t.MM)
}
