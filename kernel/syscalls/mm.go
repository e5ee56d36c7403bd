package syscalls

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
	"gosv/kernel/mm"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
)

// mmRows are the calls that change or describe the address space.
var mmRows = []Row{
	{AMD64: 9, ARM64: 222, Name: "mmap", Fn: sysMmap, Format: "addr:ptr, length:size, prot:flags.prot, flags:flags.mmap, fd:fd, offset:hex, =ptr",
		Level: Partial, Note: "MAP_HUGETLB fails as without reserved huge pages; MAP_SYNC is refused; MAP_DROPPABLE memory is never dropped"},
	{AMD64: 10, ARM64: 226, Name: "mprotect", Fn: sysMprotect, Format: "addr:ptr, length:size, prot:flags.prot"},
	{AMD64: 11, ARM64: 215, Name: "munmap", Fn: sysMunmap, Format: "addr:ptr, length:size"},
	{AMD64: 12, ARM64: 214, Name: "brk", Fn: sysBrk, Format: "addr:ptr, =ptr"},
	{AMD64: 25, ARM64: 216, Name: "mremap", Fn: sysMremap, Format: "old_address:ptr, old_size:size, new_size:size, flags:flags.mremap, new_address:ptr, =ptr"},
	{AMD64: 26, ARM64: 227, Name: "msync", Fn: sysMsync, Format: "addr:ptr, length:size, flags:flags.msync"},
	{AMD64: 27, ARM64: 232, Name: "mincore", Fn: sysMincore, Format: "addr:ptr, length:size, vec:ptr"},
	{AMD64: 28, ARM64: 233, Name: "madvise", Fn: sysMadvise, Format: "addr:ptr, length:size, advice:int",
		Level: Partial, Note: "MADV_FREE frees at once, MADV_COLD and MADV_PAGEOUT do nothing; MADV_MERGEABLE, MADV_COLLAPSE and MADV_HWPOISON are EINVAL"},
	{AMD64: 149, ARM64: 228, Name: "mlock", Fn: sysMlock, Format: "addr:ptr, length:size"},
	{AMD64: 150, ARM64: 229, Name: "munlock", Fn: sysMunlock, Format: "addr:ptr, length:size"},
	{AMD64: 151, ARM64: 230, Name: "mlockall", Fn: sysMlockall, Format: "flags:flags.mlockall"},
	{AMD64: 152, ARM64: 231, Name: "munlockall", Fn: sysMunlockall},
	{AMD64: 216, ARM64: 234, Name: "remap_file_pages", Fn: sysRemapFilePages, Format: "addr:ptr, size:size, prot:flags.prot, pgoff:hex, flags:flags.mmap"},
	{AMD64: 325, ARM64: 284, Name: "mlock2", Fn: sysMlock2, Format: "addr:ptr, length:size, flags:hex"},
	{AMD64: 329, ARM64: 288, Name: "pkey_mprotect", Fn: sysPkeyMprotect, Format: "addr:ptr, length:size, prot:flags.prot, pkey:int",
		Level: Partial, Note: "only pkey -1, as on a CPU without protection keys"},
	{AMD64: 330, ARM64: 289, Name: "pkey_alloc", Fn: sysPkeyAlloc, Format: "flags:hex, rights:hex",
		Level: None, Note: "ENOSPC, as on a CPU without protection keys"},
	{AMD64: 331, ARM64: 290, Name: "pkey_free", Fn: sysPkeyFree, Format: "pkey:int",
		Level: None, Note: "EINVAL, as on a CPU without protection keys"},
	{AMD64: 451, ARM64: 451, Name: "cachestat", Fn: sysCachestat, Format: "fd:fd, cstat_range:ptr, cstat:ptr, flags:hex",
		Level: Partial, Note: "pages in memory and dirty pages; none is counted as under writeback or evicted"},
	{AMD64: 453, ARM64: 453, Name: "map_shadow_stack", Fn: sysMapShadowStack, Format: "addr:ptr, size:size, flags:hex",
		Level: None, Note: "EOPNOTSUPP, as on a CPU without shadow stacks"},
	{AMD64: 462, ARM64: 462, Name: "mseal", Fn: sysMseal, Format: "addr:ptr, length:size, flags:hex"},
}

const allProt = unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC

// sysMmap maps a file or anonymous memory (mmap(2)).
func sysMmap(t *task.Thread, a *Args) (uint64, error) {
	m := mm.MapArgs{
		Addr: a[0], Len: a[1], Offset: a[5],
		Prot:  mm.Prot(a[2] & allProt), // Linux ignores bits that it does not know
		Flags: uint32(a[3]),
		Low:   t.Creds().Has(unix.CAP_SYS_RAWIO),
	}
	if m.Offset&0xfff != 0 {
		return 0, unix.EINVAL
	}
	if m.Flags&unix.MAP_ANONYMOUS == 0 {
		f, err := t.Files.Get(int(int32(a[4])))
		if err != nil {
			return 0, err
		}
		defer f.Release() // the area has a reference of its own
		if err := mayMapFile(f, &m); err != nil {
			return 0, err
		}
		m.File = f
		addr, err := t.MM.Mmap(m)
		if err == nil {
			f.Accessed()
		}
		return addr, err
	}
	m.Offset = 0 // ignored, as on Linux
	return t.MM.Mmap(m)
}

