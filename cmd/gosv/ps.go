package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"gosv/host/machines"
)

// machineLine is a line of gosv ps.
type machineLine struct {
	Name    string     `json:"name"`
	Program string     `json:"program"`
	Args    []string   `json:"args"`
	State   string     `json:"state"`            // starting, running, exited or lost
	Status  *int       `json:"status,omitempty"` // exit status, once it has exited
	Message string     `json:"message,omitempty"`
	Created time.Time  `json:"created"`
	Started *time.Time `json:"started,omitempty"`
	Ended   *time.Time `json:"ended,omitempty"`
	Ports   []string   `json:"ports"` // [IP:]HOST:GUEST[/udp]
	Network []string   `json:"network"`
	Memory  string     `json:"memory"`
	CPUs    int        `json:"cpus"`
	PID     int        `json:"pid,omitempty"` // of the hypervisor, while it runs
}

func newPs() *cobra.Command {
	var all, quiet bool
	var output string
	c := &cobra.Command{
		Use:   "ps",
		Short: "List the machines that run in the background",
		Example: `  gosv ps
  gosv ps -a
  gosv ps -o json`,
		Args: exactArgs(0, "[flags]"),
		RunE: func(c *cobra.Command, _ []string) error {
			asJSON, err := wantJSON(c, output)
			if err != nil {
				return err
			}
			list, err := listMachines(all)
			if err != nil {
				return err
			}
			w := c.OutOrStdout()
			switch {
			case asJSON:
				return writeJSON(w, list)
			case quiet:
				for _, m := range list {
					if _, err := fmt.Fprintln(w, m.Name); err != nil {
						return err
					}
				}
				return nil
			}
			t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
			fmt.Fprintln(t, "NAME\tPROGRAM\tSTATE\tPORTS")
			for _, m := range list {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", m.Name, cut(oneLine(shellQuote(append([]string{m.Program}, m.Args...))), 40), m.stateText(time.Now()), strings.Join(m.Ports, ", "))
			}
			return t.Flush()
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "also list those that have ended")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print the names only")
	outputFlag(c, &output)
	return c
}

func listMachines(all bool) ([]machineLine, error) {
	store, err := machines.Open()
	if err != nil {
		return nil, err
	}
	list, err := store.List()
	if err != nil {
		return nil, err
	}
	lines := []machineLine{}
	for _, m := range list {
		spec, err1 := m.Spec()
		state, err2 := m.State()
		if err1 != nil || err2 != nil || !all && !state.Alive() {
			continue // it was removed just now
		}
		l := machineLine{Name: m.Name, Program: spec.Program, Args: spec.Args, State: state.State, Message: state.Message, Created: spec.Created,
			Ports: []string{}, Network: []string{}, Memory: memoryText(spec.Machine.Memory), CPUs: spec.Machine.CPUs}
		if l.Args == nil {
			l.Args = []string{}
		}
		if !state.Started.IsZero() {
			l.Started = &state.Started
		}
		if !state.Ended.IsZero() {
			l.Ended = &state.Ended
		}
		switch state.State {
		case machines.Exited:
			l.Status = &state.Status
		case machines.Running:
			l.PID = state.Hypervisor
		}
		for _, n := range spec.Machine.Networks {
			name := n.Kind
			if n.Device != "" {
				name += "=" + n.Device
			}
			l.Network = append(l.Network, name)
			for _, p := range n.Publish {
				l.Ports = append(l.Ports, p.String())
			}
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// stateText is "running 5 minutes".
func (m machineLine) stateText(now time.Time) string {
	switch {
	case m.Status != nil && m.Ended != nil:
		return fmt.Sprintf("exited (%d) %s ago", *m.Status, ageText(now.Sub(*m.Ended)))
	case m.State == machines.Running && m.Started != nil:
		return "running " + ageText(now.Sub(*m.Started))
	}
	return m.State
}

// ageText writes a time for people.
func ageText(d time.Duration) string {
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		switch n := int(d / u.size); {
		case n == 1:
			return "1 " + u.name
		case n > 1:
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	return "less than a second"
}

// oneLine makes every control character a space.
func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, s)
}

// cut shortens a text to n characters.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-3]) + "..."
	}
	return s
}
