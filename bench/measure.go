package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	bootLimit = 30 * time.Second
	costLimit = 90 * time.Second
)

// start starts a machine and waits for a text in its output; then it calls f,
// and ends the machine. It gives the time from the start to the text, and the
// output so far.
func start(s system, m machine, text string, limit time.Duration, f func(pid int)) (time.Duration, []byte, error) {
	argv, err := s.command(m)
	if err != nil {
		return 0, nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, nil, err
	}
	defer r.Close()
	var errs bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = w, &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	began := time.Now()
	err = cmd.Start()
	w.Close()
	if err != nil {
		return 0, nil, err
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	r.SetReadDeadline(began.Add(limit))
	var out []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		out = append(out, buf[:n]...)
		if bytes.Contains(out, []byte(text)) {
			break
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				cmd.Wait()
				err = fmt.Errorf("the machine ended: %s", lastLine(errs.Bytes()))
			} else {
				err = fmt.Errorf("nothing after %v", limit)
			}
			return 0, out, fmt.Errorf("%w; output: %q", err, lastLine(out))
		}
	}
	took := time.Since(began)
	if f != nil {
		f(cmd.Process.Pid)
	}
	return took, out, nil
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

var types = []string{"microvm", "q35"}

// measureBoots takes the time to the first line, the systems in turn.
func measureBoots(o options, all []*results) {
	for _, typ := range types {
		for i := range o.runs {
			for _, r := range all {
				took, _, err := start(r.system, machine{typ: typ, memory: 128, program: "first"}, "first line", bootLimit, nil)
				if err != nil {
					r.note("boot %d on %s: %v", i+1, typ, err)
					continue
				}
				r.add("boot_"+typ, float64(took.Microseconds())/1000)
			}
		}
	}
}

// measureMemory finds the least memory that works, with gosv's minimal kernel too: the tool starts that one for programs
// without network.
func measureMemory(o options, all []*results) {
	for _, r := range all {
		usual, ok := r.median("boot_microvm")
		if !ok {
			continue
		}
		limit := time.Duration(usual*5)*time.Millisecond + 2*time.Second
		r.add("memory", float64(leastMemory(r.system, "", limit)))
		if g, ok := r.system.(*gosv); ok {
			if _, err := os.Stat(g.minimal()); err == nil {
				r.add("memory_minimal", float64(leastMemory(g, g.minimal(), limit)))
			}
		}
	}
}

// leastMemory halves the interval until it is a MiB.
func leastMemory(s system, kernel string, limit time.Duration) int64 {
	fails, works := int64(0), int64(256)
	for works-fails > 1 {
		try := (fails + works) / 2
		if _, _, err := start(s, machine{typ: "microvm", memory: try, program: "first", kernel: kernel}, "first line", limit, nil); err != nil {
			fails = try
		} else {
			works = try
		}
	}
	return works
}

// measureCosts runs the micro benchmark, the systems in turn, and its memory
// part once more on a CPU without the string instructions that an emulator is
// slow at.
func measureCosts(o options, all []*results) {
	for i := range o.rows {
		for _, r := range all {
			for _, variant := range []struct {
				suffix, cpu string
				args        []string
			}{{"", "", nil}, {"_noerms", ",-erms,-fsrm", []string{"memory"}}} {
				m := machine{typ: "microvm", memory: 512, program: "ubench", args: variant.args, cpu: variant.cpu}
				var out []byte
				for range 3 { // a boot under emulation may stall before the program starts
					var err error
					if _, out, err = start(r.system, m, "UB-END", costLimit, nil); err != nil {
						r.note("micro benchmark %d: %v", i+1, err)
					}
					if len(out) > 0 {
						break
					}
				}
				for name, v := range parse(out) {
					r.add(name+variant.suffix, v)
				}
			}
		}
	}
}

// parse reads the lines UB name value unit.
func parse(out []byte) map[string]float64 {
	values := map[string]float64{}
	sc := bufio.NewScanner(bytes.NewReader(out))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) != 4 || f[0] != "UB" {
			continue
		}
		if v, err := strconv.ParseFloat(f[2], 64); err == nil {
			values[f[1]] = v
		}
	}
	return values
}

// measureIdle takes the CPU time of QEMU while the guest sleeps, in per cent
// of one CPU.
func measureIdle(o options, all []*results) {
	for _, typ := range types {
		for _, r := range all {
			_, _, err := start(r.system, machine{typ: typ, memory: 128, program: "first"}, "first line", bootLimit, func(pid int) {
				time.Sleep(2 * time.Second) // what the boot left to do
				before, began := cpuTime(pid), time.Now()
				time.Sleep(o.idle)
				r.add("idle_"+typ, 100*(cpuTime(pid)-before).Seconds()/time.Since(began).Seconds())
			})
			if err != nil {
				r.note("idle on %s: %v", typ, err)
			}
		}
	}
}

// cpuTime is what a process has used, proc(5): fields 14 and 15 of stat, in
// ticks of 10 ms.
func cpuTime(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

func cpuName() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for _, line := range strings.Split(string(b), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}

func qemuVersion() string {
	out, _ := exec.Command("qemu-system-x86_64", "--version").Output()
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimPrefix(line, "QEMU emulator version ")
}