// mayMapFile checks what the file was opened for, and sets MaxProt.
func mayMapFile(f *vfs.File, m *mm.MapArgs) error {
	if m.Len == 0 {
		return unix.EINVAL
	}
	if f.PathOnly() {
		return unix.EBADF
	}
	if c, ok := f.Impl().(interface{ CheckMmap(off, n uint64) error }); ok {
		if err := c.CheckMmap(m.Offset, m.Len); err != nil {
			return err
		}
	}
	m.MaxProt = mm.ProtRead | mm.ProtWrite | mm.ProtExec
	switch m.Flags & unix.MAP_TYPE {
	case unix.MAP_SHARED, unix.MAP_SHARED_VALIDATE:
		if m.Prot&mm.ProtWrite != 0 && !f.Writable() {
			return unix.EACCES
		}
		if !f.Writable() {
			m.MaxProt &^= mm.ProtWrite
		}
		if s, ok := f.Inode().(interface{ Seals() (uint32, error) }); ok {
			if seals, err := s.Seals(); err == nil && seals&(unix.F_SEAL_WRITE|unix.F_SEAL_FUTURE_WRITE) != 0 {
				if m.Prot&mm.ProtWrite != 0 {
					return unix.EPERM
				}
				m.MaxProt &^= mm.ProtWrite
			}
		}
	case unix.MAP_PRIVATE:
	default:
		return unix.EINVAL
	}
	if !f.Readable() {
		return unix.EACCES
	}
	if mount := f.Path().Mount; mount != nil && mount.Flags()&unix.MS_NOEXEC != 0 {
		if m.Prot&mm.ProtExec != 0 {
			return unix.EPERM
		}
		m.MaxProt &^= mm.ProtExec
	}
	if m.Flags&unix.MAP_GROWSDOWN != 0 {
		return unix.EINVAL
	}
	return nil
}

// sysMprotect changes the protection of pages (mprotect(2)).
func sysMprotect(t *task.Thread, a *Args) (uint64, error) {
	const growsDown, growsUp = 0x01000000, 0x02000000
	prot := a[2]
	if prot&^(allProt|8|growsDown|growsUp) != 0 || prot&growsDown != 0 && prot&growsUp != 0 { // 8: PROT_SEM
		return 0, unix.EINVAL
	}
	switch {
	case prot&growsUp != 0: // no area of x86 or arm64 grows up
		return 0, unix.EINVAL
	case prot&growsDown != 0:
		return 0, t.MM.MprotectGrowsDown(a[0], a[1], mm.Prot(prot&allProt))
	}
	return 0, t.MM.Mprotect(a[0], a[1], mm.Prot(prot&allProt))
}

// sysMunmap removes mappings (munmap(2)).
func sysMunmap(t *task.Thread, a *Args) (uint64, error) { return 0, t.MM.Munmap(a[0], a[1]) }

// sysBrk moves the program break; it returns where it is rather than an error (brk(2)).
func sysBrk(t *task.Thread, a *Args) (uint64, error) { return t.MM.Brk(a[0]), nil }

// sysMremap resizes or moves a mapping (mremap(2)).
func sysMremap(t *task.Thread, a *Args) (uint64, error) {
	if a[3] > 7 {
		return 0, unix.EINVAL
	}
	to := a[4]
	if a[3]&(unix.MREMAP_FIXED|unix.MREMAP_DONTUNMAP) == 0 {
		to = 0 // not an argument then
	}
	return t.MM.Mremap(a[0], a[1], a[2], uint32(a[3]), to, t.Creds().Has(unix.CAP_SYS_RAWIO))
}

// sysMsync writes shared mappings back (msync(2)).
func sysMsync(t *task.Thread, a *Args) (uint64, error) {
	return 0, t.MM.Msync(a[0], a[1], int(int32(a[2])))
}

// sysMincore tells which pages are in memory (mincore(2)).
func sysMincore(t *task.Thread, a *Args) (uint64, error) {
	addr, n := a[0], a[1]
	if addr&0xfff != 0 {
		return 0, unix.EINVAL
	}
	if n > 1<<47 || addr > 1<<47 {
		return 0, unix.ENOMEM
	}
	var vec [512]byte
	pages := (n + 0xfff) >> 12
	if pages > cpu.UserTop || a[2] > cpu.UserTop-pages {
		return 0, unix.EFAULT
	}
	creds := t.Creds()
	reveals := func(m mm.Mappable) bool {
		f, ok := m.(*vfs.File)
		return !ok || f.RevealsCache(creds)
	}
	for done := uint64(0); done < pages; {
		k := min(pages-done, uint64(len(vec)))
		if err := t.MM.Mincore(addr+done<<12, k<<12, vec[:k], reveals); err != nil {
			return 0, err
		}
		if err := t.MM.CopyOut(a[2]+done, vec[:k]); err != nil {
			return 0, err
		}
		done += k
	}
	return 0, nil
}

