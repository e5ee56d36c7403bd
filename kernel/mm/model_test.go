package mm

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
	"gosv/kernel/frame"
)

// The model: what a page of a small window of addresses should be. The window begins a block that can be a huge page.
const (
	windowBase  = 0x10000000
	windowPages = 96
)

type modelPage struct {
	mapped bool
	prot   Prot
	shared *modelFile // its contents are the file's
	file   *modelFile // private: until written
	index  int
	own    *[8]byte // private contents, nil: from file, or zero
}

type modelFile struct {
	file *testFile
	data [windowPages][8]byte
}

// testFile is a Mappable over a cache without backing or with a memory device.
type testFile struct {
	cache *Cache
	refs  int
}

func (f *testFile) Cache() *Cache   { return f.cache }
func (f *testFile) MapName() string { return "/file" }
func (f *testFile) Retain()         { f.refs++ }
func (f *testFile) Release()        { f.refs-- }

type model struct {
	t     *testing.T
	as    *AddressSpace
	pages [windowPages]modelPage
}

func (m *model) fork() *model {
	child, err := m.as.Fork()
	if err != nil {
		m.t.Fatal(err)
	}
	n := &model{t: m.t, as: child, pages: m.pages}
	for i := range n.pages {
		if p := &n.pages[i]; p.own != nil {
			c := *p.own
			p.own = &c
		}
	}
	return n
}

func pageAddr(i int) uint64 { return windowBase + uint64(i)*pageSize }

func (p *modelPage) contents() [8]byte {
	switch {
	case p.shared != nil:
		return p.shared.data[p.index]
	case p.own != nil:
		return *p.own
	case p.file != nil:
		return p.file.data[p.index]
	}
	return [8]byte{}
}

func (m *model) checkPage(i int) {
	p := &m.pages[i]
	var got [8]byte
	err := m.as.CopyIn(got[:], pageAddr(i)+16)
	switch {
	case !p.mapped || p.prot == 0:
		if err != unix.EFAULT {
			m.t.Fatalf("page %d: read of %+v: %v", i, *p, err)
		}
	case err != nil:
		m.t.Fatalf("page %d: read: %v", i, err)
	case got != p.contents():
		m.t.Fatalf("page %d: %x, want %x", i, got, p.contents())
	}
}

func (m *model) write(i int, v [8]byte) {
	p := &m.pages[i]
	err := m.as.CopyOut(pageAddr(i)+16, v[:])
	if !p.mapped || p.prot&ProtWrite == 0 {
		if err != unix.EFAULT {
			m.t.Fatalf("page %d: write to %+v: %v", i, *p, err)
		}
		return
	}
	if err != nil {
		m.t.Fatalf("page %d: write: %v", i, err)
	}
	if p.shared != nil {
		p.shared.data[p.index] = v
	} else {
		p.own = &v
	}
}

// TestModel runs random operations on address spaces that fork, and on a model.
func TestModel(t *testing.T) {
	for seed := range uint64(30) {
		runModel(t, rand.New(rand.NewPCG(seed, 7)), 3000)
	}
}

func FuzzModel(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { runModel(t, rand.New(rand.NewPCG(seed, 8)), 1500) })
}

