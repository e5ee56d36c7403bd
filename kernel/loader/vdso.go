package loader

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"gosv/kernel/cpu"
	"gosv/kernel/frame"
	"gosv/kernel/mm"
)

// The vDSO is a shared object that the kernel maps into every program: a page of
// data, vvar, and above it a page of code that reads the clock without a system
// call (vdso(7)). vdso_build_test.go makes the ELF file, vdsoImage, from the
// functions of vdso_amd64.s: at boot that would take a millisecond.

// vvar is the data page. A writer makes seq odd while it changes the rest.
type vvar struct {
	seq    uint32
	mode   uint32 // 0: the clock cannot be read in ring 3
	base   uint64 // CLOCK_MONOTONIC is (TSC-base)*mul>>shift
	mul    uint64
	shift  uint64
	wall   int64  // CLOCK_REALTIME is that much more
	tai    int64  // CLOCK_TAI is that much more than CLOCK_REALTIME
	zone   uint64 // struct timezone of settimeofday(2)
	getcpu uint32 // 1: RDTSCP has the number of the CPU
}

var vdso struct {
	once  sync.Once
	cache *mm.Cache
	data  *vvar
	err   error
	mu    sync.Mutex // one writer of data, tai and zone
	tai   int64
	zone  uint64
}

// vdsoObject is what programs map.
type vdsoObject struct{ name string }

func (o *vdsoObject) Cache() *mm.Cache { return vdso.cache }
func (o *vdsoObject) MapName() string  { return o.name }
func (o *vdsoObject) Retain()          {}
func (o *vdsoObject) Release()         {}

var vvarObject, vdsoCodeObject = &vdsoObject{"[vvar]"}, &vdsoObject{"[vdso]"}

func initVDSO() {
	c := mm.NewCache(nil)
	if vdso.err = c.SetSize(2 * cpu.PageSize); vdso.err != nil {
		return
	}
	var pages [2]frame.Frame
	for i := range pages {
		if pages[i], vdso.err = c.Page(uint64(i), true); vdso.err != nil {
			return
		}
	}
	copy(pages[1].Bytes(), vdsoImage)
	vdso.data = (*vvar)(unsafe.Pointer(unsafe.SliceData(pages[0].Bytes())))
	vdso.cache = c
	UpdateVDSOClock()
}

// UpdateVDSOClock takes over the clock's parameters, after the wall clock was set.
func UpdateVDSOClock() {
	vdso.mu.Lock()
	defer vdso.mu.Unlock()
	publishClock()
}

// SetTAIOffset says how much CLOCK_TAI is ahead of CLOCK_REALTIME.
func SetTAIOffset(seconds int32) {
	vdso.mu.Lock()
	defer vdso.mu.Unlock()
	vdso.tai = int64(seconds) * 1e9
	publishClock()
}

// SetTimezone keeps the struct timezone that settimeofday(2) sets, for
// gettimeofday(2): minutes west of Greenwich, and the kind of DST.
func SetTimezone(zone uint64) {
	vdso.mu.Lock()
	defer vdso.mu.Unlock()
	vdso.zone = zone
	publishClock()
}

// Timezone is what SetTimezone keeps.
func Timezone() uint64 {
	vdso.mu.Lock()
	defer vdso.mu.Unlock()
	return vdso.zone
}

// publishClock writes the data page. vdso.mu is held.
func publishClock() {
	d := vdso.data
	if d == nil {
		return
	}
	mul, shift, base, wall := cpu.TSCParams()
	atomic.AddUint32(&d.seq, 1)
	d.base, d.mul, d.shift, d.wall = base, mul, uint64(shift), wall
	d.tai, d.zone = vdso.tai, vdso.zone
	d.mode = 0
	if mul != 0 && shift < 64 {
		d.mode = 1
	}
	d.getcpu = 0
	if cpu.HasTSCAux() {
		d.getcpu = 1
	}
	atomic.AddUint32(&d.seq, 1)
}

// mapVDSO maps the pages into as and returns the address of the ELF header.
func mapVDSO(as *mm.AddressSpace) (uint64, error) {
	vdso.once.Do(initVDSO)
	if vdso.err != nil {
		return 0, vdso.err
	}
	base, err := reserve(as, 0, 2*cpu.PageSize)
	if err != nil {
		return 0, err
	}
	for i, o := range []*vdsoObject{vvarObject, vdsoCodeObject} {
		prot := mm.ProtRead
		if i == 1 {
			prot |= mm.ProtExec
		}
		if _, err := as.Mmap(mm.MapArgs{Addr: base + uint64(i)*cpu.PageSize, Len: cpu.PageSize, Prot: prot,
			Flags: mapPrivate | mapFixed, File: o, Offset: uint64(i) * cpu.PageSize}); err != nil {
			return 0, err
		}
	}
	return base + cpu.PageSize, nil
}
