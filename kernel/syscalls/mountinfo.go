package syscalls

import (
	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// mountInfoRows are the calls that tell about mounts (Linux 6.8).
var mountInfoRows = []Row{
	{AMD64: 457, ARM64: 457, Name: "statmount", Fn: sysStatmount, Format: "req:ptr, buf:ptr, bufsize:size, flags:hex",
		Level: Partial, Note: "no STATMOUNT_MNT_NS_ID (its bit stays clear: no namespaces); all mounts are private"},
	{AMD64: 458, ARM64: 458, Name: "listmount", Fn: sysListmount, Format: "req:ptr, mnt_ids:ptr, nr:size, flags:hex"},
}

// mountRequest reads struct mnt_id_req: size, spare, mnt_id, param, and since Linux 6.11 mnt_ns_id.
func mountRequest(t *task.Thread, addr uint64) (id, param uint64, err error) {
	size, err := t.MM.Load32(addr)
	switch {
	case err != nil:
		return 0, 0, err
	case size > 4096:
		return 0, 0, unix.E2BIG
	case size < linux.MNT_ID_REQ_SIZE_VER0:
		return 0, 0, unix.EINVAL
	}
	b := make([]byte, size)
	if err := t.MM.CopyIn(b, addr); err != nil {
		return 0, 0, err
	}
	for _, v := range b[min(len(b), linux.MNT_ID_REQ_SIZE_VER1):] {
		if v != 0 {
			return 0, 0, unix.E2BIG
		}
	}
	if le.Uint32(b[4:]) != 0 {
		return 0, 0, unix.EINVAL
	}
	id, param = le.Uint64(b[8:]), le.Uint64(b[16:])
	if id != linux.LSMT_ROOT {
		if _, err = vfs.FindMount(id); err == unix.EINVAL {
			return 0, 0, err
		}
	}
	if size >= linux.MNT_ID_REQ_SIZE_VER1 && le.Uint64(b[24:]) != 0 {
		return 0, 0, unix.ENOENT // no namespace has a number
	}
	return id, param, nil
}

func sysListmount(t *task.Thread, a *Args) (uint64, error) {
	if uint32(a[3])&^linux.LISTMOUNT_REVERSE != 0 {
		return 0, unix.EINVAL
	}
	if a[2] > linux.LISTMOUNT_MAX {
		return 0, unix.EOVERFLOW
	}
	id, after, err := mountRequest(t, a[0])
	if err != nil {
		return 0, err
	}
	var under *vfs.Mount
	if id != linux.LSMT_ROOT {
		if under, err = vfs.FindMount(id); err != nil {
			return 0, err
		}
	}
	ids, err := t.FS.MountsBelow(t.Caller(), under, after, int(a[2]), a[3]&linux.LISTMOUNT_REVERSE != 0)
	if err != nil {
		return 0, err
	}
	b := make([]byte, 0, 8*len(ids))
	for _, id := range ids {
		b = le.AppendUint64(b, id)
	}
	return uint64(len(ids)), t.MM.CopyOut(a[1], b)
}

func sysStatmount(t *task.Thread, a *Args) (uint64, error) {
	if uint32(a[3]) != 0 {
		return 0, unix.EINVAL
	}
	id, want, err := mountRequest(t, a[0])
	if err != nil {
		return 0, err
	}
	m, err := vfs.FindMount(id)
	if err != nil {
		return 0, unix.ENOENT
	}
	const fixed = linux.SizeofStatmount
	if want&linux.STATMOUNT_STRINGS != 0 && a[2] <= fixed {
		return 0, unix.EOVERFLOW
	}
	if !t.FS.MayShow(t.Caller(), m) {
		return 0, unix.EPERM
	}
	b := statmount(t, m, want)
	size := min(a[2], fixed)
	if len(b) > fixed {
		if a[2]-fixed < uint64(len(b)-fixed) {
			return 0, unix.EOVERFLOW
		}
		size = uint64(len(b))
	}
	le.PutUint32(b, uint32(size))
	return 0, t.MM.CopyOut(a[1], b[:size])
}

// statmount makes struct statmount: numbers at their offsets, then the strings.
func statmount(t *task.Thread, m *vfs.Mount, want uint64) []byte {
	b := make([]byte, linux.SizeofStatmount)
	var got uint64
	str := func(bit uint64, at int, s string) {
		if want&bit == 0 {
			return
		}
		got |= bit
		if s != "" {
			le.PutUint32(b[at:], uint32(len(b)-linux.SizeofStatmount))
			b = append(append(b, s...), 0)
		}
	}
	if want&linux.STATMOUNT_SB_BASIC != 0 {
		got |= linux.STATMOUNT_SB_BASIC
		var st vfs.Statfs
		m.Filesystem().Statfs(&st) //nolint:errcheck // zero says that it is not known
		le.PutUint32(b[16:], unix.Major(m.Dev()))
		le.PutUint32(b[20:], unix.Minor(m.Dev()))
		le.PutUint64(b[24:], st.Type)
	}
	if want&linux.STATMOUNT_MNT_BASIC != 0 {
		got |= linux.STATMOUNT_MNT_BASIC
		parent := m
		if p := m.Parent(); p != nil {
			parent = p
		}
		le.PutUint64(b[40:], vfs.UniqueMountID(uint64(m.ID)))
		le.PutUint64(b[48:], vfs.UniqueMountID(uint64(parent.ID)))
		le.PutUint32(b[56:], uint32(m.ID))
		le.PutUint32(b[60:], uint32(parent.ID))
		le.PutUint64(b[64:], mountAttributes(m.Flags()))
		le.PutUint64(b[72:], unix.MS_PRIVATE)
	}
	if want&linux.STATMOUNT_PROPAGATE_FROM != 0 {
		got |= linux.STATMOUNT_PROPAGATE_FROM // from nothing
	}
	str(linux.STATMOUNT_FS_TYPE, 36, m.Filesystem().Type())
	str(linux.STATMOUNT_MNT_ROOT, 104, "/")
	str(linux.STATMOUNT_MNT_POINT, 108, m.Point(t.FS.Root()))
	str(linux.STATMOUNT_MNT_OPTS, 4, m.FSOptions())
	le.PutUint64(b[8:], got)
	return b
}

// mountAttributes are the MOUNT_ATTR_* bits of MS_* flags.
func mountAttributes(flags uint32) (attr uint64) {
	for _, x := range [...]struct {
		ms   uint32
		attr uint64
	}{
		{unix.MS_RDONLY, unix.MOUNT_ATTR_RDONLY}, {unix.MS_NOSUID, unix.MOUNT_ATTR_NOSUID}, {unix.MS_NODEV, unix.MOUNT_ATTR_NODEV},
		{unix.MS_NOEXEC, unix.MOUNT_ATTR_NOEXEC}, {unix.MS_NODIRATIME, unix.MOUNT_ATTR_NODIRATIME},
		{unix.MS_NOSYMFOLLOW, unix.MOUNT_ATTR_NOSYMFOLLOW},
	} {
		if flags&x.ms != 0 {
			attr |= x.attr
		}
	}
	switch {
	case flags&unix.MS_NOATIME != 0:
		attr |= unix.MOUNT_ATTR_NOATIME
	case flags&unix.MS_STRICTATIME != 0:
		attr |= unix.MOUNT_ATTR_STRICTATIME
	}
	return attr
}
