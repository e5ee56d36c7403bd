package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// figure is a row of the tables.
type figure struct {
	name, title, unit string
	scale             float64 // from the measured unit to the printed one, 1 if 0
	// budget is what the figure may be: a share of Linux's, or an absolute value.
	share, most float64
	times       float64 // at least so many times Linux's, where more is better
	rounds      bool    // each load was on both systems in one round: the ratio is the median of the rounds'
	close       string  // what would close a missed budget
}

// table is a section of the document.
type table struct {
	title, text string
	steps       string // which measure it, separated by spaces; parts of a step have its name and a slash before theirs
	rows        []figure
}

var tables = []table{
	{"Boot and size", "", "boots memory idle", []figure{
		{name: "boot_microvm", title: "start of QEMU to the first line of output, microvm", unit: "ms", share: 1.0 / 20,
			close: "less code to translate before main: a smaller runtime start, fewer devices probed; under KVM the translation is absent"},
		{name: "boot_q35", title: "the same, q35", unit: "ms"},
		{name: "memory", title: "least memory that works, microvm", unit: "MiB", most: 6, close: "a smaller kernel: its image and data are 5.4 of the MiB, the Go runtime's heap, stacks and tables 0.6"},
		{name: "memory_minimal", title: "the same, minimal profile, which `gosv run --network none` starts", unit: "MiB", most: 6,
			close: "see the table of memory in docs/performance.md"},
		{name: "kernel", title: "kernel file", unit: "MB", most: 5.5, close: "the functions that are inlined for the network's sake, 0.17 MB; io_uring, ptrace and core dumps could be a choice"},
		{name: "kernel_minimal", title: "the same, minimal profile", unit: "MB", most: 2, close: "fewer packages in the minimal profile; a third of the file is Go's pclntab"},
		{name: "idle_microvm", title: "host CPU of an idle guest, microvm", unit: "%", most: 1, close: "a timer or device that still wakes the guest"},
		{name: "idle_q35", title: "the same, q35", unit: "%", most: 1, close: "a timer or device that still wakes the guest"},
	}},
	{"System calls", "", "costs", []figure{
		{name: "getppid", title: "getppid", unit: "ns", share: 0.9, close: "fewer instructions between SYSCALL and the table"},
		{name: "clock_gettime", title: "clock_gettime, vDSO", unit: "ns"},
		{name: "clock_gettime_syscall", title: "clock_gettime, system call", unit: "ns"},
		{name: "read_zero_1", title: "read of /dev/zero, 1 byte", unit: "ns"},
		{name: "read_zero_4096", title: "read of /dev/zero, 4 KiB", unit: "ns"},
		{name: "write_null_1", title: "write to /dev/null, 1 byte", unit: "ns"},
	}},
	{"Memory", "", "costs", []figure{
		{name: "pagefault", title: "page fault, per 4 KiB page, no huge pages", unit: "us", scale: 1e-3},
		{name: "pagefault_huge", title: "the same, huge pages allowed", unit: "us", scale: 1e-3},
		{name: "mmap_touch_munmap", title: "mmap, touch and munmap of a page", unit: "us", scale: 1e-3},
		{name: "pagefault_noerms", title: "page fault, no huge pages, `-cpu max,-erms,-fsrm`", unit: "us", scale: 1e-3, share: 0.5,
			close: "mapping several pages per fault, and zeroed frames kept ready"},
		{name: "pagefault_huge_noerms", title: "the same, huge pages allowed", unit: "us", scale: 1e-3},
		{name: "mmap_touch_munmap_noerms", title: "mmap, touch and munmap, `-cpu max,-erms,-fsrm`", unit: "us", scale: 1e-3},
	}},
	{"Threads", "", "costs", []figure{
		{name: "futex_pingpong", title: "futex ping-pong of two threads, round", unit: "us", scale: 1e-3, share: 0.8, close: "a direct hand-over from waker to woken on the same CPU"},
		{name: "mutex_cond", title: "mutex and condition variable, round", unit: "us", scale: 1e-3},
		{name: "pipe_roundtrip", title: "pipe between threads, round", unit: "us", scale: 1e-3},
		{name: "sched_yield", title: "sched_yield with another thread", unit: "us", scale: 1e-3},
		{name: "sched_yield_alone", title: "sched_yield alone", unit: "us", scale: 1e-3},
		{name: "thread_create_join", title: "thread create and join", unit: "us", scale: 1e-3, share: 0.8, close: "fewer mappings per thread's stack, and reuse of thread objects"},
	}},
	{"Processes and files", "", "processes start", []figure{
		{name: "fork_wait", title: "fork, exit and wait", unit: "us", scale: 1e-3},
		{name: "fork_exec_wait", title: "fork, exec of a static program, exit and wait", unit: "us", scale: 1e-3},
		{name: "pipe_processes", title: "pipe between processes, round", unit: "us", scale: 1e-3},
		{name: "switch_processes", title: "sched_yield with another process", unit: "us", scale: 1e-3},
		{name: "read_cached", title: "read of a file in the page cache, 64 KiB at a time, per MiB", unit: "us", scale: 1e-3},
		{name: "map_cached", title: "mmap of the same, a byte of each page read, per MiB", unit: "us", scale: 1e-3},
		{name: "python_first", title: "`python3 -c pass` from fork to wait, the first time", unit: "ms", scale: 1e-6},
		{name: "python", title: "the same, once its files are in memory", unit: "ms", scale: 1e-6},
		{name: "node_first", title: "`node -e 0` from fork to wait, the first time", unit: "ms", scale: 1e-6},
		{name: "node", title: "the same, once its files are in memory", unit: "ms", scale: 1e-6},
	}},
	{"Network, one CPU", netText, "net1", netRows("_1cpu")},
	{"Network, two CPUs", "", "net2", netRows("_2cpu")},
}

