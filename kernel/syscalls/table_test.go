package syscalls

import (
	"slices"
	"strings"
	"testing"
)

// Every row has a name of its own and numbers of its own, and says what is
// missing unless nothing is.
func TestRows(t *testing.T) {
	names, amd64, arm64 := map[string]bool{}, map[int]string{}, map[int]string{}
	for r := range Rows {
		if names[r.Name] {
			t.Errorf("%s has two rows", r.Name)
		}
		names[r.Name] = true
		for _, n := range []struct {
			n    int
			seen map[int]string
		}{{r.AMD64, amd64}, {r.ARM64, arm64}} {
			if n.n == NoNumber {
				continue
			}
			if n.n < 0 || n.n >= maxNumber {
				t.Errorf("%s: number %d", r.Name, n.n)
			}
			if o := n.seen[n.n]; o != "" {
				t.Errorf("%s and %s have number %d", r.Name, o, n.n)
			}
			n.seen[n.n] = r.Name
		}
		if r.AMD64 == NoNumber && r.ARM64 == NoNumber {
			t.Errorf("%s has no number", r.Name)
		}
		if (r.Level == Full) != (r.Note == "") {
			t.Errorf("%s: level %v, note %q", r.Name, r.Level, r.Note)
		}
		if r.Fn == nil && r.Level != None {
			t.Errorf("%s: level %v without a handler", r.Name, r.Level)
		}
	}
	if len(names) < 370 {
		t.Errorf("%d calls", len(names))
	}
}

// Every kind in a Format is one that strace knows.
func TestFormats(t *testing.T) {
	plain := strings.Fields("int uint hex oct ptr size fd sig path str buf out iovec argv clockid futexop futexts")
	plain = append(plain, strings.Fields("sockaddr sockaddr.out socklen.out socktype sockproto fds.out sol sockopt optval optval.out msghdr msghdr.out")...)
	for r := range Rows {
		f := parseFormat(r.Format)
		for i, kind := range append(f.kinds[:f.n:f.n], f.result) {
			if kind == "" && i == f.n {
				continue
			}
			if set, ok := strings.CutPrefix(kind, "flags."); ok {
				if findFlagSet(set) == nil {
					t.Errorf("%s: no set of flags %q", r.Name, set)
				}
				continue
			}
			base, _ := strings.CutSuffix(kind, ".out")
			if structSize(base) == 0 && !slices.Contains(plain, kind) {
				t.Errorf("%s: no kind %q", r.Name, kind)
			}
		}
	}
}

func TestQuote(t *testing.T) {
	for s, want := range map[string]string{
		"a\n\"\\": `"a\n\"\\"`,
		"\x7fELF": `"\177ELF"`,
		"\x001":   `"\0001"`,
		"\x01x":   `"\1x"`,
	} {
		if got := quote(s); got != want {
			t.Errorf("quote(%q) = %s, want %s", s, got, want)
		}
	}
}

func TestFlagText(t *testing.T) {
	for _, c := range []struct {
		set  string
		v    uint64
		want string
	}{
		{"open", 0o2000000 | 1, "O_WRONLY|O_CLOEXEC"},
		{"prot", 0, "PROT_NONE"},
		{"mmap", 0x22, "MAP_PRIVATE|MAP_ANONYMOUS"},
		{"mmap", 3, "MAP_SHARED_VALIDATE"},
		{"clone", 0x3d0f00 | 17, "CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM|CLONE_SETTLS|CLONE_PARENT_SETTID|CLONE_CHILD_CLEARTID|SIGCHLD"},
		{"clockid", 1, "CLOCK_MONOTONIC"},
		{"clockid", 77, "77"},
	} {
		if got := flagText(c.set, c.v); got != c.want {
			t.Errorf("flagText(%s, %#x) = %s, want %s", c.set, c.v, got, c.want)
		}
	}
}
