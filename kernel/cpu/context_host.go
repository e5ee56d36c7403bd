//go:build !metal

package cpu

import "syscall"

// machine is what the host's Context has beside the registers. Nothing runs in
// ring 3: a test sets OnEnter and plays the program.
type machine struct {
	// OnEnter stands for ring 3: it changes Regs and sets Regs.Vec. Without it,
	// Enter reports VecKick.
	OnEnter func(x *Context, root uint64)

	fp [hostFPSize]byte
}

// hostFPSize is that of FXSAVE with an empty XSAVE header.
const hostFPSize = 512 + 64

// NewContext returns the state of a thread with a fresh FPU.
func NewContext() *Context {
	x := new(Context)
	x.Regs.Flags = flagInit
	x.Regs.CS, x.Regs.SS = UserCS, UserSS
	x.ResetFP()
	return x
}

// Copy makes x the same state as from, without the debug registers.
func (x *Context) Copy(from *Context) {
	*x = *from
	x.Debug = DebugRegs{}
}

// Enter runs ring 3 until something happens; Regs.Vec says what.
func (x *Context) Enter(root uint64) {
	if x.OnEnter == nil {
		x.Regs.Vec = VecKick
		return
	}
	x.OnEnter(x, root)
}

// Release writes the FPU state back to memory.
func (x *Context) Release() {}

// FPStateSize is the size in bytes of the FPU state in a signal frame.
func FPStateSize() int { return hostFPSize }

// SaveFP copies the FPU state to b.
func (x *Context) SaveFP(b []byte) { copy(b, x.fp[:]) }

// RestoreFP loads the FPU state from b; a malformed one is EINVAL.
func (x *Context) RestoreFP(b []byte) error {
	if len(b) < hostFPSize || b[26]|b[27] != 0 { // reserved bits of MXCSR
		return syscall.EINVAL
	}
	copy(x.fp[:], b)
	return nil
}

// RestoreFrameFP is RestoreFP for the image of a signal frame.
func (x *Context) RestoreFrameFP(b []byte, features uint64) error { return x.RestoreFP(b) }

// ResetFP gives the thread the state of a fresh FPU.
func (x *Context) ResetFP() {
	clear(x.fp[:])
	x.fp[0], x.fp[1] = 0x7f, 0x03   // FCW
	x.fp[24], x.fp[25] = 0x80, 0x1f // MXCSR
}
