package task

// mnemonic names the x86-64 instruction in b, when it is one of those at which
// programs die; else its first bytes say enough. It is for crash reports only.
func mnemonic(b []byte) string {
	i := 0
	for i < len(b) && prefix(b[i]) {
		i++
	}
	if i >= len(b) {
		return "?"
	}
	reg := func() byte {
		if i+1 < len(b) {
			return b[i+1] >> 3 & 7
		}
		return 0
	}
	switch c := b[i]; {
	case c < 0x40 && c&7 < 6:
		return arith[c>>3]
	case c >= 0x50 && c < 0x58, c == 0x68, c == 0x6a:
		return "push"
	case c >= 0x58 && c < 0x60, c == 0x8f:
		return "pop"
	case c == 0x63:
		return "movslq"
	case c == 0x69, c == 0x6b:
		return "imul"
	case c >= 0x70 && c < 0x80:
		return "jcc"
	case c >= 0x80 && c < 0x84:
		return arith[reg()]
	case c == 0x84, c == 0x85, c == 0xa8, c == 0xa9:
		return "test"
	case c == 0x86, c == 0x87:
		return "xchg"
	case c >= 0x88 && c < 0x8c, c >= 0xa0 && c < 0xa4, c >= 0xb0 && c < 0xc0, c == 0xc6, c == 0xc7:
		return "mov"
	case c == 0x8d:
		return "lea"
	case c == 0xa4, c == 0xa5:
		return "movs"
	case c == 0xa6, c == 0xa7:
		return "cmps"
	case c == 0xaa, c == 0xab:
		return "stos"
	case c == 0xac, c == 0xad:
		return "lods"
	case c == 0xae, c == 0xaf:
		return "scas"
	case c == 0xc0, c == 0xc1, c >= 0xd0 && c < 0xd4:
		return [...]string{"rol", "ror", "rcl", "rcr", "shl", "shr", "shl", "sar"}[reg()]
	case c == 0xc2, c == 0xc3:
		return "ret"
	case c == 0xc9:
		return "leave"
	case c == 0xcc:
		return "int3"
	case c == 0xcd:
		return "int"
	case c == 0xe8:
		return "call"
	case c == 0xe9, c == 0xeb:
		return "jmp"
	case c >= 0xe4 && c < 0xe8, c >= 0xec && c < 0xf0:
		return [...]string{"in", "out"}[c>>1&1]
	case c == 0xf4:
		return "hlt"
	case c == 0xfa:
		return "cli"
	case c == 0xfb:
		return "sti"
	case c == 0xf6, c == 0xf7:
		return [...]string{"test", "test", "not", "neg", "mul", "imul", "div", "idiv"}[reg()]
	case c == 0xfe, c == 0xff:
		return [...]string{"inc", "dec", "call", "call", "jmp", "jmp", "push", "?"}[reg()]
	case c == 0xc4, c == 0xc5, c == 0x62:
		return "avx"
	case c >= 0xd8 && c < 0xe0:
		return "x87"
	case c == 0x0f && i+1 < len(b):
		switch d := b[i+1]; {
		case d == 0x0b:
			return "ud2"
		case d == 0x05:
			return "syscall"
		case d == 0x10, d == 0x11, d == 0x28, d == 0x29, d == 0x6e, d == 0x6f, d == 0x7e, d == 0x7f, d == 0xd6, d == 0x12, d == 0x13, d == 0x16, d == 0x17:
			return "sse mov"
		case d == 0xb6, d == 0xb7:
			return "movzx"
		case d == 0xbe, d == 0xbf:
			return "movsx"
		case d == 0xb0, d == 0xb1:
			return "cmpxchg"
		case d == 0xc0, d == 0xc1:
			return "xadd"
		case d == 0xaf:
			return "imul"
		case d >= 0x40 && d < 0x50:
			return "cmov"
		case d == 0x18:
			return "prefetch"
		case d == 0x30:
			return "wrmsr"
		case d == 0x32:
			return "rdmsr"
		case d == 0x20 || d == 0x22:
			return "mov cr"
		case d >= 0x50 && d < 0x80 || d >= 0xd0:
			return "sse"
		}
	}
	return "0x" + string([]byte{hexDigits[b[i]>>4], hexDigits[b[i]&15]})
}

var arith = [...]string{"add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"}

// prefix reports a legacy or REX prefix.
func prefix(c byte) bool {
	switch c {
	case 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65:
		return true
	}
	return c&0xf0 == 0x40
}
