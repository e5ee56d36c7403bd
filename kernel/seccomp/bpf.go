package seccomp

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// MaxInsns is how long a program may be (BPF_MAXINSNS).
const MaxInsns = 4096

// InsnSize is the size of struct sock_filter.
const InsnSize = 8

// dataSize is the size of struct seccomp_data.
const dataSize = 64

// insn is struct sock_filter.
type insn struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

// memWords is how many words of scratch memory a program has (BPF_MEMWORDS).
const memWords = 16

// The instructions that seccomp allows (kernel/seccomp.c, seccomp_check_filter).
const (
	ldAbs  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	ldLen  = unix.BPF_LD | unix.BPF_W | unix.BPF_LEN
	ldxLen = unix.BPF_LDX | unix.BPF_W | unix.BPF_LEN
	ldImm  = unix.BPF_LD | unix.BPF_IMM
	ldxImm = unix.BPF_LDX | unix.BPF_IMM
	ldMem  = unix.BPF_LD | unix.BPF_MEM
	ldxMem = unix.BPF_LDX | unix.BPF_MEM
	st     = unix.BPF_ST
	stx    = unix.BPF_STX
	tax    = unix.BPF_MISC | unix.BPF_TAX
	txa    = unix.BPF_MISC | unix.BPF_TXA
	retK   = unix.BPF_RET | unix.BPF_K
	retA   = unix.BPF_RET | unix.BPF_A
)

// parse decodes and checks a program: EINVAL.
func parse(b []byte) ([]insn, error) {
	n := len(b) / InsnSize
	if n == 0 || n > MaxInsns || len(b)%InsnSize != 0 {
		return nil, unix.EINVAL
	}
	prog := make([]insn, n)
	for i := range prog {
		f := b[i*InsnSize:]
		prog[i] = insn{binary.LittleEndian.Uint16(f), f[2], f[3], binary.LittleEndian.Uint32(f[4:])}
		if !prog[i].valid(n - i - 1) {
			return nil, unix.EINVAL
		}
	}
	if last := prog[n-1].code; last != retK && last != retA {
		return nil, unix.EINVAL
	}
	return prog, nil
}

// valid reports whether an instruction that rest others follow may stand there.
func (i insn) valid(rest int) bool {
	switch i.code {
	case ldAbs:
		return i.k < dataSize && i.k%4 == 0
	case ldLen, ldxLen, ldImm, ldxImm, tax, txa, retK, retA:
		return true
	case ldMem, ldxMem, st, stx:
		return i.k < memWords
	}
	op := i.code & 0xf0
	switch i.code & 7 {
	case unix.BPF_ALU:
		if i.code&^(0xf0|unix.BPF_X) != unix.BPF_ALU {
			return false
		}
		immediate := i.code&unix.BPF_X == 0
		switch op {
		case unix.BPF_ADD, unix.BPF_SUB, unix.BPF_MUL, unix.BPF_OR, unix.BPF_AND, unix.BPF_XOR:
			return true
		case unix.BPF_NEG:
			return immediate
		case unix.BPF_DIV:
			return !immediate || i.k != 0
		case unix.BPF_LSH, unix.BPF_RSH:
			return !immediate || i.k < 32
		}
	case unix.BPF_JMP:
		if i.code == unix.BPF_JMP|unix.BPF_JA {
			return uint64(i.k) < uint64(rest)
		}
		if i.code&^(0xf0|unix.BPF_X) != unix.BPF_JMP {
			return false
		}
		switch op {
		case unix.BPF_JEQ, unix.BPF_JGT, unix.BPF_JGE, unix.BPF_JSET:
			return int(i.jt) < rest && int(i.jf) < rest
		}
	}
	return false
}

// run executes a program that parse has checked: jumps go forward only, so it
// ends.
func run(prog []insn, d *Data) uint32 {
	var a, x uint32
	var mem [memWords]uint32
	for pc := 0; pc < len(prog); pc++ {
		i := prog[pc]
		operand := i.k
		if i.code&unix.BPF_X != 0 {
			operand = x
		}
		switch i.code {
		case ldAbs:
			a = d.word(i.k)
		case ldLen:
			a = dataSize
		case ldxLen:
			x = dataSize
		case ldImm:
			a = i.k
		case ldxImm:
			x = i.k
		case ldMem:
			a = mem[i.k]
		case ldxMem:
			x = mem[i.k]
		case st:
			mem[i.k] = a
		case stx:
			mem[i.k] = x
		case tax:
			x = a
		case txa:
			a = x
		case retK:
			return i.k
		case retA:
			return a
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(i.k)
		default:
			if i.code&7 == unix.BPF_JMP {
				if jumps(i.code&0xf0, a, operand) {
					pc += int(i.jt)
				} else {
					pc += int(i.jf)
				}
				continue
			}
			if i.code&0xf0 == unix.BPF_DIV && operand == 0 {
				return 0 // as Linux: a division by X = 0 ends the program
			}
			a = calculate(i.code&0xf0, a, operand)
		}
	}
	return 0
}

func jumps(op uint16, a, operand uint32) bool {
	switch op {
	case unix.BPF_JEQ:
		return a == operand
	case unix.BPF_JGT:
		return a > operand
	case unix.BPF_JGE:
		return a >= operand
	}
	return a&operand != 0
}

func calculate(op uint16, a, operand uint32) uint32 {
	switch op {
	case unix.BPF_ADD:
		return a + operand
	case unix.BPF_SUB:
		return a - operand
	case unix.BPF_MUL:
		return a * operand
	case unix.BPF_DIV:
		return a / operand
	case unix.BPF_OR:
		return a | operand
	case unix.BPF_AND:
		return a & operand
	case unix.BPF_XOR:
		return a ^ operand
	case unix.BPF_LSH:
		return a << (operand & 31)
	case unix.BPF_RSH:
		return a >> (operand & 31)
	}
	return -a
}
