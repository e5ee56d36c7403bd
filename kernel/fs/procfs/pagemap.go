package procfs

import (
	"encoding/binary"
	"strconv"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

// pagemapInode is /proc/PID/pagemap: 64 bits for each page of the address space
// (proc_pid_pagemap(5), Documentation/admin-guide/mm/pagemap.rst).
type pagemapInode struct {
	*vfs.ContentFile
	p Process
}

func (w *tree) addPagemap() {
	n := vfs.NewContentFile(0o400, nil)
	n.UID, n.GID = w.uid, w.gid
	w.d.Add("pagemap", &pagemapInode{n, w.p})
}

// Open takes hold of the address space. Who has not CAP_SYS_ADMIN does not learn
// where pages are in physical memory.
func (n *pagemapInode) Open(c vfs.Caller, _ *vfs.File, _ uint32) (vfs.FileImpl, error) {
	if err := mayInspect(c, n.p); err != nil {
		return nil, err
	}
	as := n.p.Space()
	if as == nil {
		return nil, unix.ESRCH
	}
	return &pagemapFile{as: as, frames: c.Creds.Has(unix.CAP_SYS_ADMIN)}, nil
}

type pagemapFile struct {
	vfs.FileDefaults
	as     *mm.AddressSpace
	frames bool
}

func (m *pagemapFile) Release()       { m.as.Release() }
func (m *pagemapFile) Seekable() bool { return true }

func (m *pagemapFile) Seek(f *vfs.File, off int64, whence int) (int64, error) {
	if whence != unix.SEEK_SET && whence != unix.SEEK_CUR {
		return 0, unix.EINVAL
	}
	return vfs.SeekIn(f.Offset(), 0, off, whence)
}

// Bits of an entry.
const (
	pagemapPresent   = 1 << 63
	pagemapCache     = 1 << 61 // of a file or shared
	pagemapExclusive = 1 << 56
)

// Read gives whole entries; EINVAL for a piece of one.
func (m *pagemapFile) Read(_ *vfs.File, dst *mm.Buf, off int64) (int64, error) {
	if off%8 != 0 || dst.Len()%8 != 0 {
		return 0, unix.EINVAL
	}
	var b [512]byte
	total := int64(0)
	for dst.Len() > 0 {
		first := uint64(off+total) / 8
		if first >= cpu.UserTop/cpu.PageSize {
			break
		}
		n := uint64(min(dst.Len(), len(b))) / 8
		n = min(n, cpu.UserTop/cpu.PageSize-first)
		p := b[:0]
		m.as.Pages(first*cpu.PageSize, n*cpu.PageSize, func(_ uint64, i mm.PageInfo) bool {
			v := uint64(0)
			if i.Present {
				v = pagemapPresent
				if m.frames {
					v |= i.Frame / cpu.PageSize
				}
			}
			if i.Cache {
				v |= pagemapCache
			}
			if i.Exclusive {
				v |= pagemapExclusive
			}
			p = binary.LittleEndian.AppendUint64(p, v)
			return true
		})
		k, err := dst.CopyTo(p)
		if total += int64(k); err != nil {
			if total > 0 {
				break
			}
			return 0, err
		}
	}
	return total, nil
}

// appendNUMAMaps writes /proc/PID/numa_maps (numa(7)): all memory is of node 0,
// and no policy can be set.
func appendNUMAMaps(b []byte, as *mm.AddressSpace) []byte {
	list := areas(as)
	defer releaseAreas(list)
	for i := range list {
		a := &list[i]
		b = append(hex(b, a.Start, 8), " default"...)
		switch {
		case a.File != nil:
			b = escape(append(b, " file="...), a.Name, "\n\t= ")
		case a.Name == "[heap]":
			b = append(b, " heap"...)
		case a.Name == "[stack]":
			b = append(b, " stack"...)
		}
		resident, anon, _ := as.Residency(a.Start, a.End-a.Start)
		count := func(name string, bytes uint64) {
			b = strconv.AppendUint(append(b, name...), bytes/cpu.PageSize, 10)
		}
		if anon != 0 {
			count(" anon=", anon)
			count(" dirty=", anon)
		}
		if resident != anon {
			count(" mapped=", resident)
		}
		if resident != 0 {
			count(" N0=", resident)
			b = append(b, " kernelpagesize_kB=4"...)
		}
		b = append(b, '\n')
	}
	return b
}