func runModel(t *testing.T, r *rand.Rand, steps int) {
	before := freeFrames()
	files := make([]*modelFile, 3)
	for i := range files {
		files[i] = &modelFile{file: &testFile{cache: NewCache(nil)}}
		if i == 2 {
			files[i].file.cache = NewCache(&memDevice{})
		}
		files[i].file.cache.InitSize(windowPages * pageSize)
	}
	first, err := New()
	if err != nil {
		t.Fatal(err)
	}
	models := []*model{{t: t, as: first}}
	for range steps {
		m := models[r.IntN(len(models))]
		i := r.IntN(windowPages)
		n := min(1+r.IntN(12), windowPages-i)
		prot := []Prot{0, 1, 3, 3, 3, 5}[r.IntN(6)]
		switch op := r.IntN(23); op {
		case 0, 1, 2: // anonymous
			if _, err := m.as.Mmap(MapArgs{Addr: pageAddr(i), Len: uint64(n) * pageSize, Prot: prot,
				Flags: unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_FIXED}); err != nil {
				t.Fatal(err)
			}
			for k := i; k < i+n; k++ {
				m.pages[k] = modelPage{mapped: true, prot: prot}
			}
		case 3, 4: // a file
			f := files[r.IntN(len(files))]
			at := r.IntN(windowPages - n + 1)
			share := r.IntN(2) == 0
			flags := uint32(unix.MAP_PRIVATE | unix.MAP_FIXED)
			if share {
				flags = unix.MAP_SHARED | unix.MAP_FIXED
			}
			if _, err := m.as.Mmap(MapArgs{Addr: pageAddr(i), Len: uint64(n) * pageSize, Prot: prot, Flags: flags,
				File: f.file, Offset: uint64(at) * pageSize}); err != nil {
				t.Fatal(err)
			}
			for k := i; k < i+n; k++ {
				p := modelPage{mapped: true, prot: prot, index: at + k - i}
				if share {
					p.shared = f
				} else {
					p.file = f
				}
				m.pages[k] = p
			}
		case 5:
			if err := m.as.Munmap(pageAddr(i), uint64(n)*pageSize); err != nil {
				t.Fatal(err)
			}
			for k := i; k < i+n; k++ {
				m.pages[k] = modelPage{}
			}
		case 6, 7:
			err := m.as.Mprotect(pageAddr(i), uint64(n)*pageSize, prot)
			k := i
			for ; k < i+n && m.pages[k].mapped; k++ {
				m.pages[k].prot = prot
			}
			if (err == nil) != (k == i+n) {
				t.Fatalf("mprotect: %v", err)
			}
		case 8:
			m.as.Madvise(pageAddr(i), uint64(n)*pageSize, unix.MADV_DONTNEED)
			for k := i; k < i+n; k++ {
				m.pages[k].own = nil
			}
		case 9:
			if len(models) < 4 {
				models = append(models, m.fork())
			} else {
				k := r.IntN(len(models))
				models[k].as.Release()
				models = append(models[:k], models[k+1:]...)
			}
		case 10: // mremap of what is one area, to a fixed place
			to := r.IntN(windowPages - n + 1)
			whole := m.pages[i].mapped
			a := m.as.areas.at(pageAddr(i))
			whole = whole && a != nil && a.end >= pageAddr(i+n)
			_, err := m.as.Mremap(pageAddr(i), uint64(n)*pageSize, uint64(n)*pageSize, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, pageAddr(to), false)
			if a == nil {
				if err != unix.EFAULT {
					t.Fatalf("mremap of nothing: %v", err)
				}
				break
			}
			if to < i+n && i < to+n {
				if err != unix.EINVAL {
					t.Fatalf("mremap onto itself: %v", err)
				}
				break
			}
			if whole != (err == nil) {
				t.Fatalf("mremap: %v", err)
			}
			if err == nil {
				for k := range n {
					m.pages[to+k] = m.pages[i+k]
					m.pages[i+k] = modelPage{}
				}
			}
		case 11: // grow in place or not at all
			g := min(n+1+r.IntN(4), windowPages-i)
			a := m.as.areas.at(pageAddr(i))
			if a == nil || a.cache != nil || a.end != pageAddr(i+n) {
				break
			}
			if _, err := m.as.Mremap(pageAddr(i), uint64(n)*pageSize, uint64(g)*pageSize, 0, 0, false); err == nil {
				for k := i + n; k < i+g; k++ {
					if m.pages[k].mapped {
						t.Fatal("mremap grew into something")
					}
					m.pages[k] = modelPage{mapped: true, prot: m.pages[i+n-1].prot}
				}
			}
		case 12: // write(2) to a file
			f := files[r.IntN(len(files))]
			var v [8]byte
			v[0] = byte(r.IntN(256))
			b := KernelBuf(v[:])
			if _, err := f.file.cache.Write(&b, int64(i)*pageSize+16); err != nil {
				t.Fatal(err)
			}
			f.data[i] = v
		case 13: // read(2)
			f := files[r.IntN(len(files))]
			var v [8]byte
			b := KernelBuf(v[:])
			if _, err := f.file.cache.Read(&b, int64(i)*pageSize+16); err != nil || v != f.data[i] {
				t.Fatalf("file page %d: %x, want %x (%v)", i, v, f.data[i], err)
			}
		case 14:
			f := files[r.IntN(2)]
			if err := f.file.cache.PunchHole(int64(i)*pageSize, int64(n)*pageSize); err != nil {
				t.Fatal(err)
			}
			clear(f.data[i : i+n])
		case 15:
			if err := files[2].file.cache.Sync(); err != nil {
				t.Fatal(err)
			}
			reclaim(1 + r.IntN(300))
		case 16: // a huge page, of which the window is a part
			if r.IntN(4) > 0 {
				break
			}
			if _, err := m.as.Mmap(MapArgs{Addr: windowBase, Len: hugeSize, Prot: rw, Flags: anonHere}); err != nil {
				t.Fatal(err)
			}
			if err := m.as.Madvise(windowBase, hugeSize, unix.MADV_HUGEPAGE); err != nil {
				t.Fatal(err)
			}
			for k := range m.pages {
				m.pages[k] = modelPage{mapped: true, prot: rw}
			}
			m.write(i, [8]byte{byte(i), 2})
			if m.as.hugeAt(windowBase) == nil {
				t.Fatal("no huge page")
			}
		default:
			if op < 20 {
				m.checkPage(i)
			} else {
				m.write(i, [8]byte{byte(r.IntN(256)), byte(r.IntN(256)), 1})
			}
		}
	}
	for _, m := range models {
		for i := range m.pages {
			m.checkPage(i)
		}
		m.checkAreas()
		m.as.Release()
		if a, f := m.as.rssAnon.Load(), m.as.rssFile.Load(); a != 0 || f != 0 || m.as.tables.Load() != 1 {
			t.Fatalf("after the end %d anonymous pages, %d of files, %d tables", a, f, m.as.tables.Load())
		}
	}
	for _, f := range files {
		if f.file.refs != 0 {
			t.Fatalf("file has %d references", f.file.refs)
		}
		f.file.cache.Drop()
	}
	if after := freeFrames(); after != before {
		t.Fatalf("%d frames free, %d at first", after, before)
	}
}

