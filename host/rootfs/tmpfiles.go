package rootfs

import (
	"bufio"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// tmpfilesDir is where packages say what directories their programs find after a boot (tmpfiles.d(5)): for pid files,
// sockets, logs. systemd makes them on this machine; in a guest nobody would.
var tmpfilesDir = "/usr/lib/tmpfiles.d"

// tmpfiles makes the directories that the packages of a program ask for. The names are the program's; patterns are for
// further files.
func (c *collector) tmpfiles(names, patterns []string) {
	for _, n := range names {
		patterns = append(patterns, filepath.Base(n)+".conf")
	}
	for _, p := range patterns {
		files, _ := filepath.Glob(filepath.Join(tmpfilesDir, p))
		for _, f := range files {
			if c.done[f] {
				continue
			}
			c.done[f] = true
			c.tmpfile(f)
		}
	}
}

func (c *collector) tmpfile(name string) {
	st, err := os.Stat(name)
	if err != nil {
		return
	}
	f, err := os.Open(name)
	if err != nil {
		c.q.Note("%s: %v", name, err)
		return
	}
	defer f.Close()
	c.tree.stamp(name, st.Sys().(*syscall.Stat_t))
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if e := tmpfilesEntry(lines.Text()); e != nil {
			c.dirs = append(c.dirs, e)
		}
	}
}

// emptyDirs makes directories as they are on this machine, but empty. They have no stamps: a log that was written would make
// each image anew.
func (c *collector) emptyDirs(names []string) {
	for _, name := range names {
		e := &Entry{Path: name, Mode: unix.S_IFDIR | 0o755}
		if st, err := lstat(name); err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			e.Mode, e.UID, e.GID = st.Mode, st.Uid, st.Gid
		}
		c.dirs = append(c.dirs, e)
	}
}

// tmpfilesEntry is the directory that a line asks for, or nil. Owners that this machine does not know are root.
func tmpfilesEntry(line string) *Entry {
	word := strings.Fields(line)
	if len(word) < 2 {
		return nil
	}
	switch strings.TrimRight(word[0], "!-+=~^$") {
	case "d", "D", "v", "q", "Q":
	default:
		return nil
	}
	p := path.Clean(word[1])
	if !path.IsAbs(p) || strings.Contains(p, "%") || strings.ContainsRune(p, 0) || kernelDir(p) {
		return nil
	}
	e := &Entry{Path: p, Mode: unix.S_IFDIR | 0o755}
	field := func(i int) string {
		if i >= len(word) || word[i] == "-" {
			return ""
		}
		return word[i]
	}
	if m, err := strconv.ParseUint(strings.TrimLeft(field(2), "~:"), 8, 12); err == nil {
		e.Mode = unix.S_IFDIR | uint32(m)
	}
	owner, group := field(3), field(4)
	if u, err := user.Lookup(owner); err == nil {
		owner = u.Uid
	}
	if g, err := user.LookupGroup(group); err == nil {
		group = g.Gid
	}
	e.UID, e.GID = number(owner), number(group)
	return e
}

// number is that of a user or a group, 0 for what is none.
func number(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}
