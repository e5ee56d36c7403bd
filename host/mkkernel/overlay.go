package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
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

// cpuidInsn is the end of internal/cpu's cpuid; hideXSave goes behind it. Kernel code is SSE only, so that a program's
// wider registers may stay in the processor; the runtime is therefore not told that the XSAVE instructions are enabled,
// and derives that there is no AVX. GODEBUG=cpu.avx=off would do it too, but parsing GODEBUG costs 3 ms of each boot
// under emulation.
const (
	cpuidFile = "internal/cpu/cpu_x86.s"
	cpuidInsn = "\tCPUID\n"
	hideXSave = cpuidInsn + `	CMPL eaxArg+0(FP), $1
	JNE 2(PC)
	ANDL $~(1<<27), CX	// OSXSAVE
`
)

// A time's text is the only thing that needs package time's formats and zones, which are 60 KB: the linker keeps it because it
// is a String method. The kernel formats no times; should one get into a message it is shown as seconds since 1970.
const (
	timeFile   = "time/format.go"
	timeFormat = `t.Format("2006-01-02 15:04:05.999999999 -0700 MST")`
	timeShort  = "string(appendInt(nil, int(t.Unix()), 0))"
)

// entryText replaces the runtime's entry point. It switches the memory profile off, which nobody reads: the runtime would
// find that out only after the first samples. It also tells package goport where some of the runtime's fields are: only
// the assembler of this package is given their offsets.
const entryText = `#include "go_asm.h"
#include "textflag.h"

TEXT _rt0_amd64_linux(SB),NOSPLIT,$-8
	MOVQ	$0, ·MemProfileRate(SB)
	JMP	gosv∕kernel∕cpu·boot64(SB)

TEXT _rt0_amd64_linux_lib(SB),NOSPLIT,$0
	JMP	_rt0_amd64_lib(SB)

DATA runtime·gosvLayout+0(SB)/8, $(g_stack+stack_lo)
DATA runtime·gosvLayout+8(SB)/8, $(g_stack+stack_hi)
DATA runtime·gosvLayout+16(SB)/8, $g_stackguard0
DATA runtime·gosvLayout+24(SB)/8, $g_preempt
DATA runtime·gosvLayout+32(SB)/8, $g_m
DATA runtime·gosvLayout+40(SB)/8, $m_g0
DATA runtime·gosvLayout+48(SB)/8, $const_stackPreempt
DATA runtime·gosvLayout+56(SB)/8, $schedt__size
DATA runtime·gosvLayout+64(SB)/8, $m_preemptGen
DATA runtime·gosvLayout+72(SB)/8, $m_signalPending
DATA runtime·gosvLayout+80(SB)/8, $m_p
DATA runtime·gosvLayout+88(SB)/8, $p_schedtick
DATA runtime·gosvLayout+96(SB)/8, $p_runqhead
DATA runtime·gosvLayout+104(SB)/8, $p_runqtail
DATA runtime·gosvLayout+112(SB)/8, $p_runnext
DATA runtime·gosvLayout+120(SB)/8, $(p_timers+timers_minWhenHeap)
DATA runtime·gosvLayout+128(SB)/8, $(p_timers+timers_minWhenModified)
DATA runtime·gosvLayout+136(SB)/8, $(schedt_runq+gQueue_head)
DATA runtime·gosvLayout+144(SB)/8, $g_atomicstatus
DATA runtime·gosvLayout+152(SB)/8, $const__Gwaiting
GLOBL runtime·gosvLayout(SB), RODATA|NOPTR, $160
`

// sorts replace the sorting of package slices, of which each type of elements has its own copy: 10 KiB become one.
var (
	//go:embed deps/zsortanyfunc.go.txt
	sortAny string
	//go:embed deps/zsortordered.go.txt
	sortOrdered string

	sorts = map[string]string{"slices/zsortanyfunc.go": sortAny, "slices/zsortordered.go": sortOrdered}

	//go:embed deps/godebug.go.txt
	godebug string

	// library are the files of the standard library that are replaced to make the kernel smaller. None is the runtime's.
	library = map[string]string{"internal/godebug/godebug.go": godebug}
)

func init() { maps.Copy(library, sorts) }

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
	if err := put("runtime/rt0_linux_amd64.s", entryText); err != nil {
		return "", err
	}
	for _, e := range []struct{ name, old, new string }{{cpuidFile, cpuidInsn, hideXSave}, {timeFile, timeFormat, timeShort}} {
		text, err := os.ReadFile(filepath.Join(src, e.name))
		if err != nil {
			return "", err
		}
		if n := strings.Count(string(text), e.old); n != 1 {
			return "", fmt.Errorf("%s has %q %d times, want 1: this Go release needs a look at the overlay", e.name, e.old, n)
		}
		if err := put(e.name, strings.Replace(string(text), e.old, e.new, 1)); err != nil {
			return "", err
		}
	}
	for name, text := range library {
		if _, err := os.Stat(filepath.Join(src, name)); err != nil {
			return "", fmt.Errorf("%w: this Go release needs a look at the overlay", err)
		}
		if err := put(name, text); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, b, 0o644)
}