const netText = "Debian's redis-server, nginx and iperf3 in the guest, their clients on the host; the guest's virtio-net is a tap interface of a\n" +
	"network namespace. Here the ratio is better when it is larger; it is the median of the rounds' ratios, with the smallest and the largest\n" +
	"of them: from round to round the host is faster or slower by half. "

// netRows are the figures of the network, for a number of CPUs.
func netRows(suffix string) []figure {
	const close = "see the profile in docs/performance.md"
	return []figure{
		{name: "redis_get_p1" + suffix, title: "Redis GET, 50 clients", unit: "1/s", rounds: true, times: 1.5, close: close},
		{name: "redis_set_p1" + suffix, title: "Redis SET, 50 clients", unit: "1/s", rounds: true},
		{name: "redis_get_p16" + suffix, title: "Redis GET, pipeline of 16", unit: "1/s", rounds: true, times: 1.1, close: close},
		{name: "redis_set_p16" + suffix, title: "Redis SET, pipeline of 16", unit: "1/s", rounds: true},
		{name: "nginx" + suffix, title: "nginx, 50 clients, 600 bytes", unit: "1/s", rounds: true, times: 1.3, close: close},
		{name: "iperf_in" + suffix, title: "iperf3, to the guest", unit: "Mbit/s", rounds: true},
		{name: "iperf_out" + suffix, title: "iperf3, from the guest", unit: "Mbit/s", rounds: true},
		{name: "connect" + suffix, title: "connect, one request, close; 16 at a time", unit: "1/s", rounds: true},
	}
}

// document writes the tables. all[0] is gosv, all[1] Linux. Sections of which nothing was measured are those of the old document.
func document(o options, all []*results, when map[string]string, old string) string {
	var b strings.Builder
	l := all[1].system.(*linux)
	fmt.Fprintf(&b, "# Benchmarks\n\n"+
		"Written by `make bench`. The same program runs on gosv and as the first process of Debian's\n"+
		"cloud kernel (%s), under the same QEMU with the same accelerator (%s), the systems in turn; one CPU, but where it says two.\n"+
		"Figures are medians: of %d boots, %d runs of the micro benchmark, %d rounds of each network load. Host: %s.\n",
		l.Version, o.accel, o.runs, o.rows, o.net, host())
	fmt.Fprintf(&b, "\nThe ratio is gosv's figure by Linux's: smaller is better, but for the network. Budgets are those of the architecture; a\n"+
		"missed one stands under its table with by how much, and what would close it.\n")
	for _, t := range tables {
		if text, ok := t.section(all, when); ok {
			b.WriteString(text)
		} else {
			b.WriteString(section(old, t.title))
		}
	}
	b.WriteString(method)
	return b.String()
}

