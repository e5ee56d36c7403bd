package task

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"gosv/kernel/cpu"
)

// iret does an IRETQ of ring 3 to ring 3, with which runtimes restore all of a
// thread's registers (.NET does after an exception). QEMU's emulation before 9.1
// reads the stack for it as the supervisor, which SMAP forbids: the fault comes
// from ring 3 and yet is not a user's, as no other can be. It reports whether
// that was the instruction.
func (t *Thread) iret() bool {
	r := &t.Ctx.Regs
	var insn [2]byte
	if t.MM.CopyIn(insn[:], r.IP) != nil || insn != [2]byte{0x48, 0xcf} {
		return false
	}
	var stack [5 * 8]byte // IP CS flags SP SS
	if t.MM.CopyIn(stack[:], r.SP) != nil {
		return false
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(stack[8*i:]) }
	if uint16(word(1)) != cpu.UserCS || uint16(word(4)) != cpu.UserSS || word(0) >= cpu.UserTop {
		t.sig.trap = trapState{No: cpu.VecGP}
		t.forceKernel(int(unix.SIGSEGV))
		return true
	}
	r.IP, r.SP = word(0), word(3)
	r.Flags = r.Flags&^cpu.FlagsUser | word(2)&cpu.FlagsUser
	return true
}
