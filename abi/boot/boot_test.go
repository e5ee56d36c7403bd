package boot

import (
	"reflect"
	"testing"
)

func TestFormatParse(t *testing.T) {
	for _, c := range []Config{
		{},
		{Args: []string{"/bin/sh", "-c", "echo \"a b\"\n\\", ""}, Env: []string{"A=b c", "B="}, Workdir: "/tmp dir"},
		{Args: []string{"--", "strace"}, Strace: true, BootChart: true, Announce: true, Verbose: true, ReadOnly: true, Hostname: "h", User: "1:2", Wall: 5, Argv0: "x", Batch: "/b"},
		{Options: []string{"ip=dhcp", "new"}},
	} {
		got, err := Parse(c.Format())
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%q: got %+v, %v; want %+v", c.Format(), got, err, c)
		}
	}
	if _, err := Parse(`a "b`); err != ErrQuote {
		t.Errorf("unterminated quote: %v", err)
	}
}

func TestReport(t *testing.T) {
	r, ok := ParseReport(FormatReport(139, "signal", "SIGSEGV", "error", "a \"b\"") + "\r\n")
	if !ok || r.Status != 139 || r.Fields["signal"] != "SIGSEGV" || r.Fields["error"] != `a "b"` {
		t.Errorf("got %+v %v", r, ok)
	}
	for _, bad := range []string{"", "gosv: end", "gosv: end x=1", "gosv: end status=-1", "gosv: end status=256", "hello"} {
		if _, ok := ParseReport(bad); ok {
			t.Errorf("%q was taken for a report", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`verbose env="A=b c" -- /bin/sh -c "echo \"x\""`)
	f.Fuzz(func(t *testing.T, line string) {
		c, err := Parse(line)
		if err != nil {
			return
		}
		again, err := Parse(c.Format())
		if err != nil || again.Format() != c.Format() {
			t.Fatalf("%q: %q then %q, %v", line, c.Format(), again.Format(), err)
		}
	})
}
