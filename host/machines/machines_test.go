package machines

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func newStore(t *testing.T) *Store {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	s, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func create(t *testing.T, s *Store, name string) *Machine {
	t.Helper()
	m, err := s.Create(name, Spec{Program: "/usr/bin/Some Program!", Created: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestStore(t *testing.T) {
	s := newStore(t)
	if list, err := s.List(); err != nil || len(list) != 0 {
		t.Errorf("an empty store: %v, %v", list, err)
	}
	web, web2, made := create(t, s, "web"), create(t, s, "web-2"), create(t, s, "")
	if !strings.HasPrefix(made.Name, "someprogram-") {
		t.Errorf("made the name %s", made.Name)
	}
	if _, err := s.Create("web", Spec{}); !errors.Is(err, ErrExists) {
		t.Errorf("a second web: %v", err)
	}
	for name, want := range map[string]*Machine{"web": web, "web-": web2, "some": made, "w": nil, "": nil, "x": nil} {
		got, err := s.Find(name)
		if want == nil && err == nil || want != nil && (err != nil || got.Name != want.Name) {
			t.Errorf("find %q: %v, %v", name, got, err)
		}
	}
	for range 2 {
		if err := web.Remove(); err != nil {
			t.Error(err)
		}
	}
	if list, err := s.List(); err != nil || len(list) != 2 || list[0].Name != "web-2" {
		t.Errorf("%v, %v", list, err)
	}
	if left, _ := os.ReadDir(s.Dir); len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
	for name, ok := range map[string]bool{"a": true, "A-b_c.9": true, "": false, ".a": false, "a/b": false, "-a": false, "ä": false, strings.Repeat("a", 64): false} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestLost recognises a supervisor that is gone: by its number, its start, and the host's.
func TestLost(t *testing.T) {
	m := create(t, newStore(t), "x")
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	start, ok := startOf(other.Process.Pid)
	alive := Process{other.Process.Pid, start, bootID()}
	check := func(p Process, want string) {
		t.Helper()
		if err := m.SetState(State{State: Running, Supervisor: p}); err != nil {
			t.Fatal(err)
		}
		if s, err := m.State(); err != nil || s.State != want {
			t.Errorf("%+v: %s, %v; want %s", p, s.State, err, want)
		}
	}
	if !ok {
		t.Fatal("no start time")
	}
	check(alive, Running)
	check(Self(), Running)
	check(Process{alive.PID, alive.Start + 1, alive.Boot}, Lost)
	check(Process{alive.PID, alive.Start, "another"}, Lost)
	if err := (Process{alive.PID, alive.Start + 1, alive.Boot}).Kill(); err != nil || !alive.Alive() {
		t.Errorf("another process was killed: %v", err)
	}
	if err := alive.Kill(); err != nil {
		t.Error(err)
	}
	for i := 0; alive.Alive() && i < 200; i++ { // it becomes a zombie
		time.Sleep(5 * time.Millisecond)
	}
	check(alive, Lost)
	other.Wait() //nolint:errcheck // it was killed
	check(alive, Lost)
	if err := alive.Kill(); err != nil {
		t.Errorf("killing what is gone: %v", err)
	}
}

// TestControl talks to a supervisor whose directory's path is too long for an address.
func TestControl(t *testing.T) {
	s := newStore(t)
	s.Dir = filepath.Join(s.Dir, strings.Repeat("long/", 40))
	m := create(t, s, "x")
	requests, err := m.Listen()
	if err != nil {
		t.Fatal(err)
	}
	c, err := m.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, want := range []Request{{Signal: 15}, {Signal: 34}, {Kill: true}} {
		if err := c.Send(want); err != nil {
			t.Fatal(err)
		}
		if got := <-requests; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if c.Wait(10 * time.Millisecond) {
		t.Error("it seems to have ended")
	}
	if err := m.SetState(State{State: Exited}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Dial(); !errors.Is(err, ErrEnded) {
		t.Errorf("after the end: %v", err)
	}
	if err := m.Stop(15, time.Second); err != nil {
		t.Errorf("stopping what has ended: %v", err)
	}
}

func TestLog(t *testing.T) {
	m := create(t, newStore(t), "x")
	if err := m.ReadLog(false, func(Record) error { t.Error("a record"); return nil }); err != nil {
		t.Errorf("before the first byte: %v", err)
	}
	l, err := m.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	l.max = 4000
	// A reader that follows must get everything, in spite of new files.
	var got [2]bytes.Buffer
	done := make(chan error, 1)
	go func() {
		done <- m.ReadLog(true, func(r Record) error {
			got[map[Stream]int{Stdout: 0, Stderr: 1}[r.Stream]].Write(r.Data)
			return nil
		})
	}()
	var want [2]bytes.Buffer
	for i := range 100 {
		a, b := fmt.Sprintf("line %d\n", i), fmt.Sprintf("%d\x00\xff", i)
		want[0].WriteString(a)
		want[1].WriteString(b)
		fmt.Fprint(l.Writer(Stdout), a)
		fmt.Fprint(l.Writer(Stderr), b)
		if i%20 == 19 {
			time.Sleep(2 * pollOutput)
		}
	}
	if err := m.SetState(State{State: Exited}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || got[0].String() != want[0].String() || got[1].String() != want[1].String() {
		t.Errorf("got %q and %q, %v; want %q and %q", got[0].String(), got[1].String(), err, want[0].String(), want[1].String())
	}
	var all strings.Builder
	if err := m.ReadLog(false, func(r Record) error {
		if r.Stream == Stdout {
			all.Write(r.Data)
		}
		return nil
	}); err != nil || !strings.HasSuffix(want[0].String(), all.String()) || all.Len() < 400 {
		t.Errorf("kept %q, %v", all.String(), err)
	}
	if st, err := os.Stat(filepath.Join(m.Dir, "output.1")); err != nil || st.Size() > 4000 {
		t.Errorf("the old file: %v, %v", st, err)
	}
}

func TestDamagedLog(t *testing.T) {
	m := create(t, newStore(t), "x")
	for text, want := range map[string]string{
		"1 o 2\nab\n":             "ab",
		"1 o 2\nab\n1 o 5\nab":    "ab", // its writer was killed
		"1 o 2\nab\n1 o":          "ab",
		"1 o 2\nabc\n":            "error",
		"hello\n":                 "error",
		"1 o -1\n\n":              "error",
		"1 o 99999999999999\n\n":  "error",
		strings.Repeat("x", 1e6):  "error",
		"1 o 0\n\n1 e 1\nx\n1 o ": "x",
	} {
		if err := os.WriteFile(filepath.Join(m.Dir, "output"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		err := m.ReadLog(false, func(r Record) error { got.Write(r.Data); return nil })
		if (err != nil) != (want == "error") || err == nil && got.String() != want {
			t.Errorf("%.40q: %q, %v; want %q", text, got.String(), err, want)
		}
	}
}

func TestLines(t *testing.T) {
	var got []string
	l := Lines{Line: func(_ time.Time, s Stream, line []byte) error {
		got = append(got, string(s)+":"+string(line))
		return nil
	}}
	for _, r := range []Record{{Stream: Stdout, Data: []byte("a\nb")}, {Stream: Stderr, Data: []byte("x")}, {Stream: Stdout, Data: []byte("c\n\nd")}, {Stream: Stderr, Data: []byte("\n")}} {
		if err := l.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.End(); err != nil || strings.Join(got, " ") != "o:a o:bc o: e:x o:d" {
		t.Errorf("%q, %v", got, err)
	}
}
