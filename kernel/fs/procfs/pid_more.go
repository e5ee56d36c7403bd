package procfs

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
)

// addMore adds the files that only tools for debugging and accounting read.
func (w *tree) addMore(must func(func([]byte, Thread) []byte) func([]byte) ([]byte, error),
	space func(func([]byte, *mm.AddressSpace) ([]byte, error)) func([]byte) ([]byte, error)) {
	p := w.p
	w.private("io", 0o400, must(func(b []byte, t Thread) []byte {
		if w.whole {
			return appendIO(b, p.IO())
		}
		return appendIO(b, t.IO())
	}))
	w.private("numa_maps", 0o444, space(func(b []byte, as *mm.AddressSpace) ([]byte, error) { return appendNUMAMaps(b, as), nil }))
	w.file("sched", 0o444, must(appendSched))
	w.file("projid_map", 0o644, func(b []byte) ([]byte, error) { return append(b, "         0          0 4294967295\n"...), nil })
	w.file("mountstats", 0o400, must(func(b []byte, t Thread) []byte {
		if x := t.FSContext(); x != nil {
			return appendMountStats(b, x.Root())
		}
		return b
	}))
	if w.whole {
		w.private("timers", 0o444, func(b []byte) ([]byte, error) { return appendTimers(b, p.Timers()), nil })
		w.d.Add("map_files", w.dir(0o500, &mapFiles{*w}))
		w.addTimerSlack()
	} else {
		// Children belong to the process here, not to the thread that made them.
		w.file("children", 0o444, must(func(b []byte, t Thread) []byte {
			if t.TID() == p.PID() {
				for _, id := range p.Children() {
					b = append(strconv.AppendInt(b, int64(id), 10), ' ')
				}
			}
			return b
		}))
	}
	w.addPagemap()
	w.addNamespaces()
	old := w.file("oom_adj", 0o644, func(b []byte) ([]byte, error) {
		v := int64(15)
		if a := int64(p.OOMScoreAdj()); a < 1000 {
			v = a * 17 / 1000
		}
		return append(strconv.AppendInt(b, v, 10), '\n'), nil
	})
	old.Write = func(c vfs.Caller, b []byte) error {
		v, err := strconv.Atoi(string(bytes.TrimSpace(b)))
		if err != nil || v < -17 || v > 15 {
			return unix.EINVAL
		}
		if v = v * 1000 / 17; v == 15*1000/17 {
			v = 1000
		}
		return setOOMScoreAdj(c, p, v)
	}
}

func setOOMScoreAdj(c vfs.Caller, p Process, v int) error {
	if v < p.OOMScoreAdj() && !c.Creds.Has(unix.CAP_SYS_RESOURCE) {
		return unix.EACCES
	}
	p.SetOOMScoreAdj(v)
	return nil
}

// appendIO writes /proc/PID/io (proc_pid_io(5)). What a process has the disk read
// or write is not known: pages are read by whoever needs them first.
func appendIO(b []byte, c IO) []byte {
	for _, l := range []struct {
		name string
		v    uint64
	}{{"rchar: ", c.ReadBytes}, {"wchar: ", c.WrittenBytes}, {"syscr: ", c.Reads}, {"syscw: ", c.Writes},
		{"read_bytes: ", 0}, {"write_bytes: ", 0}, {"cancelled_write_bytes: ", 0}} {
		b = append(strconv.AppendUint(append(b, l.name...), l.v, 10), '\n')
	}
	return b
}

// appendSched writes the lines of /proc/PID/sched that are known.
func appendSched(b []byte, t Thread) []byte {
	var st State
	t.State(&st)
	b = append(append(b, t.Comm()...), " ("...)
	b = strconv.AppendInt(b, int64(t.TID()), 10)
	b = strconv.AppendInt(append(b, ", #threads: "...), int64(st.Threads), 10)
	b = append(b, ")\n-------------------------------------------------------------------\n"...)
	value := func(name, v string) {
		b = append(left(b, name, 45), ':')
		for n := len(v); n < 21; n++ {
			b = append(b, ' ')
		}
		b = append(append(b, v...), '\n')
	}
	number := func(name string, v int64) { value(name, strconv.FormatInt(v, 10)) }
	run := st.UserTime + st.SystemTime
	value("se.sum_exec_runtime", decimal(uint64(run), 1e6, 6))
	number("nr_switches", int64(st.Voluntary+st.Involuntary))
	number("nr_voluntary_switches", int64(st.Voluntary))
	number("nr_involuntary_switches", int64(st.Involuntary))
	number("policy", int64(st.Policy))
	number("prio", int64(100+st.Priority))
	return b
}

// appendTimers writes /proc/PID/timers (proc_pid_timers(5)).
func appendTimers(b []byte, list []Timer) []byte {
	for _, t := range list {
		b = strconv.AppendInt(append(b, "ID: "...), int64(t.ID), 10)
		b = strconv.AppendInt(append(b, "\nsignal: "...), int64(t.Signal), 10)
		b = hex(append(b, '/'), t.Value, 16)
		how, whom := "signal", "pid"
		switch t.Notify &^ linux.SIGEV_THREAD_ID {
		case linux.SIGEV_NONE:
			how = "none"
		case linux.SIGEV_THREAD:
			how = "thread"
		}
		if t.Notify&linux.SIGEV_THREAD_ID != 0 {
			whom = "tid"
		}
		b = append(append(append(append(b, "\nnotify: "...), how...), '/'), whom...)
		b = strconv.AppendInt(append(b, '.'), int64(t.Target), 10)
		b = strconv.AppendInt(append(b, "\nClockID: "...), int64(t.Clock), 10)
		b = append(b, '\n')
	}
	return b
}

// addTimerSlack adds timerslack_ns (proc_pid_timerslack_ns(5)): others than the
// thread itself need CAP_SYS_NICE.
func (w *tree) addTimerSlack() {
	thread := w.t
	allowed := func(c vfs.Caller) (Thread, error) {
		t := thread()
		if t == nil {
			return nil, unix.ESRCH
		}
		if me := current(c); (me == nil || me.TID() != t.TID()) && !c.Creds.Has(unix.CAP_SYS_NICE) {
			return nil, unix.EPERM
		}
		return t, nil
	}
	f := w.file("timerslack_ns", 0o666, nil)
	f.Content = func(c vfs.Caller) ([]byte, error) {
		t, err := allowed(c)
		if err != nil {
			return nil, err
		}
		return append(strconv.AppendUint(nil, t.TimerSlack(), 10), '\n'), nil
	}
	f.Write = func(c vfs.Caller, b []byte) error {
		v, err := strconv.ParseUint(string(bytes.TrimSpace(b)), 10, 64)
		if err != nil {
			if err.(*strconv.NumError).Err == strconv.ErrRange {
				return unix.ERANGE
			}
			return unix.EINVAL
		}
		t, err := allowed(c)
		if err == nil {
			t.SetTimerSlack(v)
		}
		return err
	}
}
