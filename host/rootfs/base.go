package rootfs

import (
	"os"
	"path/filepath"
	"strings"
)

// hostFiles are copied from the host when the program is dynamic, or asks for
// names of users: what libc opens by itself.
var hostFiles = []string{
	"/etc/passwd", "/etc/group", "/etc/localtime", "/etc/timezone", "/etc/host.conf", "/etc/services", "/etc/protocols",
	"/etc/gai.conf", "/etc/os-release", "/etc/debian_version", "/etc/inputrc",
}

// glibcFiles are what a dynamic program of glibc needs besides.
var glibcFiles = []string{
	"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/usr/lib/locale/C.utf8", "/usr/lib/locale/C.UTF-8",
	"/usr/share/locale/locale.alias", "/etc/locale.alias",
}

// glibcLibs are opened with dlopen(3) by glibc itself: for pthread_cancel(3),
// and, before 2.34, for names of users and hosts.
var glibcLibs = []string{"libgcc_s.so.1", "libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"}

// made are the files that every image has unless the user gave others.
var made = []struct {
	path string
	text string
}{
	{"/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
	{"/etc/group", "root:x:0:\nnogroup:x:65534:\n"},
	{"/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n"},
	{"/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost\n"},
}

// dirs are the directories that every image has: mount points, and what
// programs expect to find.
var dirs = []struct {
	path string
	perm uint32
}{
	{"/dev", 0o755}, {"/proc", 0o555}, {"/sys", 0o555}, {"/run", 0o755}, {"/run/lock", 0o1777}, {"/tmp", 0o1777}, {"/etc", 0o755}, {"/root", 0o700},
	{"/home", 0o755}, {"/var/tmp", 0o1777}, {"/var/log", 0o755}, {"/var/lib", 0o755}, {"/mnt", 0o755},
}

// links are the symbolic links that every image has: where programs of before 2011 have their pid files and sockets.
var links = []struct{ path, target string }{{"/var/run", "/run"}, {"/var/lock", "/run/lock"}}

// locales lists the locales that an environment names, beyond those that glibc
// has inside.
func locales(env []string) []string {
	var list []string
	for _, e := range env {
		name, v, _ := strings.Cut(e, "=")
		if name != "LANG" && !strings.HasPrefix(name, "LC_") && name != "LANGUAGE" {
			continue
		}
		switch strings.ToLower(v) {
		case "", "c", "posix", "c.utf-8", "c.utf8":
		default:
			list = append(list, v)
		}
	}
	return list
}

// maxLocaleArchive is the size from which the locale archive is too much for
// every image; such a host has single directories, or wants -v.
const maxLocaleArchive = 16 << 20

// localeFiles finds the files of a locale: its own directory, or the archive.
func localeFiles(names []string) []string {
	var list []string
	for _, n := range names {
		base, codeset, _ := strings.Cut(n, ".")
		codeset, _, _ = strings.Cut(codeset, "@")
		for _, d := range []string{n, base + "." + codeset, base + "." + strings.ToLower(strings.ReplaceAll(codeset, "-", ""))} {
			p := filepath.Join("/usr/lib/locale", d)
			if _, err := os.Stat(p); err == nil {
				list = append(list, p)
				break
			}
		}
	}
	if len(names) > 0 {
		const archive = "/usr/lib/locale/locale-archive"
		if st, err := os.Stat(archive); err == nil && st.Size() <= maxLocaleArchive {
			list = append(list, archive)
		}
	}
	return list
}
