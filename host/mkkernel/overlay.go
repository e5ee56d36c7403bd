package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

var syscallInsn = regexp.MustCompile(`(?m)^\tSYSCALL$`)

// kcall is how assembly of other packages calls the machine layer.
const kcall = "gosv∕kernel∕cpu·kcallEntry(SB)"

// overlaid are the runtime's files with SYSCALL instructions, and how many each has. A changed count stops the build: a
// new Go release must be looked at.
var overlaid = []struct {
	name  string
	count int
}{
	{"runtime/sys_linux_amd64.s", 40},
	{"runtime/time_linux_amd64.s", 2},
	{"internal/runtime/syscall/linux/asm_linux_amd64.s", 1},
}

// writeOverlay derives the replaced files from the toolchain's own sources: every SYSCALL instruction becomes a call of
// the machine layer, which keeps the register convention; and the entry point jumps to our boot code. It returns the
// name of the file for go build -overlay.
func writeOverlay(dir string) (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	src := filepath.Join(strings.TrimSpace(string(root)), "src")
	replace := map[string]string{}
	put := func(name, text string) error {
		out := filepath.Join(dir, filepath.Base(name))
		replace[filepath.Join(src, name)] = out
		return os.WriteFile(out, []byte(text), 0o644)
	}
	for _, f := range overlaid {
		b, err := os.ReadFile(filepath.Join(src, f.name))
		if err != nil {
			return "", err
		}
		if n := len(syscallInsn.FindAll(b, -1)); n != f.count {
			return "", fmt.Errorf("%s has %d SYSCALL instructions, want %d: this Go release needs a look at the overlay", f.name, n, f.count)
		}
		text := syscallInsn.ReplaceAllString(string(b), "\tCALL\t"+kcall)
		// exitThread has given its stack away when it makes the call: it must not push.
		text = strings.Replace(text, "$SYS_exit, AX\n\tCALL", "$SYS_exit, AX\n\tJMP", 1)
		if err := put(f.name, text); err != nil {
			return "", err
		}
	}
	err = put("runtime/rt0_linux_amd64.s", "#include \"textflag.h\"\n\n"+
		"TEXT _rt0_amd64_linux(SB),NOSPLIT,$-8\n\tJMP\tgosv∕kernel∕cpu·boot64(SB)\n\n"+
		"TEXT _rt0_amd64_linux_lib(SB),NOSPLIT,$0\n\tJMP\t_rt0_amd64_lib(SB)\n")
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, b, 0o644)
}
