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

// ResetFP gives the thread the state of a fresh FPU.
func (x *Context) ResetFP() {
	x.Release()
	x.fpInit = 1
	x.xmm = initXMM
}

// RestoreFP makes the image in b, which is a debugger's, the FPU state. An image that Linux would refuse is EINVAL and
// changes nothing.
func (x *Context) RestoreFP(b []byte) error {
	if len(b) < int(xsaveSize) {
		return syscall.EINVAL
	}
	b = b[:xsaveSize]
	mxcsr := binary.LittleEndian.Uint32(b[fpMXCSR:])
	if mxcsr&^mxcsrMask != 0 {
		return syscall.EINVAL
	}
	present := uint64(stateSSE)
	if useXSave != 0 {
		present = binary.LittleEndian.Uint64(b[fpHeader:])
		if present&^xcr0 != 0 || !allZero(b[fpXCOMP:fpHdrEnd]) {
			return syscall.EINVAL
		}
		if present&(stateSSE|stateAVX) == 0 {
			mxcsr = initMXCSR
		}
	}
	x.loadFP(b, present, mxcsr)
	return nil
}

// RestoreFrameFP is RestoreFP with the rules of XRSTOR in its standard form (Intel SDM volume 1, section 13.8.1), by
// which sigreturn loads the image of a signal frame: components that are not in features, or not in the image's header,
// become initial, and MXCSR comes from the image if features has SSE or AVX. EINVAL stands for a general protection fault.
func (x *Context) RestoreFrameFP(b []byte, features uint64) error {
	if useXSave == 0 {
		return x.RestoreFP(b)
	}
	if len(b) < int(xsaveSize) {
		return syscall.EINVAL
	}
	b = b[:xsaveSize]
	present := binary.LittleEndian.Uint64(b[fpHeader:])
	if present&^xcr0 != 0 || !allZero(b[fpXCOMP:fpXCOMP+16]) {
		return syscall.EINVAL
	}
	mxcsr := uint32(initMXCSR)
	if features&(stateSSE|stateAVX) != 0 {
		mxcsr = binary.LittleEndian.Uint32(b[fpMXCSR:])
		if mxcsr&^mxcsrMask != 0 {
			return syscall.EINVAL
		}
	}
	x.loadFP(b, present&features, mxcsr)
	return nil
}

// loadFP takes over a checked image, of which the components in present count.
func (x *Context) loadFP(b []byte, present uint64, mxcsr uint32) {
	x.Release()
	copy(unsafe.Slice((*byte)(at(uintptr(x.fpu))), xsaveSize), b)
	x.fpInit = 0
	if useXSave != 0 {
		Store64(uintptr(x.fpu)+fpHeader, present&^stateSSE)
		for i := uintptr(8); i < fpHdrEnd-fpHeader; i += 8 {
			Store64(uintptr(x.fpu)+fpHeader+i, 0)
		}
	}
	if present&stateSSE != 0 {
		copy(x.xmm[:256], b[fpXMM:fpXMMEnd])
	} else {
		clear(x.xmm[:256])
	}
	binary.LittleEndian.PutUint32(x.xmm[256:], mxcsr)
}

func allZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}
