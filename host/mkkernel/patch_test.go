package main

import (
	"strings"
	"testing"
)

func TestPatch(t *testing.T) {
	const diff = `Why.

--- a/pkg/a.go
+++ b/pkg/a.go
@@ -1,3 +1,4 @@ func f
 one
-two
+2
+2.5

@@ -9 +10 @@
-nine
+9

--- a/pkg/b.go
+++ b/pkg/b.go
@@ -1,1 +1,0 @@
-gone
`
	hunks, err := parsePatch(diff)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"pkg/a.go": "zero\none\ntwo\n\nmore\nnine\n", "pkg/b.go": "gone\nkept\n"}
	for _, h := range hunks {
		if files[h.name], err = h.apply(files[h.name]); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := files["pkg/a.go"], files["pkg/b.go"]; a != "zero\none\n2\n2.5\n\nmore\n9\n" || b != "kept\n" {
		t.Errorf("%q, %q", a, b)
	}
	for _, text := range []string{"one\none\n", "two\n"} {
		if _, err := (hunk{old: "one\n", new: "1\n"}).apply(text); err == nil {
			t.Errorf("a hunk for one place was put into %q", text)
		}
	}
	for name, text := range map[string]string{
		"empty":             "",
		"only a text":       "Why.\n",
		"no file":           "@@ -1 +1 @@\n-a\n+b\n",
		"cut off":           diff[:strings.Index(diff, "+2.5")],
		"cut off in a line": diff[:strings.Index(diff, ".5")],
		"too long":          strings.Replace(diff, "+1,4", "+1,3", 1),
		"a comment inside":  strings.Replace(diff, "+2\n", "#\n", 1),
		"a text behind":     diff + "and more\n",
		"without a change":  "+++ b/a\n@@ -1 +1 @@\n a\n",
		"without old lines": "+++ b/a\n@@ -0,0 +1 @@\n+a\n",
		"a count too large": "+++ b/a\n@@ -99999999999999999999 +1,99999999999999999999 @@\n+a\n",
	} {
		if hunks, err := parsePatch(text); err == nil {
			t.Errorf("%s: %q was taken for %q", name, text, hunks)
		}
	}
}

func FuzzPatch(f *testing.F) {
	f.Add("--- a/a\n+++ b/a\n@@ -1,2 +1 @@\n a\n-b\n")
	f.Fuzz(func(t *testing.T, text string) {
		hunks, err := parsePatch(text)
		if (err == nil) != (len(hunks) > 0) {
			t.Errorf("%q: %d hunks, %v", text, len(hunks), err)
		}
	})
}

// Each patch says why it is there.
func TestDescribed(t *testing.T) {
	files, err := patchFiles.ReadDir("patches")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := patchFiles.ReadFile("patches/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if why, _, _ := strings.Cut(string(b), "\n--- a/"); len(strings.TrimSpace(why)) < 10 {
			t.Errorf("%s does not say why", f.Name())
		}
	}
}
