package boot

import "testing"

func TestRequest(t *testing.T) {
	for _, c := range []struct {
		line string
		want Request
		ok   bool
	}{
		{"signal TERM", Request{Verb: RequestSignal, Signal: 15}, true},
		{"signal INT group", Request{Verb: RequestSignal, Signal: 2, Group: true}, true},
		{"signal 40", Request{Verb: RequestSignal, Signal: 40}, true},
		{"resize 80x24", Request{Verb: RequestResize, Cols: 80, Rows: 24}, true},
		{"poweroff", Request{Verb: RequestPowerOff}, true},
		{"poweroff now", Request{}, false},
		{"signal", Request{}, false},
		{"signal 65", Request{}, false},
		{"signal 0", Request{}, false},
		{"signal NONE", Request{}, false},
		{"signal TERM groups", Request{}, false},
		{"resize 80", Request{}, false},
		{"resize 80x65536", Request{}, false},
		{"resize -1x1", Request{}, false},
		{"", Request{}, false},
		{"reboot", Request{}, false},
	} {
		got, ok := ParseRequest(c.line)
		if ok != c.ok || ok && (got != c.want || got.Format() != c.line) {
			t.Errorf("%q: %+v %v, back %q; want %+v %v", c.line, got, ok, got.Format(), c.want, c.ok)
		}
	}
	for s, want := range map[string]int{"SIGTERM": 15, "term": 15, "9": 9, "64": 64, "": 0, "SIG": 0, "-1": 0, "256": 0} {
		if got := ParseSignal(s); got != want {
			t.Errorf("ParseSignal(%q) = %d, want %d", s, got, want)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add("signal INT group")
	f.Add("resize 80x24")
	f.Fuzz(func(t *testing.T, line string) {
		if r, ok := ParseRequest(line); ok {
			if again, ok := ParseRequest(r.Format()); !ok || again != r {
				t.Fatalf("%q: %+v, again %+v %v", line, r, again, ok)
			}
		}
	})
}
