package mm

import (
	"gosv/kernel/frame"
)

func New() (*AddressSpace, error)                                 { return nil, nil }
func (as *AddressSpace) Retain()                                  {}
func (as *AddressSpace) Release()                                 {}
func (as *AddressSpace) Fork() (*AddressSpace, error)             { return nil, nil }
func (as *AddressSpace) Mmap(a MapArgs) (uint64, error)           { return 0, nil }
func (as *AddressSpace) Munmap(addr, n uint64) error              { return nil }
func (as *AddressSpace) Mprotect(addr, n uint64, prot Prot) error { return nil }
func (as *AddressSpace) Mremap(old, oldLen, newLen uint64, flags uint32, newAddr uint64) (uint64, error) {
	return 0, nil
}
func (as *AddressSpace) Madvise(addr, n uint64, advice int) error        { return nil }
func (as *AddressSpace) Mincore(addr, n uint64, out []byte) error        { return nil }
func (as *AddressSpace) Msync(addr, n uint64, flags int) error           { return nil }
func (as *AddressSpace) Brk(addr uint64) uint64                          { return 0 }
func (as *AddressSpace) resolve(addr uint64, acc Access) outcome         { return resolved }
func (as *AddressSpace) FutexKey(addr uint64, private bool) (Key, error) { return Key{}, nil }
func (as *AddressSpace) Areas(yield func(AreaInfo) bool)                 {}
func (as *AddressSpace) Usage() (vsize, rss uint64)                      { return 0, 0 }

type Cache struct{}

func NewCache(b Backing) *Cache                                      { return nil }
func (c *Cache) Read(dst *Buf, off int64) (int64, error)             { return 0, nil }
func (c *Cache) Write(src *Buf, off int64) (int64, error)            { return 0, nil }
func (c *Cache) Size() int64                                         { return 0 }
func (c *Cache) SetSize(n int64) error                               { return nil }
func (c *Cache) Page(index uint64, create bool) (frame.Frame, error) { return 0, nil }
func (c *Cache) PunchHole(off, n int64) error                        { return nil }
func (c *Cache) Sync() error                                         { return nil }
func (c *Cache) Drop()                                               {}
func (c *Cache) Pages() int64                                        { return 0 }
