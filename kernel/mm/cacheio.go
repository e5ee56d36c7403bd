package mm

import (
	"golang.org/x/sys/unix"

	"gosv/kernel/frame"
)

// forever is a page index beyond all files.
const forever = 1 << 52

// Read copies from offset off to dst, up to the end of the file. It returns an
// error only if it could copy nothing.
func (c *Cache) Read(dst *Buf, off int64) (int64, error) {
	if off < 0 {
		return 0, unix.EINVAL
	}
	done := int64(0)
	for dst.Len() > 0 {
		left := c.size.Load() - off
		if left <= 0 {
			break
		}
		in := off & pageMask
		n := int(min(pageSize-in, left, int64(dst.Len())))
		f, err := c.Page(uint64(off)/pageSize, false)
		if err != nil {
			return orError(done, err)
		}
		var got int
		if f == 0 {
			got, err = dst.Zero(n)
		} else {
			got, err = dst.CopyTo(f.Bytes()[in : in+int64(n)])
			f.Unref()
		}
		done += int64(got)
		off += int64(got)
		if err != nil {
			return orError(done, err)
		}
	}
	return done, nil
}

func orError(done int64, err error) (int64, error) {
	if done > 0 {
		return done, nil
	}
	return 0, err
}

// Write copies src to offset off, and extends the file if it ends beyond. It
// returns an error only if it could copy nothing. The caller keeps other
// writers and SetSize out.
func (c *Cache) Write(src *Buf, off int64) (int64, error) {
	if off < 0 {
		return 0, unix.EINVAL
	}
	done := int64(0)
	for src.Len() > 0 {
		in := off & pageMask
		n := int(min(pageSize-in, int64(src.Len())))
		index := uint64(off) / pageSize
		f, err := c.Page(index, true)
		if err != nil {
			return orError(done, err)
		}
		if size := c.size.Load(); off > size && size/pageSize == off/pageSize {
			c.zeroIn(f, size&pageMask, in) // what a mapping may have left beyond the end
		}
		got, err := src.CopyFrom(f.Bytes()[in : in+int64(n)])
		if got > 0 && c.backing != nil {
			c.markDirty(index, f)
		}
		f.Unref()
		done += int64(got)
		off += int64(got)
		if off > c.size.Load() {
			c.size.Store(off)
		}
		if err != nil {
			return orError(done, err)
		}
	}
	return done, nil
}

func (c *Cache) zeroIn(f frame.Frame, lo, hi int64) {
	if f != 0 {
		clear(f.Bytes()[lo:hi])
	}
}

// SetSize truncates or extends the file: pages beyond the end are unmapped and
// freed, and the rest of the last page is cleared.
func (c *Cache) SetSize(size int64) error {
	if size < 0 {
		return unix.EINVAL
	}
	old := c.size.Load()
	last := min(old, size)
	if in := last & pageMask; in != 0 && old != size {
		f, err := c.Page(uint64(last)/pageSize, false)
		if err != nil && size < old {
			return err
		}
		if err == nil && f != 0 {
			c.size.Store(last) // no reader sees the bytes go
			clear(f.Bytes()[in:])
			f.Unref()
		}
	}
	c.size.Store(size)
	if size < old {
		from := (uint64(size) + pageMask) / pageSize
		c.unmap(from, forever, true)
		c.remove(from, forever)
	}
	return nil
}

// InitSize says how large the file is when the cache is new.
func (c *Cache) InitSize(size int64) { c.size.Store(size) }

// Ready reports whether n bytes at off can be read without a device.
func (c *Cache) Ready(off, n int64) bool {
	if c.backing == nil {
		return true
	}
	end := min(off+n, c.size.Load())
	for at := off &^ pageMask; at < end; at += pageSize {
		if !c.Resident(uint64(at) / pageSize) {
			return false
		}
	}
	return true
}

