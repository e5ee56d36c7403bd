package seccomp

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

func program(ins ...insn) (b []byte) {
	for _, i := range ins {
		b = binary.LittleEndian.AppendUint16(b, i.code)
		b = append(b, i.jt, i.jf)
		b = binary.LittleEndian.AppendUint32(b, i.k)
	}
	return b
}

func TestCheck(t *testing.T) {
	// getpid is EPERM, write to descriptor 2 kills, everything else goes.
	first, err := (*State)(nil).Add(program(
		insn{ldAbs, 0, 0, 0},
		insn{unix.BPF_JMP | unix.BPF_JEQ, 0, 1, 39},
		insn{retK, 0, 0, Errno | 1},
		insn{unix.BPF_JMP | unix.BPF_JEQ, 0, 3, 1},
		insn{ldAbs, 0, 0, 16},
		insn{unix.BPF_JMP | unix.BPF_JEQ, 0, 1, 2},
		insn{retK, 0, 0, KillProcess},
		insn{retK, 0, 0, Allow},
	))
	if err != nil {
		t.Fatal(err)
	}
	second, err := first.Add(program(insn{ldAbs, 0, 0, 20}, insn{unix.BPF_ALU | unix.BPF_OR, 0, 0, Errno}, insn{retA, 0, 0, 0}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		s      *State
		d      Data
		action uint32
		data   uint16
	}{
		{first, Data{Nr: 39}, Errno, 1},
		{first, Data{Nr: 1, Args: [6]uint64{1}}, Allow, 0},
		{first, Data{Nr: 1, Args: [6]uint64{2}}, KillProcess, 0},
		{second, Data{Nr: 0, Args: [6]uint64{7 << 32}}, Errno, 7},
		{second, Data{Nr: 1, Args: [6]uint64{2}}, KillProcess, 0},
	} {
		if a, d := c.s.Check(&c.d); a != c.action || d != c.data {
			t.Errorf("%+v: %#x, %d", c.d, a, d)
		}
	}
	if !second.Within(first) || first.Within(second) || !first.Within(nil) {
		t.Error("Within")
	}
}

func TestBad(t *testing.T) {
	for name, p := range map[string][]byte{
		"empty":          nil,
		"no return":      program(insn{ldImm, 0, 0, 0}),
		"beyond data":    program(insn{ldAbs, 0, 0, 64}, insn{retK, 0, 0, 0}),
		"misaligned":     program(insn{ldAbs, 0, 0, 2}, insn{retK, 0, 0, 0}),
		"jump too far":   program(insn{unix.BPF_JMP | unix.BPF_JEQ, 1, 0, 0}, insn{retK, 0, 0, 0}),
		"ja too far":     program(insn{unix.BPF_JMP | unix.BPF_JA, 0, 0, 1 << 31}, insn{retK, 0, 0, 0}),
		"divide by zero": program(insn{unix.BPF_ALU | unix.BPF_DIV, 0, 0, 0}, insn{retK, 0, 0, 0}),
		"memory":         program(insn{st, 0, 0, 16}, insn{retK, 0, 0, 0}),
		"packet load":    program(insn{unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, 0, 0, 0}, insn{retK, 0, 0, 0}),
		"odd length":     append(program(insn{retK, 0, 0, 0}), 0),
	} {
		if _, err := (*State)(nil).Add(p); err != unix.EINVAL {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzFilter runs any program that is accepted: it ends, and touches nothing
// beyond its data.
func FuzzFilter(f *testing.F) {
	f.Add(program(insn{ldAbs, 0, 0, 0}, insn{unix.BPF_ALU | unix.BPF_DIV | unix.BPF_X, 0, 0, 0}, insn{retA, 0, 0, 0}))
	f.Add(program(insn{st, 0, 0, 15}, insn{ldxMem, 0, 0, 15}, insn{unix.BPF_JMP | unix.BPF_JSET | unix.BPF_X, 1, 0, 0}, insn{retK, 0, 0, 1}, insn{retA, 0, 0, 0}))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := (*State)(nil).Add(b)
		if err != nil {
			return
		}
		d := Data{Nr: 3, Arch: Arch, IP: 0x1234567890, Args: [6]uint64{1, 2, 3 << 32, 4, 5, 1<<64 - 1}}
		first, data := s.Check(&d)
		if again, more := s.Check(&d); again != first || more != data {
			t.Fatal("the result changes")
		}
	})
}
