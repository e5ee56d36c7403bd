package pcln

import (
	"debug/elf"
	"debug/gosym"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// build links the test program as the kernel is linked.
func build(t testing.TB) (file string, l *Linked, at map[string]uint64) {
	file = filepath.Join(t.TempDir(), "program")
	c := exec.Command("go", "build", "-trimpath", "-buildmode=exe", "-ldflags=-s -w", "-o", file, "./testdata/program")
	c.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at = map[string]uint64{}
	data := func(name string) []byte {
		s := f.Section(name)
		if s == nil {
			t.Fatalf("no section %s", name)
		}
		b, err := s.Data()
		if err != nil {
			t.Fatal(err)
		}
		at[name] = s.Offset
		return b
	}
	l = &Linked{Tables: data(".gopclntab"), Module: data(".go.module"), Typelink: data(".typelink"), Itablink: data(".itablink"),
		Addr: f.Section(".gopclntab").Addr, TypelinkAddr: f.Section(".typelink").Addr, ItablinkAddr: f.Section(".itablink").Addr}
	return file, l, at
}

func TestShrink(t *testing.T) {
	file, l, at := build(t)
	sections, module, err := Shrink(l)
	if err != nil {
		t.Fatal(err)
	}
	if len(sections)*2 > len(l.Tables) {
		t.Errorf("%d bytes became %d", len(l.Tables), len(sections))
	}
	again, _, err := Shrink(l)
	if err != nil || string(again) != string(sections) {
		t.Error("the second time the result is another", err)
	}

	// Another reader of the format finds the same functions at the same places.
	table := func(b []byte) *gosym.Table {
		tab, err := gosym.NewTable(nil, gosym.NewLineTable(b, word(l.Module, mText)))
		if err != nil {
			t.Fatal(err)
		}
		return tab
	}
	old, new := table(l.Tables), table(sections)
	if len(old.Funcs) == 0 || len(old.Funcs) != len(new.Funcs) {
		t.Fatalf("%d functions became %d", len(old.Funcs), len(new.Funcs))
	}
	for i := range old.Funcs {
		a, b := old.Funcs[i], new.Funcs[i]
		if a.Entry != b.Entry || a.End != b.End || shortName(a.Name) != b.Name {
			t.Errorf("%s at %#x became %s at %#x", a.Name, a.Entry, b.Name, b.Entry)
		}
	}

	// The program runs with them.
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the program is for Linux on x86-64")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := run(file)
	tables := b[at[".gopclntab"]:][:l.ItablinkAddr-l.Addr+uint64(len(l.Itablink))]
	clear(tables)
	copy(tables, sections)
	copy(b[at[".go.module"]:], module)
	if err := os.WriteFile(file+".shrunk", b, 0o755); err != nil {
		t.Fatal(err)
	}
	got := run(file + ".shrunk")
	for _, s := range []string{"index out of range [1] with length 0", "nil pointer dereference", "\nown\n",
		"main.name[...] ?:0 true", "main.caller main.main runtime.main", "\ntrue\ntrue\npanic: the end", "\ngoroutine 1 [running]:\nmain.main()\n\t?:0 +0x"} {
		if !strings.Contains(got, s) {
			t.Errorf("no %q", s)
		}
	}
	if t.Failed() {
		t.Logf("before:\n%s\nafter:\n%s", want, got)
	}
}

func run(file string) string {
	c := exec.Command(file)
	c.Env = append(os.Environ(), "GOGC=5", "GODEBUG=gcstoptheworld=0")
	out, _ := c.CombinedOutput() // it ends with a panic
	return string(out)
}

// Every byte of the tables that is changed is noticed, or is one that says nothing: an error, never a panic.
func TestCompare(t *testing.T) {
	_, l, _ := build(t)
	old, err := parse(l)
	if err != nil {
		t.Fatal(err)
	}
	sections, module, err := Shrink(l)
	if err != nil {
		t.Fatal(err)
	}
	at := func(field int) int { return int(word(module, field) - l.Addr) }
	for part, bounds := range map[string][3]int{ // start, end, percentage that must be noticed
		"names": {at(mNames), at(mCutab), 95}, "tables": {at(mPctab) + 3, at(mFunctions), 95},
		"functions": {at(mFunctions), at(mGofunc), 55}, "data": {at(mGofunc), at(mFindfunc), 40}, "index": {at(mFindfunc), at(mFindfunc) + len(old.findfunc), 100},
	} {
		noticed, n := 0, 0
		step := max((bounds[1]-bounds[0])/120, 1)
		for i := bounds[0]; i < bounds[1]; i += step {
			sections[i] ^= 0x41
			n++
			new, err := parse(&Linked{Tables: sections, Addr: l.Addr, Module: module, Typelink: l.Typelink, Itablink: l.Itablink,
				TypelinkAddr: word(module, mTypelinks), ItablinkAddr: word(module, mItablinks)})
			if err == nil {
				err = compare(old, new)
			}
			if err != nil {
				noticed++
			}
			sections[i] ^= 0x41
		}
		t.Logf("%s: %d of %d changes noticed", part, noticed, n)
		if noticed*100 < n*bounds[2] {
			t.Errorf("%s: only %d of %d changes noticed", part, noticed, n)
		}
	}
}

func TestUnknown(t *testing.T) {
	_, l, _ := build(t)
	for name, change := range map[string]func(l *Linked){
		"magic":     func(l *Linked) { l.Tables[0] ^= 1 },
		"padding":   func(l *Linked) { l.Tables[5] = 1 },
		"pointers":  func(l *Linked) { l.Tables[7] = 4 },
		"module":    func(l *Linked) { l.Module = l.Module[:moduleSize-8] },
		"fields":    func(l *Linked) { setWord(l.Module, mPctab, word(l.Module, mPctab)+8) },
		"header":    func(l *Linked) { setWord(l.Tables, 7, word(l.Tables, 7)+8) },
		"more":      func(l *Linked) { setWord(l.Module, mNext, 1) },
		"typelinks": func(l *Linked) { l.Typelink = l.Typelink[4:] },
		"functions": func(l *Linked) { setWord(l.Tables, 1, word(l.Tables, 1)-1) },
	} {
		c := *l
		c.Tables, c.Module = append([]byte(nil), l.Tables...), append([]byte(nil), l.Module...)
		change(&c)
		if _, _, err := Shrink(&c); err == nil || !strings.Contains(err.Error(), "needs a look at mkkernel") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
