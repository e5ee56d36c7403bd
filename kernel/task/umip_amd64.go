package task

import (
	"encoding/binary"

	"gosv/kernel/cpu"
)

// What the instructions store that UMIP forbids to ring 3 (arch/x86/kernel/umip.c):
// values of no machine, which hide where the kernel's tables are.
const (
	umipGDT = 0xfffffffffffe0000
	umipIDT = 0xffffffffffff0000
	umipCR0 = 0x80050033 // PE MP ET NE WP AM PG
	umipTSS = 0x40
	umipLDT = 0
)

// umip does a SGDT, SIDT, SMSW, SLDT or STR that a program has tried, as Linux does;
// Wine and other old code use them. It reports whether that was the instruction.
func (t *Thread) umip() bool {
	r := &t.Ctx.Regs
	var code [15]byte
	n := 0
	for n < len(code) && t.MM.CopyIn(code[n:n+1], r.IP+uint64(n)) == nil { // may end at the end of an area
		n++
	}
	in, ok := decodeStore(code[:n])
	if !ok {
		return false
	}
	var out [10]byte
	le := binary.LittleEndian
	size := 2
	switch in.what {
	case storeGDT, storeIDT:
		if in.register {
			return false // other instructions
		}
		base := uint64(umipGDT)
		if in.what == storeIDT {
			base = umipIDT
		}
		le.PutUint64(out[2:], base) // the limit is 0
		size = 10
	default:
		value := uint64(umipCR0)
		if in.what == storeTask {
			value = umipTSS
		} else if in.what == storeLDT {
			value = umipLDT
		}
		le.PutUint64(out[:], value)
		if in.register {
			size = in.operand
		}
	}
	if in.register {
		p := t.register(in.rm)
		var v [8]byte
		le.PutUint64(v[:], *p)
		copy(v[:size], out[:])
		*p = le.Uint64(v[:])
	} else {
		addr := t.address(&in)
		if addr > cpu.UserTop-uint64(size) || t.MM.CopyOut(addr, out[:size]) != nil {
			t.badWrite(addr)
			return true
		}
	}
	r.IP += uint64(in.length)
	return true
}

// Instructions that umip knows.
const (
	storeLDT = iota
	storeTask
	storeGDT
	storeIDT
	storeCR0
)

// none is no base or index register, instructionPointer is RIP as a base.
const (
	none               = -1
	instructionPointer = -2
)

// A storeInsn is a decoded instruction (Intel SDM volume 2, chapter 2).
type storeInsn struct {
	what     int
	length   int
	operand  int  // bytes of the operand
	register bool // the operand is register rm
	rm       int

	base, index int
	scale       uint
	disp        int64
	short       bool // an address of 32 bits
	segment     byte // the prefix of FS or GS, 0 without
}

// decodeStore decodes 0F 00 /0 /1 and 0F 01 /0 /1 /4.
func decodeStore(b []byte) (in storeInsn, ok bool) {
	i := 0
	next := func() byte {
		if i >= len(b) {
			ok = false
			return 0
		}
		i++
		return b[i-1]
	}
	ok = true
	in.operand = 4
	c := next()
	for ; ; c = next() {
		switch c {
		case 0x66:
			in.operand = 2
			continue
		case 0x67:
			in.short = true
			continue
		case 0x64, 0x65:
			in.segment = c
			continue
		case 0x26, 0x2e, 0x36, 0x3e, 0xf2, 0xf3: // no meaning here
			continue
		}
		break
	}
	rex := byte(0)
	if c&0xf0 == 0x40 {
		rex = c
		c = next()
	}
	if rex&8 != 0 {
		in.operand = 8
	}
	if c != 0x0f {
		return in, false
	}
	group, modrm := next(), next()
	mod, reg, rm := modrm>>6, modrm>>3&7, modrm&7
	switch {
	case group == 0 && reg < 2:
		in.what = storeLDT + int(reg)
	case group == 1 && reg < 2:
		in.what = storeGDT + int(reg)
	case group == 1 && reg == 4:
		in.what = storeCR0
	default:
		return in, false
	}
	in.base, in.index = int(rm|rex&1<<3), none
	if mod == 3 {
		in.register, in.rm, in.length = true, in.base, i
		return in, ok
	}
	wide := mod == 2
	if rm == 4 {
		sib := next()
		in.scale = uint(sib >> 6)
		if x := sib>>3&7 | rex&2<<2; x != 4 {
			in.index = int(x)
		}
		in.base = int(sib&7 | rex&1<<3)
		if sib&7 == 5 && mod == 0 {
			in.base, wide = none, true
		}
	} else if rm == 5 && mod == 0 {
		in.base, wide = instructionPointer, true
	}
	switch {
	case wide:
		var d uint32
		for s := 0; s < 32; s += 8 {
			d |= uint32(next()) << s
		}
		in.disp = int64(int32(d))
	case mod == 1:
		in.disp = int64(int8(next()))
	}
	in.length = i
	return in, ok
}

// address is where the memory operand of in is.
func (t *Thread) address(in *storeInsn) uint64 {
	a := uint64(in.disp)
	switch {
	case in.base == instructionPointer:
		a += t.Ctx.Regs.IP + uint64(in.length)
	case in.base >= 0:
		a += *t.register(in.base)
	}
	if in.index >= 0 {
		a += *t.register(in.index) << in.scale
	}
	if in.short {
		a = uint64(uint32(a))
	}
	switch in.segment {
	case 0x64:
		a += t.Ctx.FSBase
	case 0x65:
		a += t.Ctx.GSBase
	}
	return a
}

// register is the general register that instructions call i.
func (t *Thread) register(i int) *uint64 {
	r := &t.Ctx.Regs
	return [...]*uint64{&r.AX, &r.CX, &r.DX, &r.BX, &r.SP, &r.BP, &r.SI, &r.DI,
		&r.R8, &r.R9, &r.R10, &r.R11, &r.R12, &r.R13, &r.R14, &r.R15}[i&15]
}
