package rootfs

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	"gosv/host/elfdeps/elftest"
)

func TestTmpfiles(t *testing.T) {
	dir := t.TempDir()
	old := tmpfilesDir
	tmpfilesDir = dir
	defer func() { tmpfilesDir = old }()
	elftest.File{}.Write(t, filepath.Join(dir, "served"))
	elftest.WriteFile(t, filepath.Join(dir, "served.conf"), "# a comment\nd /run/served 2775 nobody nogroup -\n\nD! /var/run/old 0700 - - -\nL /run/link - - - - /etc\n"+
		"d relative 0755\nd /run/%u 0755\nd /dev/shm/x\nd\nd /var/log/served - unknown-user unknown-group 10d\nd /run/numbers 0755 12 0034 -\n")
	elftest.WriteFile(t, filepath.Join(dir, "other.conf"), "d /run/other 0755 root root -\n")
	tree := collect(t, Request{Program: "./served", Cwd: dir}).Tree
	for path, want := range map[string]*Entry{
		"/run/served":     {Mode: 0o2775, UID: 65534, GID: 65534},
		"/run/old":        {Mode: 0o700},
		"/var/log/served": {Mode: 0o755},
		"/run/numbers":    {Mode: 0o755, UID: 12, GID: 34},
		"/run/lock":       {Mode: 0o1777},
		"/run/link":       nil,
		"/run/%u":         nil,
		"/dev/shm/x":      nil,
		"/run/other":      nil,
		"/relative":       nil,
	} {
		e := tree.Lookup(path)
		switch {
		case e == nil && want == nil:
		case e == nil || want == nil:
			t.Errorf("%s: got %+v, want %+v", path, e, want)
		case !e.IsDir() || e.Mode&^unix.S_IFMT != want.Mode || e.UID != want.UID || e.GID != want.GID:
			t.Errorf("%s: got %+v, want %+v", path, *e, *want)
		}
	}
	if e := tree.Lookup("/var/run"); e == nil || e.Target != "/run" {
		t.Errorf("/var/run: %+v", e)
	}
	if _, ok := tree.Stamps()[filepath.Join(dir, "served.conf")]; !ok {
		t.Error("an image is not made anew when the package asks for other directories")
	}
}

// TestEmptyDirs has a directory of a recipe keep its owner and permissions, and not what is in it.
func TestEmptyDirs(t *testing.T) {
	dir := t.TempDir()
	logs := filepath.Join(dir, "logs")
	elftest.File{}.Write(t, filepath.Join(dir, "logger"))
	elftest.WriteFile(t, filepath.Join(logs, "log"), "private")
	if err := os.Chmod(logs, 0o750); err != nil {
		t.Fatal(err)
	}
	old := recipes
	recipes = append(recipes[:len(recipes):len(recipes)], recipe{Programs: []string{"logger"}, Dirs: []string{logs, filepath.Join(dir, "absent")}})
	defer func() { recipes = old }()
	tree := collect(t, Request{Program: "./logger", Cwd: dir}).Tree
	if e := tree.Lookup(logs); e == nil || e.Mode != unix.S_IFDIR|0o750 || e.UID != uint32(os.Getuid()) {
		t.Errorf("the directory: %+v", e)
	}
	if e := tree.Lookup(filepath.Join(logs, "log")); e != nil {
		t.Error("what is in the directory came too")
	}
	if e := tree.Lookup(filepath.Join(dir, "absent")); e == nil || e.Mode != unix.S_IFDIR|0o755 {
		t.Errorf("the directory that is not here: %+v", e)
	}
}
