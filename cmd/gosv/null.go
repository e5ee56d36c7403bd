package main

import "golang.org/x/sys/unix"

// nullStreams is the kernel's option that says which standard streams are
// /dev/null: programs look at that, as servers do that ask whether they were
// started by a person. It is "" if none is. In the background the input is, and
// the output is kept.
func nullStreams(background bool) string {
	if background {
		return "null=0"
	}
	fds := ""
	for fd := range 3 {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3) {
			fds += string(rune('0' + fd))
		}
	}
	if fds == "" {
		return ""
	}
	return "null=" + fds
}
