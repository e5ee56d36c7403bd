package elfdeps

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sort"
)

// Cache is the content of /etc/ld.so.cache in glibc's format 1.1
// (sysdeps/generic/dl-cache.h), which ldconfig writes; the older format that
// may stand before it is skipped.
type Cache struct {
	libs map[string][]cacheEntry
}

type cacheEntry struct {
	flags uint32
	hwcap uint64
	path  string
}

// ErrCache is what ParseCache returns for anything but a sound cache.
var ErrCache = errors.New("damaged ld.so.cache")

const (
	oldMagic = "ld.so-1.7.0"
	newMagic = "glibc-ld.so.cache1.1"

	newHeaderSize = 48
	newEntrySize  = 24
	oldEntrySize  = 12

	// Flags of an entry: the low byte says that it is an ELF library for libc
	// 6, the next one for which ABI.
	flagELFLibc6 = 0x0003
	flagX8664    = 0x0300
	flagAArch64  = 0x0a00
)

// ParseCache reads a cache.
func ParseCache(b []byte) (*Cache, error) {
	if bytes.HasPrefix(b, []byte(oldMagic)) {
		// magic padded to 12 bytes, count, entries; then the new format, aligned to 8.
		if len(b) < 16 {
			return nil, ErrCache
		}
		n := uint64(binary.LittleEndian.Uint32(b[12:]))
		off := (16 + n*oldEntrySize + 7) &^ 7
		if off > uint64(len(b)) {
			return nil, ErrCache
		}
		b = b[off:]
	}
	if !bytes.HasPrefix(b, []byte(newMagic)) || len(b) < newHeaderSize {
		return nil, ErrCache
	}
	le := binary.LittleEndian
	n := uint64(le.Uint32(b[20:]))
	if endian := b[28]; endian != 0 && endian&3 != 2 {
		return nil, ErrCache // big-endian, or marked as not usable
	}
	if newHeaderSize+n*newEntrySize > uint64(len(b)) {
		return nil, ErrCache
	}
	c := &Cache{libs: make(map[string][]cacheEntry, n)}
	str := func(off uint32) (string, bool) {
		if uint64(off) >= uint64(len(b)) {
			return "", false
		}
		end := bytes.IndexByte(b[off:], 0)
		if end < 0 || end > maxString {
			return "", false
		}
		return string(b[off : int(off)+end]), true
	}
	for i := uint64(0); i < n; i++ {
		e := b[newHeaderSize+i*newEntrySize:]
		name, ok1 := str(le.Uint32(e[4:]))
		path, ok2 := str(le.Uint32(e[8:]))
		if !ok1 || !ok2 {
			return nil, ErrCache
		}
		c.libs[name] = append(c.libs[name], cacheEntry{le.Uint32(e), le.Uint64(e[16:]), path})
	}
	return c, nil
}

// Lookup gives the paths of a library for an ABI, those without hardware
// requirements only: which of the others the guest's CPU could use is not known
// when the image is made.
func (c *Cache) Lookup(name string, flags uint32) []string {
	if c == nil {
		return nil
	}
	var paths []string
	for _, e := range c.libs[name] {
		if e.flags == flags && e.hwcap == 0 {
			paths = append(paths, e.path)
		}
	}
	return paths
}

// Names lists all libraries of the cache, sorted.
func (c *Cache) Names() []string {
	names := make([]string, 0, len(c.libs))
	for n := range c.libs {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}
