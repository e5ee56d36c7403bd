package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gosv/test/suites/plan"
)

// boots is how often a guest is started again for the rest of a batch.
const boots = 6

// host runs suites on this machine.
func (o *options) host(suites []plan.Suite) map[string]*results {
	all := results0(suites)
	if len(suites) > 0 {
		o.one(suites, all, nil, func(planFile string) *exec.Cmd { return exec.Command(filepath.Join(o.dir, "inside"), planFile) })
	}
	return all
}

// guest runs suites in guests: in another one what remains when one dies. keep is
// called now and then with what is known, unless it is nil.
func (o *options) guest(suites []plan.Suite, files map[string]string, keep func(map[string]*results)) map[string]*results {
	all := results0(suites)
	for range boots {
		if len(suites) == 0 {
			break
		}
		limit := 30 * time.Second
		for _, s := range suites {
			limit += time.Duration(s.Total+s.Stall) * time.Second
		}
		log := o.file("guest")
		args := []string{"run", "-m", o.memory, "-c", strconv.Itoa(o.cpus), "--timeout", limit.String()}
		for _, f := range slices.Sorted(mapsKeys(files)) {
			args = append(args, "-v", f+":"+files[f])
		}
		how := o.one(suites, all, keep, func(planFile string) *exec.Cmd {
			cmd := exec.Command(o.gosv, append(args, filepath.Join(o.dir, "inside"), planFile)...)
			if f, err := os.Create(log); err == nil {
				cmd.Stderr = f
			}
			return cmd
		})
		if b, err := os.ReadFile(log); err == nil && how != "" {
			how += "\n" + string(b[max(0, len(b)-8000):])
		}
		if !begun(all) {
			fmt.Fprintln(os.Stderr, "suites: nothing was run:", how)
			break
		}
		suites = remaining(suites, all, how)
	}
	return all
}

// file is one of this process.
func (o *options) file(name string) string {
	return filepath.Join(o.dir, fmt.Sprintf("%s-%d", name, os.Getpid()))
}

func begun(all map[string]*results) bool {
	for _, r := range all {
		if !r.began.IsZero() {
			return true
		}
	}
	return false
}

func results0(suites []plan.Suite) map[string]*results {
	all := map[string]*results{}
	for _, s := range suites {
		all[s.Name] = &results{Tests: map[string]outcome{}}
	}
	return all
}

// remaining are the suites that a machine did not come to the end of. The test
// that ran when it died has failed.
func remaining(suites []plan.Suite, all map[string]*results, how string) (rest []plan.Suite) {
	for _, s := range suites {
		r := all[s.Name]
		if r.ended {
			continue
		}
		if r.running != "" {
			r.Tests[r.running] = outcome{Result: plan.Fail, Output: "the machine ended: " + how}
			fmt.Printf("%s: %s: the machine ended: %s\n", s.Name, r.running, how)
			r.running = ""
		}
		for t := range r.Tests {
			if !slices.Contains(s.Skip, t) {
				s.Skip = append(s.Skip, t)
			}
		}
		rest = append(rest, s)
	}
	return rest
}

// one runs suites with one start of the runner, and says how that ended if not well.
func (o *options) one(suites []plan.Suite, all map[string]*results, keep func(map[string]*results), command func(planFile string) *exec.Cmd) string {
	b, err := json.MarshalIndent(suites, "", " ")
	if err != nil {
		return err.Error()
	}
	planFile := o.file("plan")
	if err := os.WriteFile(planFile, b, 0o644); err != nil {
		return err.Error()
	}
	cmd := command(planFile)
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err.Error()
	}
	if err := cmd.Start(); err != nil {
		return err.Error()
	}
	events, err := os.OpenFile(o.file("events"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err.Error()
	}
	defer events.Close()
	collect(io.TeeReader(out, events), all, keep)
	if err := cmd.Wait(); err != nil {
		return err.Error()
	}
	return ""
}

// keepEvery is how often what is known of a run is kept.
const keepEvery = 20 * time.Second

// collect reads events.
func collect(out io.Reader, all map[string]*results, keep func(map[string]*results)) {
	kept := time.Now()
	in := bufio.NewScanner(out)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		text, ok := strings.CutPrefix(in.Text(), plan.Mark)
		var e plan.Event
		if !ok || json.Unmarshal([]byte(text), &e) != nil {
			continue
		}
		r := all[e.Suite]
		switch e.Result {
		case plan.Begin:
			r.began = time.Now()
		case plan.Listed:
			r.Listed = strings.Fields(e.Output)
		case plan.Start:
			r.running = e.Test
		case plan.End:
			r.ended, r.running = true, ""
			r.Trouble = e.Output
			r.Seconds += time.Since(r.began).Seconds()
		default:
			r.Tests[e.Test] = outcome{Result: e.Result, Seconds: e.Seconds, Output: e.Output}
			if r.running == e.Test {
				r.running = ""
			}
			if keep != nil && time.Since(kept) > keepEvery {
				keep(all)
				kept = time.Now()
			}
		}
	}
}
