// Command bench measures gosv beside Debian's cloud kernel, with the same programs under the same emulator in turn, and
// writes the figures with their budgets to a document.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"gosv/host/accel"
)

// options are the flags.
type options struct {
	out    string         // document to write, none if empty
	runs   int            // of each boot measurement
	rows   int            // runs of the micro benchmark
	net    int            // runs of the network loads
	load   *regexp.Regexp // which of those
	cpus   string         // of the machines under them, separated by commas
	idle   time.Duration  // how long to watch an idle guest
	accel  accel.Kind
	plugin string
	work   string // folder for what is built and downloaded
	file   string // the kernel
}

// results are the figures of one system, by name.
type results struct {
	system system
	values map[string][]float64 // medians are taken at the end
	notes  map[string][]string  // what failed, by step
	step   string               // the one that runs
}

func newResults(s system) *results {
	return &results{system: s, values: map[string][]float64{}, notes: map[string][]string{}}
}

// begin says which step runs: what is noted belongs to it.
func (r *results) begin(step string) {
	r.step = step
	r.notes[step] = nil
}

func (r *results) add(name string, v float64) { r.values[name] = append(r.values[name], v) }

func (r *results) note(format string, args ...any) {
	n := r.system.name() + ": " + fmt.Sprintf(format, args...)
	fmt.Fprintln(os.Stderr, n)
	if !slices.Contains(r.notes[r.step], n) {
		r.notes[r.step] = append(r.notes[r.step], n)
	}
}

// median of the values of a figure; ok is false if it was not measured.
func (r *results) median(name string) (v float64, ok bool) {
	all := slices.Sorted(slices.Values(r.values[name]))
	if len(all) == 0 {
		return 0, false
	}
	return middle(all), true
}

// middle is the median of sorted figures, of which there is one at least.
func middle(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func main() {
	var o options
	wish := flag.String("accel", "auto", "auto, kvm or tcg")
	flag.StringVar(&o.out, "o", "", "document to write the tables to, docs/benchmarks.md for the repository's")
	flag.IntVar(&o.runs, "runs", 5, "boots per figure")
	flag.IntVar(&o.rows, "rows", 3, "runs of the micro benchmark")
	flag.IntVar(&o.net, "net", 9, "rounds of the network loads")
	only := flag.String("only", "", "measure these steps alone: boots, memory, costs, processes, start, idle, net; what was measured before of the same kernel stays")
	load := flag.String("load", "", "regular expression for the network loads to measure: redis, nginx, iperf3")
	flag.StringVar(&o.cpus, "cpus", "1,2", "CPUs of the machines under network load")
	flag.StringVar(&o.plugin, "plugin", "", "QEMU plugin for gosv's machines under network load, which writes to calls-LOAD in the folder (bench/callprofile)")
	flag.DurationVar(&o.idle, "idle", 10*time.Second, "how long to watch an idle guest")
	flag.StringVar(&o.file, "kernel", "bin/gosv-kernel.elf", "the gosv kernel to measure")
	flag.StringVar(&o.work, "work", "build/bench", "folder for programs, images and the Debian kernel")
	flag.Parse()
	var err error
	if o.load, err = regexp.Compile(*load); err != nil {
		fmt.Fprintln(os.Stderr, "bench: -load:", err)
		os.Exit(2)
	}
	if err = run(o, accel.Kind(*wish), *only); err != nil {
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
	all := []*results{newResults(gosv), newResults(linux)}
	if file := os.Getenv(netChild); file != "" {
		return runNet(o, all, file)
	}
	kept, err := loadKept(filepath.Join(o.work, "results.json"), o.file, all)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		f    func(options, []*results)
	}{
		{"boots", measureBoots}, {"memory", measureMemory}, {"costs", measureCosts}, {"processes", measureProcesses}, {"start", measureStart}, {"idle", measureIdle}, {"net", measureNet},
	} {
		if only != "" && !slices.Contains(strings.Split(only, ","), step.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s\n", step.name)
		fresh := []*results{newResults(gosv), newResults(linux)}
		for i, r := range fresh {
			r.begin(step.name)
			r.values["boot_microvm"] = all[i].values["boot_microvm"] // the search for the least memory looks at it
		}
		step.f(o, fresh)
		kept.take(all, fresh)
	}
	for _, r := range all {
		st, err := os.Stat(r.system.kernel())
		if err != nil {
			return err
		}
		r.values["kernel"] = []float64{float64(st.Size()) / 1e6}
	}
	if st, err := os.Stat(strings.TrimSuffix(o.file, ".elf") + "-minimal.elf"); err == nil {
		all[0].values["kernel_minimal"] = []float64{float64(st.Size()) / 1e6}
	}
	if err := kept.save(all); err != nil {
		return err
	}
	old := ""
	if o.out != "" {
		b, err := os.ReadFile(o.out)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		old = string(b)
	}
	text := document(o, all, kept.When, old)
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
