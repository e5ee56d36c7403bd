package sysctl

import "sync/atomic"

// The variables of settings: numbers that are read and written through their
// methods only, by any goroutine. They are not the types of sync/atomic because
// those cannot be declared with a first value.
type (
	Int32  int32
	Uint32 uint32
	Uint64 uint64
	Flag   uint32 // 0 or 1
)

func (v *Int32) Load() int32     { return atomic.LoadInt32((*int32)(v)) }
func (v *Int32) Store(n int32)   { atomic.StoreInt32((*int32)(v), n) }
func (v *Uint32) Load() uint32   { return atomic.LoadUint32((*uint32)(v)) }
func (v *Uint32) Store(n uint32) { atomic.StoreUint32((*uint32)(v), n) }
func (v *Uint64) Load() uint64   { return atomic.LoadUint64((*uint64)(v)) }
func (v *Uint64) Store(n uint64) { atomic.StoreUint64((*uint64)(v), n) }
func (v *Flag) Load() bool       { return atomic.LoadUint32((*uint32)(v)) != 0 }

func (v *Flag) Store(on bool) {
	n := uint32(0)
	if on {
		n = 1
	}
	atomic.StoreUint32((*uint32)(v), n)
}
