package syscalls

import (
	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/mm"
	"gosv/kernel/task"
)

// processVMRows are the calls that copy between the memory of two processes.
var processVMRows = []Row{
	{AMD64: 310, ARM64: 270, Name: "process_vm_readv", Fn: sysProcessVMReadv,
		Format: "pid:int, local_iov:iovec, liovcnt:uint, remote_iov:ptr, riovcnt:uint, flags:hex"},
	{AMD64: 311, ARM64: 271, Name: "process_vm_writev", Fn: sysProcessVMWritev,
		Format: "pid:int, local_iov:iovec, liovcnt:uint, remote_iov:ptr, riovcnt:uint, flags:hex"},
	{AMD64: 440, ARM64: 440, Name: "process_madvise", Fn: sysProcessMadvise, Format: "pidfd:fd, iovec:ptr, vlen:uint, advice:int, flags:hex"},
	{AMD64: 448, ARM64: 448, Name: "process_mrelease", Fn: sysProcessMrelease, Format: "pidfd:fd, flags:hex",
		Level: Partial, Note: "checked; the memory of a killed process goes with its last thread, which does not wait for anything"},
}

func sysProcessVMReadv(t *task.Thread, a *Args) (uint64, error)  { return processVM(t, a, false) }
func sysProcessVMWritev(t *task.Thread, a *Args) (uint64, error) { return processVM(t, a, true) }

// processVM copies up to the first page that one side does not have; how much
// was copied is the result, unless that is nothing.
func processVM(t *task.Thread, a *Args, write bool) (uint64, error) {
	if a[5] != 0 || a[2] > linux.IOV_MAX || a[4] > linux.IOV_MAX {
		return 0, unix.EINVAL
	}
	here := make([]mm.IOVec, a[2])
	if err := readIOVec(t, a[1], here); err != nil {
		return 0, err
	}
	local := mm.UserIovec(t.MM, here)
	if err := local.CheckUser(); err != nil {
		return 0, err
	}
	there := make([]mm.IOVec, a[4])
	if err := readRemote(t, a[3], there); err != nil {
		return 0, err
	}
	if local.Len() == 0 {
		return 0, nil
	}
	as, err := traceableSpace(t, int(int32(a[0])))
	if err != nil {
		return 0, err
	}
	defer as.Release()
	done := uint64(0)
	var b [4096]byte
	for _, v := range there {
		for v.Len > 0 && local.Len() > 0 {
			p := b[:min(v.Len, uint64(local.Len()), uint64(len(b))-v.Base%uint64(len(b)))]
			n := 0
			if write {
				if n, err = local.CopyFrom(p); n > 0 {
					if e := as.CopyOut(v.Base, p[:n]); e != nil {
						n, err = 0, e
					}
				}
			} else if err = as.CopyIn(p, v.Base); err == nil {
				n, err = local.CopyTo(p)
			}
			done += uint64(n)
			if err != nil {
				if done > 0 {
					return done, nil
				}
				return 0, err
			}
			v.Base, v.Len = v.Base+uint64(n), v.Len-uint64(n)
		}
	}
	return done, nil
}

// sysProcessMadvise is madvise(2) for another process, with advice that cannot
// change what its memory contains.
func sysProcessMadvise(t *task.Thread, a *Args) (uint64, error) {
	if uint32(a[4]) != 0 || a[2] > linux.IOV_MAX {
		return 0, unix.EINVAL
	}
	iov := make([]mm.IOVec, a[2])
	if err := readIOVec(t, a[1], iov); err != nil {
		return 0, err
	}
	p, f, err := pidfdProcess(t, a[0])
	if err != nil {
		return 0, err
	}
	f.Release()
	advice := int(int32(a[3]))
	switch advice {
	case unix.MADV_COLD, unix.MADV_PAGEOUT, unix.MADV_WILLNEED, unix.MADV_COLLAPSE:
	default:
		return 0, unix.EINVAL
	}
	as := p.Space()
	if as == nil {
		return 0, unix.ESRCH
	}
	defer as.Release()
	switch {
	case as == t.MM:
	case !t.MayTrace(p):
		return 0, unix.EACCES
	case !t.Creds().Has(unix.CAP_SYS_NICE):
		return 0, unix.EPERM
	}
	done := uint64(0)
	for _, v := range iov {
		if err := as.Madvise(v.Base, v.Len, advice); err != nil {
			if done > 0 {
				return done, nil
			}
			return 0, err
		}
		done += v.Len
	}
	return done, nil
}

// sysProcessMrelease is for processes that are being killed; EINVAL for others.
func sysProcessMrelease(t *task.Thread, a *Args) (uint64, error) {
	if uint32(a[1]) != 0 {
		return 0, unix.EINVAL
	}
	p, f, err := pidfdProcess(t, a[0])
	if err != nil {
		return 0, err
	}
	f.Release()
	switch as := p.Space(); {
	case as == nil:
		return 0, unix.ESRCH
	default:
		as.Release()
	}
	if !p.Dying() {
		return 0, unix.EINVAL
	}
	return 0, nil
}

// readRemote copies in an array of pieces of another process's memory.
func readRemote(t *task.Thread, addr uint64, iov []mm.IOVec) error {
	for i := range iov {
		var v [16]byte
		if err := t.MM.CopyIn(v[:], addr+uint64(16*i)); err != nil {
			return err
		}
		iov[i] = mm.IOVec{Base: le.Uint64(v[0:]), Len: le.Uint64(v[8:])}
		if int64(iov[i].Len) < 0 {
			return unix.EINVAL
		}
	}
	return nil
}

// traceableSpace returns the memory of the process of a thread, retained. ESRCH,
// EPERM.
func traceableSpace(t *task.Thread, tid int) (*mm.AddressSpace, error) {
	o := task.Tasks.Thread(tid)
	if o == nil {
		return nil, unix.ESRCH
	}
	if !t.MayTrace(o.Proc) {
		return nil, unix.EPERM
	}
	as := o.Proc.Space()
	if as == nil {
		return nil, unix.ESRCH
	}
	return as, nil
}
