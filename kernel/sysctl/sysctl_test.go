package sysctl

import (
	"math"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNumbers(t *testing.T) {
	var i Int32 = 5
	var u Uint32
	var l Uint64
	var flag Flag
	var pair [2]int32
	one := &Row{Name: "a.int", Value: &Int{Var: &i, Min: -3, Max: 100}}
	two := &Row{Name: "a.pair", Value: &Int{N: 2, Get: func(i int) int32 { return pair[i] }, Set: func(i int, v int32) error { pair[i] = v; return nil }}}
	unsigned := &Row{Name: "a.uint", Value: &Uint{Var: &u}}
	long := &Row{Name: "a.long", Value: &Ulong{Var: &l, Max: math.MaxInt64}}
	on := &Row{Name: "a.bool", Value: &Bool{Var: &flag}}
	const whole = -1
	for _, x := range []struct {
		r    *Row
		text string
		n    int // taken; whole is all
		err  error
		read string
	}{
		{one, "7\n", whole, nil, "7\n"},
		{one, " \t\v8  ", whole, nil, "8\n"},
		{one, "0x10", whole, nil, "16\n"},
		{one, "010", whole, nil, "8\n"},
		{one, "-3", whole, nil, "-3\n"},
		{one, "-4", 0, unix.EINVAL, "-3\n"},
		{one, "101", 0, unix.EINVAL, "-3\n"},
		{one, "", 0, nil, "-3\n"},
		{one, "\n", 0, unix.EINVAL, "-3\n"},
		{one, "5x", 0, unix.EINVAL, "-3\n"},
		{one, "+5", 0, unix.EINVAL, "-3\n"},
		{one, "- 5", 0, unix.EINVAL, "-3\n"},
		{one, "-", 0, unix.EINVAL, "-3\n"},
		{one, "0x", 0, unix.EINVAL, "-3\n"},
		{one, "1\x00", 0, unix.EINVAL, "-3\n"},
		{one, "5 6\n", 2, nil, "5\n"},
		{one, "99999999999999999999999", 0, unix.EINVAL, "5\n"},
		{one, "00000000000000000000006", 0, unix.EINVAL, "5\n"},
		{one, "4294967297", 0, unix.EINVAL, "5\n"},
		{two, "1 2\n", whole, nil, "1\t2\n"},
		{two, "3\n", whole, nil, "3\t2\n"},
		{two, "4 x\n", 0, unix.EINVAL, "4\t2\n"},
		{two, "5\t6 7\n", 4, nil, "5\t6\n"},
		{two, "2147483648", 0, unix.EINVAL, "5\t6\n"},
		{two, "-2147483648", whole, nil, "-2147483648\t6\n"},
		{unsigned, "4294967295", whole, nil, "4294967295\n"},
		{unsigned, "4294967296", 0, unix.EINVAL, "4294967295\n"},
		{unsigned, "-1", 0, unix.EINVAL, "4294967295\n"},
		{unsigned, "1 2", whole, nil, "1\n"},
		{unsigned, "", 0, nil, "1\n"},
		{long, "9223372036854775807", whole, nil, "9223372036854775807\n"},
		{long, "9223372036854775808", 0, unix.EINVAL, "9223372036854775807\n"},
		{long, "-1", 0, unix.EINVAL, "9223372036854775807\n"},
		{on, "5", whole, nil, "1\n"},
		{on, "0", whole, nil, "0\n"},
	} {
		n, err := x.r.Write([]byte(x.text), 0)
		want := x.n
		if want == whole {
			want = len(x.text)
		}
		if n != want || err != x.err {
			t.Errorf("%s: write %q: %d, %v; want %d, %v", x.r.Name, x.text, n, err, want, x.err)
		}
		if got := string(x.r.Read(0)); got != x.read {
			t.Errorf("%s: after %q: %q, want %q", x.r.Name, x.text, got, x.read)
		}
	}
	if n, err := one.Write([]byte("77"), 1); n != 2 || err != nil || i.Load() != 5 {
		t.Errorf("write at 1: %d, %v, value %d", n, err, i.Load())
	}
	if b := one.Read(1); len(b) != 0 {
		t.Errorf("read at 1: %q", b)
	}
}

func TestText(t *testing.T) {
	s := "first"
	r := &Row{Name: "kernel.name", Value: &String{Max: 8, Get: func() string { return s }, Set: func(v string) error { s = v; return nil }}}
	for _, x := range []struct {
		text string
		pos  int64
		want string
	}{{"new\n", 0, "new\n"}, {"a\x00b", 0, "a\n"}, {"bcd", 1, "abcd\n"}, {"x", 9, "abcd\n"}, {"0123456789", 0, "01234567\n"}} {
		if n, err := r.Write([]byte(x.text), x.pos); n != len(x.text) || err != nil {
			t.Errorf("write %q at %d: %d, %v", x.text, x.pos, n, err)
		}
		if got := string(r.Read(0)); got != x.want {
			t.Errorf("after %q at %d: %q, want %q", x.text, x.pos, got, x.want)
		}
	}
	if got := string(r.Read(6)); got != "67\n" {
		t.Errorf("read at 6: %q", got)
	}
}

func TestRows(t *testing.T) {
	r := &Row{Name: "net.ipv4.conf.eth0/5.mtu", Value: Fixed("1500")}
	if p := r.Path(); p != "net/ipv4/conf/eth0.5/mtu" {
		t.Error(p)
	}
	if r.Permissions() != 0o444 || r.Writable() {
		t.Errorf("%o", r.Permissions())
	}
	var v Int32
	if w := (&Row{Value: &Int{Var: &v}}); w.Permissions() != 0o644 {
		t.Errorf("%o", w.Permissions())
	}
}

// FuzzWrite looks for a text that makes the reader of numbers go wrong.
func FuzzWrite(f *testing.F) {
	for _, s := range []string{"1", " 0x1f 7", "-", "0", "0x", "99999999999999999999"} {
		f.Add([]byte(s), int64(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, pos int64) {
		var v [3]uint64
		r := &Row{Value: &Ulong{N: 3, Get: func(i int) uint64 { return v[i] }, Set: func(i int, n uint64) error { v[i] = n; return nil }}}
		if n, err := r.Write(b, pos); n < 0 || n > len(b) || err != nil && n != 0 {
			t.Fatalf("%q: %d, %v", b, n, err)
		}
	})
}