// PunchHole makes n bytes at off zero, and frees the pages that lie in there
// (FALLOC_FL_PUNCH_HOLE, MADV_REMOVE).
func (c *Cache) PunchHole(off, n int64) error {
	if off < 0 || n <= 0 {
		return unix.EINVAL
	}
	end := min(off+n, c.size.Load())
	if end <= off {
		return nil
	}
	lo, hi := (uint64(off)+pageMask)/pageSize, uint64(end)/pageSize
	if end == c.size.Load() {
		hi = (uint64(end) + pageMask) / pageSize
	}
	clearPart := func(from, to int64) error {
		f, err := c.Page(uint64(from)/pageSize, false)
		if err != nil || f == 0 {
			return err
		}
		clear(f.Bytes()[from&pageMask : (to-1)&pageMask+1])
		if c.backing != nil {
			c.markDirty(uint64(from)/pageSize, f)
		}
		f.Unref()
		return nil
	}
	if off&pageMask != 0 {
		if err := clearPart(off, min(end, int64(lo*pageSize))); err != nil {
			return err
		}
	}
	if tail := int64(hi * pageSize); hi >= lo && tail < end {
		if err := clearPart(tail, end); err != nil {
			return err
		}
	}
	if lo >= hi {
		return nil
	}
	if c.backing != nil { // the device has the old contents
		for i := lo; i < hi; i++ {
			if err := clearPart(int64(i*pageSize), int64((i+1)*pageSize)); err != nil {
				return err
			}
		}
		return nil
	}
	c.unmap(lo, hi, false)
	c.remove(lo, hi)
	return nil
}

// Count returns how many of the pages from first to last are in memory, and how many of
// those are to be written back (cachestat(2)).
func (c *Cache) Count(first, last uint64) (in, dirty uint64) {
	end := (uint64(c.size.Load()) + pageMask) / pageSize
	if end == 0 || first >= end || first > last {
		return 0, 0
	}
	last = min(last, end-1)
	c.mu.Lock()
	c.leaves(first, last+1, func(base uint64, l *leaf) {
		for i, e := range l {
			if index := base + uint64(i); e&entryReady != 0 && index >= first && index <= last {
				in++
				if e&entryDirty != 0 {
					dirty++
				}
			}
		}
	})
	c.mu.Unlock()
	if c.resident != nil {
		for i := first; i <= last; i++ {
			if _, ok := c.resident.ResidentFrame(i); ok {
				in++
			}
		}
	}
	return in, dirty
}

// NextData returns the first offset from off on that holds data, for SEEK_DATA;
// ENXIO if there is none.
func (c *Cache) NextData(off int64) (int64, error) { return c.seek(off, true) }

// NextHole returns the first offset from off on that is in a hole, for SEEK_HOLE; the
// end of the file counts as one.
func (c *Cache) NextHole(off int64) (int64, error) { return c.seek(off, false) }

func (c *Cache) seek(off int64, data bool) (int64, error) {
	size := c.size.Load()
	if off < 0 || off >= size {
		return 0, unix.ENXIO
	}
	if c.backing != nil { // all data
		if data {
			return off, nil
		}
		return size, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !data {
		for ; off < size; off = off&^pageMask + pageSize {
			if p := c.entry(uint64(off) / pageSize); p == nil || *p == 0 {
				return off, nil
			}
		}
		return size, nil
	}
	found := int64(-1)
	c.leaves(uint64(off)/pageSize, forever, func(base uint64, l *leaf) {
		for i := range l {
			at := int64(base+uint64(i)) * pageSize
			if found < 0 && l[i] != 0 && at+pageSize > off && at < size {
				found = max(at, off)
			}
		}
	})
	if found < 0 {
		return 0, unix.ENXIO
	}
	return found, nil
}

// Sync writes dirty pages back. It returns the first error, after trying all.
func (c *Cache) Sync() error { return c.SyncRange(0, 1<<62) }

// SyncRange is Sync for the pages that meet [off, off+n).
func (c *Cache) SyncRange(off, n int64) error {
	if c.backing == nil {
		return nil
	}
	lo, hi := uint64(off)/pageSize, (uint64(off+n)+pageMask)/pageSize
	var todo []uint64
	c.mu.Lock()
	if c.dirty > 0 {
		c.leaves(lo, hi, func(base uint64, l *leaf) {
			for i, e := range l {
				if index := base + uint64(i); e&entryDirty != 0 && index >= lo && index < hi {
					todo = append(todo, index)
				}
			}
		})
	}
	c.mu.Unlock()
	var first error
	for _, index := range todo {
		if err := c.writeBack(index); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// writeBack writes one page. A write through a mapping makes it dirty again.
func (c *Cache) writeBack(index uint64) error {
	c.mu.Lock()
	p := c.entry(index)
	if p == nil || *p&entryDirty == 0 {
		c.mu.Unlock()
		return nil
	}
	*p &^= entryDirty
	c.dirty--
	f := frame.Frame(*p & entryFrame)
	f.Ref()
	c.mu.Unlock()
	c.protectShared(index)
	err := c.backing.WritePage(index, f)
	if err != nil {
		c.markDirty(index, f)
	}
	f.Unref()
	return err
}

// Drop frees everything, when the inode goes away: nothing maps the file, and dirty pages are lost.
func (c *Cache) Drop() {
	c.unlist()
	c.unmap(0, forever, true)
	c.remove(0, forever)
}
