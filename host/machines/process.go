package machines

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process tells a process from a later one of the same number.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // proc(5) stat field 22, clock ticks after the boot
	Boot  string `json:"boot"`  // the host's boot
}

// Self is this process.
func Self() Process {
	start, _ := startOf(os.Getpid())
	return Process{os.Getpid(), start, bootID()}
}

// Alive tells whether the process exists, other than as a zombie.
func (p Process) Alive() bool {
	start, ok := startOf(p.PID)
	return ok && start == p.Start && p.Boot == bootID()
}

// Kill ends the process, if it still is the same one.
func (p Process) Kill() error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		if errors.Is(err, unix.ESRCH) {
			return nil
		}
		return fmt.Errorf("process %d: %w", p.PID, err)
	}
	defer unix.Close(fd)
	if !p.Alive() { // the descriptor is of another one
		return nil
	}
	return unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
}

func startOf(pid int) (start uint64, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// The second field is the name in parentheses, which may hold anything.
	s := string(b)
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	const state, startTime = 0, 22 - 3 // the first of f is field 3
	if len(f) <= startTime || f[state] == "Z" || f[state] == "X" {
		return 0, false
	}
	start, err = strconv.ParseUint(f[startTime], 10, 64)
	return start, err == nil
}

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
