package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]int{"a\x1d\x1d\x1d": 1, "\x1d\x1da\x1d": 0, "\x1d\x1d": 0, "\x1d.\x1d\x1d\x1d": 1, "\x1dw\x1d\x1d": 0} {
		now := time.Now()
		escapes := 0
		e := &escapeReader{r: strings.NewReader(in), escaped: func() { escapes++ }, now: func() time.Time { return now }}
		if got, err := io.ReadAll(e); err != nil || string(got) != in || escapes != want {
			t.Errorf("%q: passed %q on, %d escapes, want %d", in, got, escapes, want)
		}
	}
	now, escapes := time.Now(), 0
	e := &escapeReader{escaped: func() { escapes++ }, now: func() time.Time { return now }}
	for range 5 {
		e.r = strings.NewReader("\x1d")
		io.ReadAll(e) //nolint:errcheck // a strings.Reader does not fail
		now = now.Add(2 * escapeWithin)
	}
	if escapes != 0 {
		t.Error("slow key presses were taken for the escape")
	}
}

func TestShellQuote(t *testing.T) {
	if got, want := shellQuote([]string{"a", "", "a b", "it's", "$x", "-m=1,b.c:/d"}), `a '' 'a b' 'it'\''s' '$x' -m=1,b.c:/d`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestExpandShortV(t *testing.T) {
	for in, want := range map[string]string{
		"run -v a:/b ls -v":         "run -v a:/b ls -v",
		"run -v ls":                 "run --verbose ls",
		"run -v -m 64M -v x:/y ls":  "run --verbose -m 64M -v x:/y ls",
		"run -m -v ls":              "run -m -v ls",
		"run --strace -v ls":        "run --strace --verbose ls",
		"run -e -v ls -v":           "run -e -v ls -v",
		"run -qv":                   "run -qv",
		"build -o x -v prog -v":     "build -o x --verbose prog -v",
		"run -v":                    "run --verbose",
		"run -- -v":                 "run -- -v",
		"image ls -l x":             "image ls -l x",
		"version":                   "version",
		"run --env=A=b -v ls a:/b":  "run --env=A=b --verbose ls a:/b",
		"run --timeout 5 -v cat -v": "run --timeout 5 --verbose cat -v",
	} {
		if got := strings.Join(expandShortV(newRoot(), strings.Fields(in)), " "); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
