//go:build metal

package cpu

import (
	"encoding/binary"
	"syscall"
	"unsafe"
)

// The layout of an XSAVE image in the standard format (Intel SDM volume 1, section 13.4), as signal frames have it.
const (
	fpMXCSR   = 24
	fpXMM     = 160
	fpXMMEnd  = fpXMM + 256
	fpHeader  = 512
	fpXCOMP   = 520
	fpHdrEnd  = 576
	initMXCSR = 0x1f80
	stateSSE  = 1 << 1
	stateAVX  = 1 << 2
)

var mxcsrMask uint32 // bits of MXCSR that this CPU knows

// FPStateSize is how many bytes SaveFP writes: those of an XSAVE image with all components that programs may use, or of
// FXSAVE on CPUs without XSAVE.
func FPStateSize() int { return int(xsaveSize) }

// FPFeatures is XCR0: the components of the image.
func FPFeatures() uint64 { return xcr0 }

// SaveFP writes the FPU state to b, of at least FPStateSize bytes.
func (x *Context) SaveFP(b []byte) {
	x.Release()
	b = b[:xsaveSize]
	copy(b, unsafe.Slice((*byte)(at(x.image())), xsaveSize))
	copy(b[fpXMM:fpXMMEnd], x.xmm[:256])
	copy(b[fpMXCSR:], x.xmm[256:260])
	binary.LittleEndian.PutUint32(b[fpMXCSR+4:], mxcsrMask)
	if useXSave != 0 {
		b[fpHeader] |= stateSSE
	}
}

// RestoreFP makes the image in b, which is a program's, the FPU state. An image that the CPU would refuse is EINVAL and
// changes nothing.
func (x *Context) RestoreFP(b []byte) error {
	if len(b) < int(xsaveSize) {
		return syscall.EINVAL
	}
	b = b[:xsaveSize]
	le := binary.LittleEndian
	mxcsr := le.Uint32(b[fpMXCSR:])
	if mxcsr&^mxcsrMask != 0 {
		return syscall.EINVAL
	}
	present := uint64(stateSSE)
	if useXSave != 0 {
		present = le.Uint64(b[fpHeader:])
		if present&^xcr0 != 0 {
			return syscall.EINVAL
		}
		for _, v := range b[fpXCOMP:fpHdrEnd] {
			if v != 0 {
				return syscall.EINVAL
			}
		}
		if present&(stateSSE|stateAVX) == 0 {
			mxcsr = initMXCSR
		}
	}
	x.Release()
	copy(unsafe.Slice((*byte)(at(uintptr(x.fpu))), xsaveSize), b)
	x.fpInit = 0
	if useXSave != 0 {
		Store64(uintptr(x.fpu)+fpHeader, present&^stateSSE)
	}
	if present&stateSSE != 0 {
		copy(x.xmm[:256], b[fpXMM:fpXMMEnd])
	} else {
		clear(x.xmm[:256])
	}
	le.PutUint32(x.xmm[256:], mxcsr)
	return nil
}
