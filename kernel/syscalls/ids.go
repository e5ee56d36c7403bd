package syscalls

import (
	"slices"

	"golang.org/x/sys/unix"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// idRows are the calls of credentials(7) and capabilities(7).
var idRows = []Row{
	{AMD64: 39, ARM64: 172, Name: "getpid", Fn: sysGetpid},
	{AMD64: 110, ARM64: 173, Name: "getppid", Fn: sysGetppid},
	{AMD64: 102, ARM64: 174, Name: "getuid", Fn: sysGetuid},
	{AMD64: 107, ARM64: 175, Name: "geteuid", Fn: sysGeteuid},
	{AMD64: 104, ARM64: 176, Name: "getgid", Fn: sysGetgid},
	{AMD64: 108, ARM64: 177, Name: "getegid", Fn: sysGetegid},
	{AMD64: 105, ARM64: 146, Name: "setuid", Fn: sysSetuid, Format: "uid:int"},
	{AMD64: 106, ARM64: 144, Name: "setgid", Fn: sysSetgid, Format: "gid:int"},
	{AMD64: 113, ARM64: 145, Name: "setreuid", Fn: sysSetreuid, Format: "ruid:int, euid:int"},
	{AMD64: 114, ARM64: 143, Name: "setregid", Fn: sysSetregid, Format: "rgid:int, egid:int"},
	{AMD64: 117, ARM64: 147, Name: "setresuid", Fn: sysSetresuid, Format: "ruid:int, euid:int, suid:int"},
	{AMD64: 119, ARM64: 149, Name: "setresgid", Fn: sysSetresgid, Format: "rgid:int, egid:int, sgid:int"},
	{AMD64: 118, ARM64: 148, Name: "getresuid", Fn: sysGetresuid, Format: "ruid:ptr, euid:ptr, suid:ptr"},
	{AMD64: 120, ARM64: 150, Name: "getresgid", Fn: sysGetresgid, Format: "rgid:ptr, egid:ptr, sgid:ptr"},
	{AMD64: 122, ARM64: 151, Name: "setfsuid", Fn: sysSetfsuid, Format: "fsuid:int"},
	{AMD64: 123, ARM64: 152, Name: "setfsgid", Fn: sysSetfsgid, Format: "fsgid:int"},
	{AMD64: 115, ARM64: 158, Name: "getgroups", Fn: sysGetgroups, Format: "size:int, list:ptr"},
	{AMD64: 116, ARM64: 159, Name: "setgroups", Fn: sysSetgroups, Format: "size:int, list:ptr"},
	{AMD64: 121, ARM64: 155, Name: "getpgid", Fn: sysGetpgid, Format: "pid:int"},
	{AMD64: 109, ARM64: 154, Name: "setpgid", Fn: sysSetpgid, Format: "pid:int, pgid:int"},
	{AMD64: 111, ARM64: NoNumber, Name: "getpgrp", Fn: sysGetpgrp},
	{AMD64: 124, ARM64: 156, Name: "getsid", Fn: sysGetsid, Format: "pid:int"},
	{AMD64: 112, ARM64: 157, Name: "setsid", Fn: sysSetsid},
	{AMD64: 125, ARM64: 90, Name: "capget", Fn: sysCapget, Format: "header:ptr, data:ptr"},
	{AMD64: 126, ARM64: 91, Name: "capset", Fn: sysCapset, Format: "header:ptr, data:ptr"},
}

func sysGetpid(t *task.Thread, a *Args) (uint64, error)  { return uint64(t.Proc.PID), nil }
func sysGetppid(t *task.Thread, a *Args) (uint64, error) { return uint64(t.Proc.PPID()), nil }
func sysGetuid(t *task.Thread, a *Args) (uint64, error)  { return uint64(t.Creds().UID), nil }
func sysGeteuid(t *task.Thread, a *Args) (uint64, error) { return uint64(t.Creds().EUID), nil }
func sysGetgid(t *task.Thread, a *Args) (uint64, error)  { return uint64(t.Creds().GID), nil }
func sysGetegid(t *task.Thread, a *Args) (uint64, error) { return uint64(t.Creds().EGID), nil }

// keep is the argument that leaves an ID as it is.
const keep = ^uint32(0)

// changeUIDs sets real, effective and saved user ID, and what follows from it for
// the capabilities (capabilities(7), "Effect of user ID changes on capabilities").
func changeUIDs(t *task.Thread, r, e, s uint32) {
	old := t.Creds()
	c := *old
	c.UID, c.EUID, c.SUID, c.FSUID = r, e, s, e
	hadRoot := old.UID == 0 || old.EUID == 0 || old.SUID == 0
	const noSetuidFixup = 1 << 2 // SECBIT_NO_SETUID_FIXUP
	if c.Securebits&noSetuidFixup == 0 {
		if hadRoot && r != 0 && e != 0 && s != 0 {
			if c.Securebits&keepCaps == 0 {
				c.Permitted, c.Effective = 0, 0
			}
			c.Ambient = 0
		}
		if old.EUID == 0 && e != 0 {
			c.Effective = 0
		}
		if old.EUID != 0 && e == 0 {
			c.Effective = c.Permitted
		}
	}
	if old.EUID != e {
		t.Proc.ForgetTrust()
	}
	t.SetCreds(&c)
}

func changeGIDs(t *task.Thread, r, e, s uint32) {
	c := *t.Creds()
	if c.EGID != e {
		t.Proc.ForgetTrust()
	}
	c.GID, c.EGID, c.SGID, c.FSGID = r, e, s, e
	t.SetCreds(&c)
}

func sysSetuid(t *task.Thread, a *Args) (uint64, error) {
	c, id := t.Creds(), uint32(a[0])
	switch {
	case id == keep:
		return 0, unix.EINVAL
	case c.Has(unix.CAP_SETUID):
		changeUIDs(t, id, id, id)
	case id == c.UID || id == c.SUID:
		changeUIDs(t, c.UID, id, c.SUID)
	default:
		return 0, unix.EPERM
	}
	return 0, nil
}

func sysSetgid(t *task.Thread, a *Args) (uint64, error) {
	c, id := t.Creds(), uint32(a[0])
	switch {
	case id == keep:
		return 0, unix.EINVAL
	case c.Has(unix.CAP_SETGID):
		changeGIDs(t, id, id, id)
	case id == c.GID || id == c.SGID:
		changeGIDs(t, c.GID, id, c.SGID)
	default:
		return 0, unix.EPERM
	}
	return 0, nil
}

// reids computes what setreuid and setregid do from the present real, effective
// and saved ID.
func reids(r, e, s, newR, newE uint32, capable bool) (uint32, uint32, uint32, error) {
	if newR != keep && !capable && newR != r && newR != e ||
		newE != keep && !capable && newE != r && newE != e && newE != s {
		return 0, 0, 0, unix.EPERM
	}
	or := r
	if newR != keep {
		r = newR
	}
	if newE != keep {
		e = newE
	}
	if newR != keep || newE != keep && newE != or {
		s = e
	}
	return r, e, s, nil
}

func sysSetreuid(t *task.Thread, a *Args) (uint64, error) {
	c := t.Creds()
	r, e, s, err := reids(c.UID, c.EUID, c.SUID, uint32(a[0]), uint32(a[1]), c.Has(unix.CAP_SETUID))
	if err != nil {
		return 0, err
	}
	changeUIDs(t, r, e, s)
	return 0, nil
}

func sysSetregid(t *task.Thread, a *Args) (uint64, error) {
	c := t.Creds()
	r, e, s, err := reids(c.GID, c.EGID, c.SGID, uint32(a[0]), uint32(a[1]), c.Has(unix.CAP_SETGID))
	if err != nil {
		return 0, err
	}
	changeGIDs(t, r, e, s)
	return 0, nil
}

// resids computes what setresuid and setresgid do.
func resids(old [3]uint32, a *Args, capable bool) (n [3]uint32, err error) {
	for i := range n {
		n[i] = uint32(a[i])
		if n[i] == keep {
			n[i] = old[i]
		} else if !capable && !slices.Contains(old[:], n[i]) {
			return n, unix.EPERM
		}
	}
	return n, nil
}

func sysSetresuid(t *task.Thread, a *Args) (uint64, error) {
	c := t.Creds()
	n, err := resids([3]uint32{c.UID, c.EUID, c.SUID}, a, c.Has(unix.CAP_SETUID))
	if err != nil {
		return 0, err
	}
	changeUIDs(t, n[0], n[1], n[2])
	return 0, nil
}

func sysSetresgid(t *task.Thread, a *Args) (uint64, error) {
	c := t.Creds()
	n, err := resids([3]uint32{c.GID, c.EGID, c.SGID}, a, c.Has(unix.CAP_SETGID))
	if err != nil {
		return 0, err
	}
	changeGIDs(t, n[0], n[1], n[2])
	return 0, nil
}

func copyOutIDs(t *task.Thread, a *Args, ids ...uint32) (uint64, error) {
	for i, id := range ids {
		if err := t.MM.Store32(a[i], id); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

func sysGetresuid(t *task.Thread, a *Args) (uint64, error) {
	c := t.Creds()
	return copyOutIDs(t, a, c.UID, c.EUID, c.SUID)
}

func sysGetresgid(t *task.Thread, a *Args) (uint64, error) {
	c := t.Creds()
	return copyOutIDs(t, a, c.GID, c.EGID, c.SGID)
}

func sysSetfsuid(t *task.Thread, a *Args) (uint64, error) {
	old, id := t.Creds(), uint32(a[0])
	if id == old.UID || id == old.EUID || id == old.SUID || id == old.FSUID || id != keep && old.Has(unix.CAP_SETUID) {
		c := *old
		c.FSUID = id
		// The capabilities that the file system ID alone gives (capabilities(7)).
		const fsCaps = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH | 1<<unix.CAP_FOWNER |
			1<<unix.CAP_FSETID | 1<<unix.CAP_LINUX_IMMUTABLE | 1<<unix.CAP_MAC_OVERRIDE | 1<<unix.CAP_MKNOD
		if old.FSUID == 0 && id != 0 {
			c.Effective &^= fsCaps
		} else if old.FSUID != 0 && id == 0 {
			c.Effective |= fsCaps & c.Permitted
		}
		t.SetCreds(&c)
	}
	return uint64(old.FSUID), nil
}

func sysSetfsgid(t *task.Thread, a *Args) (uint64, error) {
	old, id := t.Creds(), uint32(a[0])
	if id == old.GID || id == old.EGID || id == old.SGID || id == old.FSGID || id != keep && old.Has(unix.CAP_SETGID) {
		c := *old
		c.FSGID = id
		t.SetCreds(&c)
	}
	return uint64(old.FSGID), nil
}

const maxGroups = 65536

func sysGetgroups(t *task.Thread, a *Args) (uint64, error) {
	g := t.Creds().Groups
	size := int(int32(a[0]))
	switch {
	case size < 0, size > 0 && size < len(g):
		return 0, unix.EINVAL
	case size > 0 && len(g) > 0:
		b := make([]byte, 4*len(g))
		for i, id := range g {
			le.PutUint32(b[4*i:], id)
		}
		if err := t.MM.CopyOut(a[1], b); err != nil {
			return 0, err
		}
	}
	return uint64(len(g)), nil
}

func sysSetgroups(t *task.Thread, a *Args) (uint64, error) {
	c := *t.Creds()
	if !c.Has(unix.CAP_SETGID) {
		return 0, unix.EPERM
	}
	n := uint32(a[0])
	if n > maxGroups {
		return 0, unix.EINVAL
	}
	b := make([]byte, 4*n)
	if n > 0 {
		if err := t.MM.CopyIn(b, a[1]); err != nil {
			return 0, err
		}
	}
	c.Groups = make([]uint32, n)
	for i := range c.Groups {
		c.Groups[i] = le.Uint32(b[4*i:])
	}
	slices.Sort(c.Groups)
	t.SetCreds(&c)
	return 0, nil
}

// findProcess returns the process that a pid argument names, 0 being the caller's.
func findProcess(t *task.Thread, pid uint64) (*task.Process, error) {
	o, err := findThread(t, pid)
	if err == nil {
		return o.Proc, nil
	}
	if p := task.Tasks.Process(int(int32(pid))); p != nil {
		return p, nil
	}
	return nil, err
}

func sysGetpgid(t *task.Thread, a *Args) (uint64, error) {
	p, err := findProcess(t, a[0])
	if err != nil {
		return 0, err
	}
	return uint64(p.PGID()), nil
}

func sysSetpgid(t *task.Thread, a *Args) (uint64, error) {
	return 0, t.Proc.SetPGID(int(int32(a[0])), int(int32(a[1])))
}

func sysGetpgrp(t *task.Thread, a *Args) (uint64, error) { return uint64(t.Proc.PGID()), nil }

func sysGetsid(t *task.Thread, a *Args) (uint64, error) {
	p, err := findProcess(t, a[0])
	if err != nil {
		return 0, err
	}
	return uint64(p.SID()), nil
}

func sysSetsid(t *task.Thread, a *Args) (uint64, error) {
	return count(t.Proc.SetSID())
}

// Versions of struct __user_cap_header_struct.
const (
	capVersion1 = 0x19980330
	capVersion2 = 0x20071026
	capVersion3 = 0x20080522
)

// capHeader reads the header; words is how many 32-bit sets the version has. An
// unknown version is EINVAL, and the kernel's own is written back.
func capHeader(t *task.Thread, addr uint64) (pid uint64, words int, err error) {
	var b [8]byte
	if err := t.MM.CopyIn(b[:], addr); err != nil {
		return 0, 0, err
	}
	switch le.Uint32(b[0:]) {
	case capVersion1:
		words = 1
	case capVersion2, capVersion3:
		words = 2
	default:
		if err := t.MM.Store32(addr, capVersion3); err != nil {
			return 0, 0, err
		}
		return 0, 0, unix.EINVAL
	}
	return uint64(le.Uint32(b[4:])), words, nil
}

func sysCapget(t *task.Thread, a *Args) (uint64, error) {
	pid, words, err := capHeader(t, a[0])
	if err != nil {
		if err == unix.EINVAL && a[1] == 0 {
			err = nil // a question for the version
		}
		return 0, err
	}
	o, err := findThread(t, pid)
	if err != nil {
		return 0, err
	}
	c := o.Creds()
	b := make([]byte, 12*words)
	for i := range words {
		le.PutUint32(b[12*i:], uint32(c.Effective>>(32*i)))
		le.PutUint32(b[12*i+4:], uint32(c.Permitted>>(32*i)))
		le.PutUint32(b[12*i+8:], uint32(c.Inheritable>>(32*i)))
	}
	if a[1] == 0 {
		return 0, nil
	}
	return 0, t.MM.CopyOut(a[1], b)
}

func sysCapset(t *task.Thread, a *Args) (uint64, error) {
	pid, words, err := capHeader(t, a[0])
	if err != nil {
		return 0, err
	}
	if pid != 0 && int(pid) != t.TID {
		return 0, unix.EPERM
	}
	b := make([]byte, 12*words)
	if err := t.MM.CopyIn(b, a[1]); err != nil {
		return 0, err
	}
	var eff, perm, inh uint64
	for i := range words {
		eff |= uint64(le.Uint32(b[12*i:])) << (32 * i)
		perm |= uint64(le.Uint32(b[12*i+4:])) << (32 * i)
		inh |= uint64(le.Uint32(b[12*i+8:])) << (32 * i)
	}
	c := *t.Creds()
	eff, perm, inh = eff&vfs.AllCaps, perm&vfs.AllCaps, inh&vfs.AllCaps
	switch {
	case perm&^c.Permitted != 0, eff&^perm != 0,
		inh&^(c.Inheritable|c.Permitted) != 0 && !c.Has(unix.CAP_SETPCAP),
		inh&^(c.Inheritable|c.Bounding) != 0:
		return 0, unix.EPERM
	}
	c.Effective, c.Permitted, c.Inheritable = eff, perm, inh
	c.Ambient &= perm & inh
	t.SetCreds(&c)
	return 0, nil
}
