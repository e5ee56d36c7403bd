package syscalls

import (
	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// handleRows are the calls about file handles.
var handleRows = []Row{
	{AMD64: 303, ARM64: 264, Name: "name_to_handle_at", Fn: sysNameToHandleAt, Format: "dirfd:fd, pathname:path, handle:ptr, mount_id:ptr, flags:hex",
		Level: Partial, Note: "of files in a tmpfs; others are EOPNOTSUPP without AT_HANDLE_FID: an overlay, which the root is, as on Linux without nfs_export, and an EROFS mounted by itself, where Linux has handles"},
	{AMD64: 304, ARM64: 265, Name: "open_by_handle_at", Fn: sysOpenByHandleAt, Format: "mountdirfd:fd, handle:ptr, flags:flags.open, =fd",
		Level: Partial, Note: "handles of a tmpfs that this kernel gave out; others are ESTALE"},
}

// struct file_handle: handle_bytes of 32 bits, handle_type of 32, the bytes.
func sysNameToHandleAt(t *task.Thread, a *Args) (uint64, error) {
	flags := uint32(a[4])
	if flags&^(unix.AT_SYMLINK_FOLLOW|unix.AT_EMPTY_PATH|linux.AT_HANDLE_FID|linux.AT_HANDLE_MNT_ID_UNIQUE) != 0 {
		return 0, unix.EINVAL
	}
	at := int(flags & unix.AT_EMPTY_PATH)
	if flags&unix.AT_SYMLINK_FOLLOW == 0 {
		at |= unix.AT_SYMLINK_NOFOLLOW
	}
	return atPlace(t, a[0], a[1], func(p *place) error {
		h, mount, err := t.FS.Handle(t.Caller(), p.dir, p.path, at, flags&linux.AT_HANDLE_FID != 0)
		if err != nil {
			return err
		}
		room, err := t.MM.Load32(a[2])
		switch {
		case err != nil:
			return err
		case room > linux.MAX_HANDLE_SZ:
			return unix.EINVAL
		case int(room) < len(h.Bytes):
			err = unix.EOVERFLOW
		}
		out := le.AppendUint32(make([]byte, 0, 32), uint32(len(h.Bytes)))
		if err != nil {
			out = le.AppendUint32(out, linux.FILEID_INVALID)
		} else {
			out = append(le.AppendUint32(out, uint32(h.Type)), h.Bytes...)
		}
		if flags&linux.AT_HANDLE_MNT_ID_UNIQUE != 0 {
			if e := t.MM.Store64(a[3], vfs.UniqueMountID(mount)); e != nil {
				return e
			}
		} else if e := t.MM.Store32(a[3], uint32(mount)); e != nil {
			return e
		}
		if e := t.MM.CopyOut(a[2], out); e != nil {
			return e
		}
		return err
	})
}

func sysOpenByHandleAt(t *task.Thread, a *Args) (uint64, error) {
	var at *vfs.File
	if int32(a[0]) != unix.AT_FDCWD {
		f, err := t.Files.Get(fdArg(a[0]))
		if err != nil {
			return 0, err
		}
		defer f.Release()
		at = f
	}
	if !t.Creds().Has(unix.CAP_DAC_READ_SEARCH) {
		return 0, unix.EPERM
	}
	var head [8]byte
	if err := t.MM.CopyIn(head[:], a[1]); err != nil {
		return 0, err
	}
	n := le.Uint32(head[:])
	if n == 0 || n > linux.MAX_HANDLE_SZ {
		return 0, unix.EINVAL
	}
	h := vfs.FileHandle{Type: int32(le.Uint32(head[4:])), Bytes: make([]byte, n)}
	if err := t.MM.CopyIn(h.Bytes, a[1]+8); err != nil {
		return 0, err
	}
	flags := uint32(a[2]) & validOpen
	cloexec := flags&unix.O_CLOEXEC != 0
	if flags&unix.O_PATH == 0 {
		flags |= linux.O_LARGEFILE
	}
	f, err := t.FS.OpenHandle(t.Caller(), at, h, flags)
	if err != nil {
		return 0, err
	}
	return install(t, f, cloexec)
}
