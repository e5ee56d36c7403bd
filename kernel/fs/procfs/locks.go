package procfs

import (
	"strconv"

	"golang.org/x/sys/unix"
	"gosv/kernel/vfs"
)

// maxLocks is how many lines /proc/locks and the locks in fdinfo have at most: their text is made at once, in the heap.
const maxLocks = 1 << 14

// appendLocks writes /proc/locks (proc_locks(5)).
func appendLocks(b []byte) []byte {
	lines, id := 0, 0
	vfs.Locks(func(l vfs.LockInfo) bool {
		if !l.Blocked {
			id++
		}
		b = appendLock(b, id, &l)
		lines++
		return lines < maxLocks
	})
	return b
}

// appendLock writes a line about a lock, as Linux has it, spaces included.
func appendLock(b []byte, id int, l *vfs.LockInfo) []byte {
	pad := func(s string, width int) {
		b = append(b, s...)
		for n := len(s); n < width; n++ {
			b = append(b, ' ')
		}
	}
	b = append(strconv.AppendInt(b, int64(id), 10), ": "...)
	if l.Blocked {
		b = append(b, "-> "...)
	}
	pad(l.Class, 7)
	pad(l.How, 10)
	b = append(append(b, l.Type...), ' ')
	b = append(strconv.AppendInt(b, int64(l.PID), 10), ' ')
	b = hex(b, uint64(unix.Major(l.Dev)), 2)
	b = hex(append(b, ':'), uint64(unix.Minor(l.Dev)), 2)
	b = strconv.AppendUint(append(b, ':'), l.Ino, 10)
	b = strconv.AppendInt(append(b, ' '), l.Start, 10)
	if l.End == 1<<63-1 {
		return append(b, " EOF\n"...)
	}
	return append(strconv.AppendInt(append(b, ' '), l.End, 10), '\n')
}