// sysMadvise says how memory will be used, or drops it (madvise(2)).
func sysMadvise(t *task.Thread, a *Args) (uint64, error) {
	return 0, t.MM.Madvise(a[0], a[1], int(int32(a[2])))
}

// sysMlock locks pages (mlock(2)).
func sysMlock(t *task.Thread, a *Args) (uint64, error) {
	return 0, t.MM.Mlock(a[0], a[1], false)
}

// sysMlock2 is mlock with MLOCK_ONFAULT (mlock2(2)).
func sysMlock2(t *task.Thread, a *Args) (uint64, error) {
	const onFault = 1
	if a[2]&^onFault != 0 {
		return 0, unix.EINVAL
	}
	return 0, t.MM.Mlock(a[0], a[1], a[2]&onFault != 0)
}

// sysMunlock unlocks pages (munlock(2)).
func sysMunlock(t *task.Thread, a *Args) (uint64, error) {
	return 0, t.MM.Munlock(a[0], a[1])
}

// sysMlockall locks what is mapped, or will be (mlockall(2)).
func sysMlockall(t *task.Thread, a *Args) (uint64, error) {
	const all = unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT
	if a[0] == 0 || a[0]&^all != 0 || a[0] == unix.MCL_ONFAULT {
		return 0, unix.EINVAL
	}
	return 0, t.MM.MlockAll(int(a[0]))
}

// sysMunlockall unlocks everything (munlockall(2)).
func sysMunlockall(t *task.Thread, a *Args) (uint64, error) {
	return 0, t.MM.MlockAll(0)
}

// sysPkeyMprotect is mprotect when it gets no key (pkey_mprotect(2)).
func sysPkeyMprotect(t *task.Thread, a *Args) (uint64, error) {
	if int32(a[3]) != -1 {
		return 0, unix.EINVAL
	}
	return sysMprotect(t, a)
}

func sysPkeyAlloc(t *task.Thread, a *Args) (uint64, error) {
	if a[0] != 0 || a[1]&^3 != 0 {
		return 0, unix.EINVAL
	}
	return 0, unix.ENOSPC
}

func sysPkeyFree(t *task.Thread, a *Args) (uint64, error) { return 0, unix.EINVAL }

// sysMseal seals mappings (mseal(2)).
func sysMseal(t *task.Thread, a *Args) (uint64, error) {
	if a[2] != 0 {
		return 0, unix.EINVAL
	}
	return 0, t.MM.Mseal(a[0], a[1])
}

// sysMapShadowStack is map_shadow_stack(2).
func sysMapShadowStack(t *task.Thread, a *Args) (uint64, error) { return 0, unix.EOPNOTSUPP }

// sysRemapFilePages maps another part of a file in a shared mapping of it
// (remap_file_pages(2)), as Linux does since 4.0: by another area.
func sysRemapFilePages(t *task.Thread, a *Args) (uint64, error) {
	addr, n := a[0]&^0xfff, a[1]&^0xfff
	if a[2] != 0 || addr+n <= addr || a[3]+n>>12 < a[3] {
		return 0, unix.EINVAL
	}
	return 0, t.MM.RemapFilePages(addr, n, a[3], uint32(a[4])&unix.MAP_NONBLOCK)
}

// sysCachestat tells how much of a file is in memory (cachestat(2)).
func sysCachestat(t *task.Thread, a *Args) (uint64, error) {
	f, err := t.Files.Get(fdArg(a[0]))
	if err != nil {
		return 0, err
	}
	defer f.Release()
	if f.PathOnly() {
		return 0, unix.EBADF
	}
	var r [16]byte
	if err := t.MM.CopyIn(r[:], a[1]); err != nil {
		return 0, err
	}
	if uint32(a[3]) != 0 {
		return 0, unix.EINVAL
	}
	off, n := le.Uint64(r[0:]), le.Uint64(r[8:])
	last := ^uint64(0)
	if n != 0 {
		last = (off + n - 1) >> 12
	}
	var out [40]byte // nr_cache, nr_dirty, nr_writeback, nr_evicted, nr_recently_evicted
	if c := f.Cache(); c != nil {
		in, dirty := c.Count(off>>12, last)
		le.PutUint64(out[0:], in)
		le.PutUint64(out[8:], dirty)
	}
	return 0, t.MM.CopyOut(a[2], out[:])
}