func (m *model) checkAreas() {
	last := uint64(0)
	n, size := 0, uint64(0)
	m.as.Areas(func(a AreaInfo) bool {
		if a.Start < last || a.Start >= a.End {
			m.t.Fatalf("area %x-%x after %x", a.Start, a.End, last)
		}
		last = a.End
		n++
		size += a.End - a.Start
		for va := a.Start; va < min(a.End, pageAddr(windowPages)); va += pageSize {
			if p := m.pages[(va-windowBase)/pageSize]; !p.mapped || p.prot != a.Prot {
				m.t.Fatalf("area at %x", va)
			}
		}
		return true
	})
	if n != m.as.areas.n || size != m.as.vsize {
		m.t.Fatalf("%d areas of %d bytes; counted %d, %d", n, size, m.as.areas.n, m.as.vsize)
	}
	for i, p := range m.pages {
		if p.mapped && m.as.areas.at(pageAddr(i)) == nil {
			m.t.Fatalf("page %d has no area", i)
		}
	}
}

func freeFrames() uint64 {
	_, f, _, _ := frame.Stats()
	return f
}

// memDevice is a Backing in memory.
type memDevice struct {
	pages  map[uint64][]byte
	reads  int
	writes int
	fail   map[uint64]bool
}

func (d *memDevice) FillPage(index uint64, f frame.Frame) error {
	d.reads++
	if d.fail[index] {
		return unix.EIO
	}
	b := f.Bytes()
	clear(b[copy(b, d.pages[index]):])
	return nil
}

func (d *memDevice) WritePage(index uint64, f frame.Frame) error {
	d.writes++
	if d.pages == nil {
		d.pages = map[uint64][]byte{}
	}
	d.pages[index] = bytes.Clone(f.Bytes())
	return nil
}

var _ = cpu.PageSize
