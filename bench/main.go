// Command bench measures gosv beside Debian's cloud kernel, with the same programs under the same emulator in turn, and
// writes the figures with their budgets to a document.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"gosv/host/accel"
)

// options are the flags.
type options struct {
	out   string        // document to write, none if empty
	runs  int           // of each boot measurement
	rows  int           // runs of the micro benchmark
	net   int           // runs of the network loads
	idle  time.Duration // how long to watch an idle guest
	accel accel.Kind
	work  string // folder for what is built and downloaded
	file  string // the kernel
}

// results are the figures of one system, by name.
type results struct {
	system system
	values map[string][]float64 // medians are taken at the end
	notes  []string
}

func (r *results) add(name string, v float64) { r.values[name] = append(r.values[name], v) }

func (r *results) note(format string, args ...any) {
	n := r.system.name() + ": " + fmt.Sprintf(format, args...)
	fmt.Fprintln(os.Stderr, n)
	if !slices.Contains(r.notes, n) {
		r.notes = append(r.notes, n)
	}
}

// median of the values of a figure; ok is false if it was not measured.
func (r *results) median(name string) (v float64, ok bool) {
	all := slices.Sorted(slices.Values(r.values[name]))
	if len(all) == 0 {
		return 0, false
	}
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2, true
	}
	return all[len(all)/2], true
}

func main() {
	var o options
	wish := flag.String("accel", "auto", "auto, kvm or tcg")
	flag.StringVar(&o.out, "o", "", "document to write the tables to, docs/benchmarks.md for the repository's")
	flag.IntVar(&o.runs, "runs", 5, "boots per figure")
	flag.IntVar(&o.rows, "rows", 3, "runs of the micro benchmark")
	flag.IntVar(&o.net, "net", 2, "runs of the network loads")
	only := flag.String("only", "", "measure this step alone: boots, memory, costs, idle or net")
	flag.DurationVar(&o.idle, "idle", 10*time.Second, "how long to watch an idle guest")
	flag.StringVar(&o.file, "kernel", "bin/gosv-kernel.elf", "the gosv kernel to measure")
	flag.StringVar(&o.work, "work", "build/bench", "folder for programs, images and the Debian kernel")
	flag.Parse()
	if err := run(o, accel.Kind(*wish), *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options, wish accel.Kind, only string) error {
	choice, err := accel.Host{}.Choose(wish)
	if err != nil {
		return err
	}
	o.accel = choice.Kind
	if o.work, err = filepath.Abs(o.work); err != nil {
		return err
	}
	if err := os.MkdirAll(o.work, 0o755); err != nil {
		return err
	}
	programs, err := compile(o.work)
	if err != nil {
		return err
	}
	gosv, err := newGosv(o, programs)
	if err != nil {
		return err
	}
	linux, err := newLinux(o, programs)
	if err != nil {
		return err
	}
	all := []*results{{system: gosv, values: map[string][]float64{}}, {system: linux, values: map[string][]float64{}}}
	if file := os.Getenv(netChild); file != "" {
		return runNet(o, all, file)
	}
	start := time.Now()
	for _, step := range []struct {
		name string
		f    func(options, []*results)
	}{
		{"boots", measureBoots}, {"memory", measureMemory}, {"costs", measureCosts}, {"idle", measureIdle}, {"net", measureNet},
	} {
		if only != "" && only != step.name {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s\n", step.name)
		step.f(o, all)
	}
	for _, r := range all {
		st, err := os.Stat(r.system.kernel())
		if err != nil {
			return err
		}
		r.add("kernel", float64(st.Size())/1e6)
	}
	text := document(o, all, time.Since(start))
	fmt.Print(text)
	if o.out == "" {
		return nil
	}
	return os.WriteFile(o.out, []byte(text), 0o644)
}

// host describes this machine in a line.
func host() string {
	return fmt.Sprintf("%s, %d CPUs, QEMU %s", cpuName(), runtime.NumCPU(), qemuVersion())
}
