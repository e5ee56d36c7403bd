package mm

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
)

// Fork returns a copy of the address space (fork(2)). Private pages are shared
// until one side writes to them. It fails with ENOMEM.
func (as *AddressSpace) Fork() (*AddressSpace, error) {
	child, err := New()
	if err != nil {
		return nil, err
	}
	as.mu.Lock()
	child.noHuge.Store(as.noHuge.Load())
	child.mmapBase, child.brkStart, child.brk, child.stackTop, child.limits = as.mmapBase, as.brkStart, as.brk, as.stackTop, as.limits
	g := as.begin()
	ok := as.areas.root.each(func(a *area) bool {
		if a.flags&dontFork != 0 {
			return true
		}
		b := new(area)
		*b = *a
		b.flags &^= lockFlags
		b.retain(child)
		child.areas.insert(b)
		child.vsize += b.size()
		return a.flags&(shared|wipeOnFork) != 0 || as.copyPages(g, child, a)
	})
	g.flush()
	as.unlock()
	if !ok {
		child.Release()
		return nil, unix.ENOMEM
	}
	return child, nil
}

// copyPages shares the private pages of an area with the child: read-only on
// both sides. Pages of the cache come back by faults.
func (as *AddressSpace) copyPages(g *gather, child *AddressSpace, a *area) bool {
	pages := int64(0)
	defer func() { child.rssAnon.Add(pages) }()
	for va := a.start; va < a.end; {
		t, next := as.table(va)
		if t == nil {
			va = next
			continue
		}
		var d *table
		for end := min(a.end, va&^(tableSpan-1)+tableSpan); va < end; va += pageSize {
			p := &t[va>>12&511]
			e := atomic.LoadUint64(p)
			if e == 0 || e&pteCache != 0 {
				continue
			}
			if d == nil {
				if d = child.makeLeaf(va); d == nil {
					return false
				}
			}
			for e&cpu.PTEWrite != 0 {
				if atomic.CompareAndSwapUint64(p, e, e&^cpu.PTEWrite) {
					e &^= cpu.PTEWrite
					g.touch(va)
					break
				}
				e = atomic.LoadUint64(p)
			}
			if f := pteFrame(e); f != zeroFrame {
				f.Ref()
				pages++
			}
			d[va>>12&511] = e
		}
	}
	return true
}
