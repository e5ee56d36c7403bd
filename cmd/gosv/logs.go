package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gosv/host/machines"
)

func newLogs() *cobra.Command {
	var o logOptions
	c := &cobra.Command{
		Use:   "logs [flags] NAME",
		Short: "Print what a machine in the background has written",
		Long: `Print what the program of a machine in the background has written to its standard
output and error, on the same streams. The last 32 to 64 MiB are kept.`,
		Example: `  gosv logs web
  gosv logs -f -n 10 web
  gosv logs --kernel -t web`,
		Args: exactArgs(1, "NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			store, err := machines.Open()
			if err != nil {
				return err
			}
			m, err := store.Find(args[0])
			if err != nil {
				return err
			}
			return o.print(m, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on until the machine ends")
	f.IntVarP(&o.tail, "tail", "n", -1, "begin with the last `NUMBER` lines")
	f.BoolVarP(&o.times, "timestamps", "t", false, "print when each line was begun")
	f.BoolVar(&o.kernel, "kernel", false, "print the kernel's log too")
	return c
}

type logOptions struct {
	follow, times, kernel bool
	tail                  int
}

func (o *logOptions) print(m *machines.Machine, stdout, stderr io.Writer) error {
	to := func(s machines.Stream) io.Writer {
		switch {
		case s == machines.Stdout:
			return stdout
		case s == machines.Stderr || o.kernel:
			return stderr
		}
		return io.Discard
	}
	pass := func(r machines.Record) error {
		_, err := to(r.Stream).Write(r.Data)
		return err
	}
	if o.tail < 0 && !o.times {
		return m.ReadLog(o.follow, pass)
	}
	line := func(t time.Time, s machines.Stream, text []byte) error {
		if s == machines.Kernel && !o.kernel {
			return nil
		}
		var b strings.Builder
		if o.times {
			b.WriteString(t.Format("2006-01-02T15:04:05.000Z07:00 "))
		}
		b.Write(text)
		b.WriteByte('\n')
		_, err := io.WriteString(to(s), b.String())
		return err
	}
	if o.tail < 0 {
		lines := machines.Lines{Line: line}
		if err := m.ReadLog(o.follow, lines.Add); err != nil {
			return err
		}
		return lines.End()
	}
	skip, err := o.countLines(m)
	if err != nil {
		return err
	}
	lines := machines.Lines{Line: func(t time.Time, s machines.Stream, text []byte) error {
		if s == machines.Kernel && !o.kernel {
			return nil
		}
		if skip--; skip >= 0 {
			return nil
		}
		return line(t, s, text)
	}}
	if err := m.ReadLog(o.follow, lines.Add); err != nil {
		return err
	}
	return lines.End()
}

// countLines gives how many lines to skip for --tail.
func (o *logOptions) countLines(m *machines.Machine) (skip int, err error) {
	lines := machines.Lines{Line: func(_ time.Time, s machines.Stream, _ []byte) error {
		if s != machines.Kernel || o.kernel {
			skip++
		}
		return nil
	}}
	if err := m.ReadLog(false, lines.Add); err != nil {
		return 0, fmt.Errorf("%s: %w", m.Name, err)
	}
	return skip - o.tail, lines.End()
}
