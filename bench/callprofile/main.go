// Command callprofile makes the profile by which the Go compiler inlines calls of the kernel, from the calls that plugin/calls.c
// counted. docs/performance.md has the commands.
package main

import (
	"bufio"
	"compress/gzip"
	"flag"
	"fmt"
	"os"
)

func main() {
	out := flag.String("o", "host/mkkernel/kernel.pgo", "profile to write")
	flag.Parse()
	if flag.NArg() < 2 {
		fmt.Fprintln(os.Stderr, "usage: callprofile [-o FILE] KERNEL.go.elf COUNTS...")
		os.Exit(2)
	}
	if err := run(*out, flag.Arg(0), flag.Args()[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "callprofile:", err)
		os.Exit(1)
	}
}

func run(out, kernel string, counts []string) error {
	code, err := readCode(kernel)
	if err != nil {
		return err
	}
	calls := map[call]float64{}
	for _, name := range counts {
		if err := addCounts(calls, name); err != nil {
			return err
		}
	}
	p := newProfile()
	for _, c := range sorted(calls) {
		// Calls that are made less often than this are not inlined for it.
		if calls[c] < 1e-5*float64(len(counts)) {
			continue
		}
		from, to := code.at(c.from), code.at(c.to)
		if len(from) > 0 && len(to) > 0 && code.entry(c.to) {
			p.sample(c, from, to, int64(calls[c]*1e9))
		}
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	z := gzip.NewWriter(f)
	if _, err := z.Write(p.bytes()); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	fmt.Printf("%s: %d calls of %d functions\n", out, p.samples, len(p.functions))
	return f.Close()
}

// call is from an instruction to a function.
type call struct{ from, to uint64 }

// addCounts reads what the plugin wrote. Each file weighs the same.
func addCounts(calls map[call]float64, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	here := map[call]float64{}
	all := 0.0
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var c call
		var n float64
		if _, err := fmt.Sscanf(sc.Text(), "%x %x %g", &c.from, &c.to, &n); err != nil {
			return fmt.Errorf("%s: %q: %w", name, sc.Text(), err)
		}
		here[c] += n
		all += n
	}
	for c, n := range here {
		calls[c] += n / all
	}
	return nil
}
