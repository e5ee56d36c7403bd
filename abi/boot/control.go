package boot

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// PortControl is the virtio-serial port on which the host asks things of the
// kernel while the program runs. A machine need not have it. Each request is a
// line; the kernel does not answer, and ignores what it does not know:
//
//	signal TERM          a signal for the first process, by name or number
//	signal INT group     a signal for its process group, as from a terminal
//	resize 80x24         the terminal has this many columns and rows
//	poweroff             kill the first process, and with it the machine
const PortControl = "gosv.control"

// What a Request asks for.
const (
	RequestSignal   = "signal"
	RequestResize   = "resize"
	RequestPowerOff = "poweroff"
)

// MaxRequest is how many bytes a line on PortControl may have.
const MaxRequest = 64

// Request is a line on PortControl.
type Request struct {
	Verb       string // RequestSignal, RequestResize or RequestPowerOff
	Signal     int    // of RequestSignal
	Group      bool   // of RequestSignal: to the process group
	Cols, Rows int    // of RequestResize
}

// Format writes the request as a line, without its end.
func (r Request) Format() string {
	switch r.Verb {
	case RequestSignal:
		s := r.Verb + " " + SignalName(r.Signal)
		if r.Group {
			s += " group"
		}
		return s
	case RequestResize:
		return r.Verb + " " + strconv.Itoa(r.Cols) + "x" + strconv.Itoa(r.Rows)
	}
	return r.Verb
}

// ParseRequest reads a line of PortControl; ok is false for one that is none.
func ParseRequest(line string) (r Request, ok bool) {
	words := strings.Fields(line)
	if len(words) == 0 || len(line) > MaxRequest {
		return r, false
	}
	r.Verb, words = words[0], words[1:]
	switch {
	case r.Verb == RequestSignal && (len(words) == 1 || len(words) == 2 && words[1] == "group"):
		r.Signal, r.Group = ParseSignal(words[0]), len(words) == 2
		return r, r.Signal != 0
	case r.Verb == RequestResize && len(words) == 1:
		c, l, _ := strings.Cut(words[0], "x")
		cols, err1 := strconv.ParseUint(c, 10, 16)
		rows, err2 := strconv.ParseUint(l, 10, 16)
		r.Cols, r.Rows = int(cols), int(rows)
		return r, err1 == nil && err2 == nil
	case r.Verb == RequestPowerOff:
		return r, len(words) == 0
	}
	return r, false
}

// maxSignal is SIGRTMAX.
const maxSignal = 64

// ParseSignal reads TERM, SIGTERM or 15; it gives 0 for what is no signal.
func ParseSignal(s string) int {
	if n, err := strconv.ParseUint(s, 10, 8); err == nil {
		if n > maxSignal {
			return 0
		}
		return int(n)
	}
	return int(unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(s), "SIG")))
}

// SignalName gives TERM for 15; a signal without a name is its number.
func SignalName(sig int) string {
	if n := unix.SignalName(unix.Signal(sig)); n != "" {
		return strings.TrimPrefix(n, "SIG")
	}
	return strconv.Itoa(sig)
}
