package vfs

import (
	"slices"

	"golang.org/x/sys/unix"
)

// What statmount(2) and listmount(2) tell.

// uniqueMounts is what the numbers of mounts start behind that are never used again (include/linux/mount.h).
const uniqueMounts = 1 << 31

// UniqueMountID is the number that STATX_MNT_ID_UNIQUE gives for a mount, 0 for none. Mount.ID is not used again either.
func UniqueMountID(id uint64) uint64 {
	if id == 0 {
		return 0
	}
	return uniqueMounts + id
}

// FindMount returns the mount of a unique number: EINVAL if it can be none, ENOENT.
func FindMount(unique uint64) (*Mount, error) {
	if unique <= uniqueMounts {
		return nil, unix.EINVAL
	}
	for _, m := range Mounts() {
		if UniqueMountID(uint64(m.ID)) == unique {
			return m, nil
		}
	}
	return nil, unix.ENOENT
}

// isBelow reports whether m is seen below the directory p, which is so of a mount at p's root too.
func (m *Mount) isBelow(p Path) bool {
	at := Path{m, m.root}
	for at.Mount != p.Mount {
		if at.Mount.parent == nil {
			return false
		}
		at = Path{at.Mount.parent, at.Mount.point}
	}
	return p.Dentry.isAncestorOf(at.Dentry)
}

// MountsBelow returns the unique numbers of the mounts below one, or with nil of all that the caller's root shows: at most n,
// in the order in which they were made or backwards, behind the number after (0: from the start). EPERM.
func (x *FSContext) MountsBelow(c Caller, under *Mount, after uint64, n int, reverse bool) ([]uint64, error) {
	from := x.Root()
	if under != nil {
		if !under.isBelow(from) && !c.Creds.Has(unix.CAP_SYS_ADMIN) {
			return nil, unix.EPERM
		}
		from = under.Root()
	}
	list := slices.Clone(Mounts())
	if reverse {
		slices.Reverse(list)
	}
	var ids []uint64
	for _, m := range list {
		id := UniqueMountID(uint64(m.ID))
		if len(ids) == n {
			break
		}
		if after != 0 && (id == after || id < after != reverse) || m == under || !m.isBelow(from) {
			continue
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// MayShow reports whether statmount(2) tells the caller about a mount.
func (x *FSContext) MayShow(c Caller, m *Mount) bool {
	return m.isBelow(x.Root()) || c.Creds.Has(unix.CAP_SYS_ADMIN)
}

// FSOptions returns the options of the mount's file system, "size=1m".
func (m *Mount) FSOptions() string { return m.options }