// section is that of a document with the title.
func section(text, title string) string {
	head := "\n## " + title + "\n"
	_, rest, ok := strings.Cut(text, head)
	if !ok {
		return ""
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	return head + rest
}

// section formats a table, if something of it was measured.
func (t table) section(all []*results, when map[string]string) (text string, ok bool) {
	date := ""
	var failed []string
	for step, at := range when {
		base, _, _ := strings.Cut(step, "/")
		if !slices.Contains(strings.Fields(t.steps), base) {
			continue
		}
		date = max(date, at)
		for _, r := range all {
			failed = append(failed, r.notes[step]...)
		}
	}
	if date == "" {
		return "", false
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n%sMeasured on %s.\n\n| what | unit | gosv | Linux | ratio | budget | |\n|---|---|--:|--:|--:|---|---|\n", t.title, t.text, date)
	var missed []string
	for _, f := range t.rows {
		row, miss := f.row(all)
		b.WriteString(row)
		if miss != "" {
			missed = append(missed, miss)
		}
	}
	if len(missed) > 0 {
		fmt.Fprintf(&b, "\nMissed:\n\n%s", strings.Join(missed, ""))
	}
	if slices.Sort(failed); len(failed) > 0 {
		fmt.Fprintf(&b, "\nRuns that failed:\n\n")
		for _, n := range failed {
			fmt.Fprintf(&b, "- %s\n", n)
		}
	}
	return b.String(), true
}

const method = `
## How it is measured

- The programs are ` + "`bench/guest/first.c` and `bench/guest/ubench.c`" + `; Linux gets them as ` + "`/init`" + ` of an initial RAM file system that
  holds nothing else but three devices, and boots with ` + "`console=ttyS0 quiet no_timer_check`" + ` (without the last, some boots stall
  under emulation). gosv boots the image that ` + "`gosv build`" + ` would make, with its console on virtio-serial.
- Time to the first line counts from the start of the QEMU process to the line's arrival on the host.
- An idle guest is one whose only thread sleeps; the figure is the CPU time of QEMU over ten seconds.
- QEMU's emulation is slow at ` + "`rep stos`" + `, which Linux uses to clear pages on a CPU with erms: memory figures are taken on a CPU
  without it too, and that row has the budget.
- Network: ` + "`bench/net.go`" + ` and ` + "`bench/netload.go`" + `. Both systems have 512 MiB, the same server binary with its libraries, and the same device
  (` + "`virtio-net-pci`" + ` of a q35 on a tap; on a microvm Linux finds no clock that it trusts); Linux loads its driver from the kernel package. Both machines
  are up at once, and each load is on them in turn, round after round. Load generator and guest share the host's CPUs.
- A part is measured with ` + "`-only costs,idle`, or `-only net -load redis -cpus 1`" + `; the other figures stay if they are of the same kernel,
  and else their sections do.
- Emulation is not hardware: ratios between systems hold roughly, nanoseconds do not.
`

// row formats a figure, and says by how much its budget is missed.
func (f figure) row(all []*results) (row, missed string) {
	scale := f.scale
	if scale == 0 {
		scale = 1
	}
	g, okG := all[0].median(f.name)
	l, okL := all[1].median(f.name)
	cell := func(v float64, ok bool) string {
		if !ok {
			return "–"
		}
		return number(v * scale)
	}
	ratio, times := "–", math.NaN()
	if okG && okL && l > 0 {
		times = g / l
		ratio = fmt.Sprintf("%.2f", times)
		if times < 0.095 {
			ratio = fmt.Sprintf("%.3f", times)
		}
	}
	if each := ratios(all[0].values[f.name], all[1].values[f.name]); f.rounds && len(each) > 1 {
		times = middle(each)
		ratio = fmt.Sprintf("%.2f (%.2f–%.2f)", times, each[0], each[len(each)-1])
	}
	budget, verdict := "", ""
	limit := math.NaN()
	switch {
	case f.share > 0:
		budget = fmt.Sprintf("%.2g x Linux", f.share)
		if okL {
			limit = f.share * l * scale
		}
	case f.times > 0:
		budget = fmt.Sprintf("at least %.2g x", f.times)
		limit = f.times
	case f.most > 0:
		budget = fmt.Sprintf("%g %s", f.most, f.unit)
		limit = f.most
	}
	if budget != "" && okG && !math.IsNaN(limit) && (f.times == 0 || !math.IsNaN(times)) {
		verdict = "met"
		if f.times > 0 && times < limit {
			verdict = "missed"
			missed = fmt.Sprintf("- %s: %.2f times Linux's, not %.2g, %.0f %% under. What would close it: %s.\n", f.title, times, limit, 100*(1-times/limit), f.close)
		} else if v := g * scale; f.times == 0 && v > limit {
			verdict = "missed"
			missed = fmt.Sprintf("- %s: %s %s against %s, %.0f %% over. What would close it: %s.\n", f.title, number(v), f.unit, number(limit), 100*(v/limit-1), f.close)
		}
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s |\n", f.title, f.unit, cell(g, okG), cell(l, okL), ratio, budget, verdict), missed
}

// ratios are those of figures of the same rounds, sorted; none if a round has not both.
func ratios(a, b []float64) (all []float64) {
	if len(a) != len(b) {
		return nil
	}
	for i := range a {
		if b[i] <= 0 {
			return nil
		}
		all = append(all, a[i]/b[i])
	}
	slices.Sort(all)
	return all
}

// number prints three digits that count.
func number(v float64) string {
	switch a := math.Abs(v); {
	case v == math.Trunc(v) && a < 1e6:
		return fmt.Sprintf("%.0f", v)
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
