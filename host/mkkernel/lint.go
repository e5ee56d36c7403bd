package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"sort"
	"strings"
)

// goroutineCode are the functions of the machine layer's packages that run on goroutines only, as ordinary Go code does:
// they may grow the stack, allocate, and store pointers. Everything else in these packages must not. A name with a
// trailing "*" stands for all that begin so. The list is short on purpose, and a new entry is a decision.
var goroutineCode = []string{
	"gosv/kernel/cpu.NewContext", "gosv/kernel/cpu.(*Context).", "gosv/kernel/cpu.LogTail", "gosv/kernel/cpu.LogRaw", "gosv/kernel/cpu.TSCParams", "gosv/kernel/cpu.div128", "gosv/kernel/cpu.Marks",
	"gosv/kernel/cpu.CopyFromUser", "gosv/kernel/cpu.CopyToUser", "gosv/kernel/cpu.ZeroUser", "gosv/kernel/cpu.LoadUser32", "gosv/kernel/cpu.CASUser32",
	"gosv/kernel/cpu.Has", "gosv/kernel/cpu.FP", "gosv/kernel/cpu.init",
	// Before the Go runtime: its write barriers are off.
	"gosv/kernel/board.ParsePVH", "gosv/kernel/board.parsePVH", "gosv/kernel/board.(*Information).parseMap",
	"gosv/kernel/cpu.symbolGo", // on the stack of a CPU, with a goroutine that has no limit: see symbolize
	"gosv/kernel/goport.Park", "gosv/kernel/goport.Pin", "gosv/kernel/goport.Ready", "gosv/kernel/goport.(*Interrupt).", "gosv/kernel/goport.PollInterrupts",
	"gosv/kernel/goport.New", "gosv/kernel/goport.newSlot", "gosv/kernel/goport.TimerInterrupt", "gosv/kernel/goport.Interrupts", "gosv/kernel/goport.SetTimer", "gosv/kernel/goport.start",
	"gosv/kernel/goport.dispatch", "gosv/kernel/goport.init", "gosv/kernel/goport.findPin", "gosv/kernel/goport.(*pin).route", "gosv/kernel/goport.HeapBytes", "gosv/kernel/goport.Alone",
}

// forbidden are what the machine layer must not call: growing a stack, write barriers, allocation, panics, locks and the
// scheduler of Go.
var forbidden = []string{
	"runtime.morestack", "runtime.gcWriteBarrier", "runtime.wbZero", "runtime.wbMove", "runtime.mallocgc", "runtime.newobject", "runtime.makeslice",
	"runtime.growslice", "runtime.gopanic", "runtime.panicIndex", "runtime.goPanic", "runtime.panicmem", "runtime.concatstring", "runtime.convT", "runtime.newproc",
	"sync.(*Mutex)", "runtime.deferproc", "runtime.gopark", "runtime.goready", "runtime.typedmemmove",
}

// vexCode may contain VEX-encoded instructions (AVX, BMI): the runtime runs them only if its CPUID shows XSAVE, and
// that is hidden (overlay.go). Packages that look at CPUID themselves would run theirs, and destroy the program's registers.
var vexCode = []string{"runtime.", "internal/bytealg.", "internal/cpu.", "indexbytebody", "indexbody", "countbody", "memeqbody", "cmpbody", "strhashbody", "memhash",
	"runtime/internal/", "internal/runtime/", "crypto/internal/fips140deps/", "gosv/kernel/cpu.setXCR0", "gosv/kernel/cpu.", "math.", "internal/chacha8rand."}

// lint checks the linked kernel, which has symbols.
func lint(linked string) error {
	cmd := exec.Command("go", "tool", "objdump", linked)
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go tool objdump: %w", err)
	}
	var faults []string
	fn := ""
	functions := 0
	sc := bufio.NewScanner(bytes.NewReader(out))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := sc.Text()
		if rest, ok := strings.CutPrefix(line, "TEXT "); ok {
			fn, _, _ = strings.Cut(rest, "(SB)")
			if isMachineLayer(fn) {
				functions++
			}
			continue
		}
		if isMachineLayer(fn) && strings.Contains(line, "CALL ") {
			for _, f := range forbidden {
				if strings.Contains(line, "CALL "+f) {
					faults = append(faults, fn+" calls "+f)
				}
			}
		}
		if insn := mnemonic(line); isVEX(insn) && !hasPrefix(fn, vexCode) {
			faults = append(faults, fn+" has the vector instruction "+insn)
		}
	}
	if err := sc.Err(); err != nil {
		return err
	}
	if functions < 100 {
		return fmt.Errorf("lint: only %d functions of the machine layer found; is this the kernel, with symbols?", functions)
	}
	sort.Strings(faults)
	last := ""
	n := 0
	for _, f := range faults {
		if f != last {
			fmt.Println(f)
			n++
		}
		last = f
	}
	if n != 0 {
		return fmt.Errorf("lint: %d faults", n)
	}
	fmt.Printf("lint: %d functions of the machine layer keep to its rules\n", functions)
	return nil
}

// isMachineLayer reports whether fn may run without a goroutine.
func isMachineLayer(fn string) bool {
	for _, p := range machineLayer {
		if strings.HasPrefix(fn, p+".") {
			return !hasPrefix(fn, goroutineCode) && !strings.HasPrefix(fn, "gosv/kernel/frame.") || p == "gosv/kernel/frame" && !hasPrefix(fn, goroutineFrame)
		}
	}
	return false
}

// goroutineFrame is goroutineCode of package frame.
var goroutineFrame = []string{"gosv/kernel/frame.init", "gosv/kernel/frame.Reclaim", "gosv/kernel/frame.SetReclaim", "gosv/kernel/frame.AddCached", "gosv/kernel/frame.Frame.Bytes", "gosv/kernel/frame.Stats"}

func hasPrefix(fn string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(fn, p) {
			return true
		}
	}
	return false
}

// mnemonic is the instruction of a line of objdump: file:line, address, bytes, instruction.
func mnemonic(line string) string {
	f := strings.Fields(line)
	if len(f) < 4 {
		return ""
	}
	return f[3]
}

// isVEX reports whether the mnemonic is one of AVX, or XGETBV, with which a package asks whether it may use that.
func isVEX(insn string) bool {
	if insn == "XGETBV" {
		return true
	}
	return len(insn) > 2 && insn[0] == 'V' && !strings.HasPrefix(insn, "VERR") && !strings.HasPrefix(insn, "VERW") && !strings.HasPrefix(insn, "VM")
}
