package loader

import (
	"bytes"
	"debug/elf"
	"os"
	"testing"
)

// The page is an ELF file that other people's readers understand.
func TestVDSO(t *testing.T) {
	page := buildVDSO()
	if name := os.Getenv("VDSO_OUT"); name != "" {
		os.WriteFile(name, page, 0o644)
	}
	f, err := elf.NewFile(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	if f.Type != elf.ET_DYN || len(f.Progs) != 2 {
		t.Fatalf("type %v, %d program headers", f.Type, len(f.Progs))
	}
	for i, n := range vdsoNames {
		code := vdsoFunction(i)
		if len(code) < 10 || len(code) > 300 {
			t.Errorf("%s has %d bytes of code", n, len(code))
		}
		if at := bytes.Index(page, code); at < 0 || at%16 != 0 {
			t.Errorf("%s is at %d", n, at)
		}
	}
	for _, s := range []string{"linux-vdso.so.1", "LINUX_2.6", "__vdso_clock_gettime", "__vdso_getcpu"} {
		if !bytes.Contains(page, append([]byte(s), 0)) {
			t.Errorf("no %q", s)
		}
	}
}

func TestELFHash(t *testing.T) {
	for s, want := range map[string]uint32{"": 0, "LINUX_2.6": 0x3ae75f6, "printf": 0x77905a6} {
		if got := elfHash(s); got != want {
			t.Errorf("elfHash(%q) = %#x, want %#x", s, got, want)
		}
	}
}
