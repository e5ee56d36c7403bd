package main

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gosv/abi/boot"
	"gosv/host/machines"
)

func newStop() *cobra.Command {
	var seconds float64
	var name string
	c := &cobra.Command{
		Use:   "stop [flags] NAME...",
		Short: "End machines in the background",
		Long: `Send the program of each machine SIGTERM, wait for its end, and kill the machine
after a time. With another signal than TERM, INT, QUIT and KILL nothing is waited
for: it is sent, and that is all.`,
		Example: `  gosv stop web
  gosv stop -t 60 database
  gosv stop -s HUP web`,
		Args: machineArgs,
		RunE: func(c *cobra.Command, args []string) error {
			sig := boot.ParseSignal(name)
			if sig == 0 {
				return usageError(c, fmt.Sprintf("--signal %s: there is no such signal", name))
			}
			if seconds < 0 || seconds > 1e9 {
				return usageError(c, "--time: it is a number of seconds")
			}
			return eachMachine(c, args, func(m *machines.Machine) (string, error) {
				switch syscall.Signal(sig) {
				case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL:
					return m.Name, m.Stop(sig, time.Duration(seconds*float64(time.Second)))
				}
				conn, err := m.Dial()
				if err != nil {
					return "", err
				}
				defer conn.Close()
				return m.Name, conn.Send(machines.Request{Signal: sig})
			})
		},
	}
	c.Flags().Float64VarP(&seconds, "time", "t", grace.Seconds(), "`SECONDS` until the machine is killed")
	c.Flags().StringVarP(&name, "signal", "s", "TERM", "the `SIGNAL`, by name or number")
	return c
}

func newWait() *cobra.Command {
	return &cobra.Command{
		Use:     "wait NAME...",
		Short:   "Wait for the end of machines in the background, and print their exit statuses",
		Example: "  gosv wait web",
		Args:    machineArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return eachMachine(c, args, func(m *machines.Machine) (string, error) {
				conn, err := m.Dial()
				if err == nil {
					conn.Wait(0)
					conn.Close()
				} else if !errors.Is(err, machines.ErrEnded) {
					return "", err
				}
				s, err := m.State()
				switch {
				case err != nil: // --rm
					return "", fmt.Errorf("%s has ended and was removed", m.Name)
				case s.State != machines.Exited:
					return "", fmt.Errorf("%s: %s", m.Name, s.Message)
				}
				return strconv.Itoa(s.Status), nil
			})
		},
	}
}

func newRm() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "rm [-f] NAME...",
		Short: "Forget machines in the background that have ended, and their output",
		Example: `  gosv rm web
  gosv rm -f $(gosv ps -aq)`,
		Args: machineArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return eachMachine(c, args, func(m *machines.Machine) (string, error) {
				s, err := m.State()
				if err == nil && s.Alive() {
					if !force {
						return "", fmt.Errorf("%s is running; end it with gosv stop %s, or add -f", m.Name, m.Name)
					}
					if err := m.Stop(int(syscall.SIGKILL), 0); err != nil {
						return "", err
					}
				}
				return m.Name, m.Remove()
			})
		},
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "kill those that run")
	return c
}
