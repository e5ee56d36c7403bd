package boot

import (
	"strconv"
	"strings"
)

// The kernel's last line on its log says how the machine ended. It starts with
// ReportPrefix so that the tool finds it among log lines:
//
//	gosv: end status=0
//	gosv: end status=139 signal=SIGSEGV addr=0x0 ip=0x401136 insn=mov
//	gosv: end status=125 error="no init: /bin/x: no such file or directory"
//	gosv: end status=125 panic="..."
//	gosv: end status=125 panic="..." started=1
//
// started says that the program ran when the kernel failed.
const ReportPrefix = "gosv: end "

// StartedLine is the line on the kernel's log when the program has started, if [Config.Announce] asks for it. A machine that
// cannot start its program gives its report instead.
const StartedLine = "gosv: started"

// InputWanted is the line on the log that precedes the program's first look at
// standard input: until then the host keeps it. A terminal's input is not
// waited for.
const InputWanted = "gosv: standard input is wanted"

// Names of the virtio-serial ports of a machine; on a machine without them the
// program's output goes to COM1 as the log does.
//
// Standard input has a port of its own because its end is told by the host
// closing the port (VIRTIO_CONSOLE_PORT_OPEN with value 0), and QEMU discards
// what the guest still writes to a port that the host has closed. On a machine
// without that port, input comes from PortStdio and has no end.
const (
	PortStdin  = "gosv.stdin"  // the program's standard input; the host closes it at end of file
	PortStdio  = "gosv.stdio"  // its standard output
	PortStderr = "gosv.stderr" // its standard error
)

// Statuses of a machine that did not run its program to an end: what docker
// run has for its own failures. A report of StatusError with a panic field is a
// bug of the kernel.
const (
	StatusError     = 125 // the kernel itself failed
	StatusNoExec    = 126 // the program cannot be executed
	StatusNoProgram = 127 // there is no such program
)

// Report is how a machine ended.
type Report struct {
	Status int               // exit status, 128+signal if a signal killed the program
	Fields map[string]string // signal, addr, ip, insn, oom, error, panic, started
}

// ParseReport reads a line of the kernel log; ok is false if it is not the report.
func ParseReport(line string) (r Report, ok bool) {
	rest, found := strings.CutPrefix(strings.TrimRight(line, "\r\n"), ReportPrefix)
	if !found {
		return r, false
	}
	words, err := split(rest)
	if err != nil {
		return r, false
	}
	r.Fields = map[string]string{}
	r.Status = -1
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		if name == "status" {
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 || n > 255 {
				return r, false
			}
			r.Status = n
			continue
		}
		r.Fields[name] = value
	}
	return r, r.Status >= 0
}

// FormatReport writes the report; fields are name, value pairs.
func FormatReport(status int, fields ...string) string {
	b := ReportPrefix + "status=" + strconv.Itoa(status)
	for i := 0; i+1 < len(fields); i += 2 {
		b += " " + fields[i] + "=" + quote(fields[i+1])
	}
	return b
}
