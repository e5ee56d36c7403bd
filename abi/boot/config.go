// Package boot is what the tool and the kernel agree on: the kernel command line, the configuration inside an image,
// and the report that the kernel gives when the machine ends.
package boot

import (
	"errors"
	"strconv"
	"strings"
)

// Config is what a machine is to run. The tool writes it on the kernel command
// line; the part that belongs to an image is also in the image, in the file
// [ConfigPath], in the same format.
//
// The format is one line of words that are separated by spaces. A word may be
// quoted with double quotes, in which a backslash escapes the next character
// (and \n, \t are a newline and a tab). Words before "--" are options,
// name or name=value; the words after it are the program and its arguments.
type Config struct {
	Args     []string // the program's path in the guest, and its arguments; argv[0] is Args[0] unless Argv0 is set
	Argv0    string   // argv[0], when it differs from the path
	Env      []string // NAME=value
	Workdir  string   // the initial working directory, "/" if empty
	Hostname string   // "gosv" if empty
	User     string   // uid[:gid], root if empty
	Init     bool     // the program is not the first process: the kernel's own init is

	Strace    bool // log every system call
	BootChart bool // log when each step of the boot ended
	Announce  bool // log [StartedLine] when the program has started
	Verbose   bool // log what the kernel finds and does
	ReadOnly  bool // no tmpfs over the root

	// Batch is a file in the guest with one command line a line, in this
	// format; the kernel runs them one after the other, each as a new process,
	// announces each with a line on its log and on the standard output
	// ([BatchPrefix]), and ends with the last status. Args are not run then.
	Batch string
	Wall  int64 // wall clock at start, ns since the epoch; 0: ask the hardware

	// Options are the words before "--" that this version does not know.
	Options []string
}

// ConfigPath is where an image keeps the configuration it was built with.
const ConfigPath = "/.gosv/config"

// BatchPrefix starts the line on the standard output that precedes the output
// of command N of a batch ("@@ gosv batch N"), and, on the log, the line that
// follows it ("@@ gosv batch N status=S").
const BatchPrefix = "@@ gosv batch "

// Merge returns c with what is unset taken from the image's configuration; the
// environment is joined, with c's entries last.
func (c Config) Merge(image Config) Config {
	if len(c.Args) == 0 {
		c.Args, c.Argv0 = image.Args, image.Argv0
	}
	c.Env = append(append([]string(nil), image.Env...), c.Env...)
	if c.Workdir == "" {
		c.Workdir = image.Workdir
	}
	if c.Hostname == "" {
		c.Hostname = image.Hostname
	}
	if c.User == "" {
		c.User = image.User
	}
	if c.Batch == "" {
		c.Batch = image.Batch
	}
	c.ReadOnly = c.ReadOnly || image.ReadOnly
	c.Init = c.Init || image.Init
	c.Options = append(append([]string(nil), image.Options...), c.Options...)
	return c
}

// Format writes c as a command line that Parse reads.
func (c Config) Format() string {
	var b strings.Builder
	word := func(name, value string) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		if name != "" {
			value = name + "=" + value
		}
		b.WriteString(quote(value))
	}
	flag := func(name string, on bool) {
		if on {
			word("", name)
		}
	}
	text := func(name, value string) {
		if value != "" {
			word(name, value)
		}
	}
	for _, o := range c.Options {
		word("", o)
	}
	flag("strace", c.Strace)
	flag("bootchart", c.BootChart)
	flag("announce", c.Announce)
	flag("verbose", c.Verbose)
	flag("ro", c.ReadOnly)
	flag("init", c.Init)
	if c.Wall != 0 {
		word("wall", strconv.FormatInt(c.Wall, 10))
	}
	text("hostname", c.Hostname)
	text("user", c.User)
	text("workdir", c.Workdir)
	text("argv0", c.Argv0)
	text("batch", c.Batch)
	for _, e := range c.Env {
		word("env", e)
	}
	if len(c.Args) > 0 {
		word("", "--")
		for _, a := range c.Args {
			word("", a)
		}
	}
	return b.String()
}

// Errors that Parse returns.
var (
	ErrQuote = errors.New("boot: unterminated quote in the command line")
	ErrWall  = errors.New("boot: wall= is not a number of nanoseconds")
)

// Parse reads a command line. It never fails on an option that it does not
// know: those are in Options.
func Parse(line string) (Config, error) {
	var c Config
	words, err := split(line)
	if err != nil {
		return c, err
	}
	for i, w := range words {
		if w == "--" {
			c.Args = words[i+1:]
			break
		}
		name, value, _ := strings.Cut(w, "=")
		switch name {
		case "strace":
			c.Strace = value != "0"
		case "bootchart":
			c.BootChart = value != "0"
		case "announce":
			c.Announce = value != "0"
		case "verbose":
			c.Verbose = value != "0"
		case "ro":
			c.ReadOnly = value != "0"
		case "init":
			c.Init = value != "0"
		case "wall":
			if c.Wall, err = strconv.ParseInt(value, 10, 64); err != nil {
				return c, ErrWall
			}
		case "hostname":
			c.Hostname = value
		case "user":
			c.User = value
		case "workdir":
			c.Workdir = value
		case "argv0":
			c.Argv0 = value
		case "batch":
			c.Batch = value
		case "env":
			c.Env = append(c.Env, value)
		default:
			c.Options = append(c.Options, w)
		}
	}
	return c, nil
}

func quote(w string) string {
	if w != "" && !strings.ContainsAny(w, " \t\n\r\"\\\x00") {
		return w
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(w); i++ {
		switch c := w[i]; c {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\n':
			b.WriteString(`\n`)
		case '\t':
			b.WriteString(`\t`)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func split(line string) ([]string, error) {
	var words []string
	var w []byte
	in, quoted := false, false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quoted && c == '\\':
			i++
			if i == len(line) {
				return nil, ErrQuote
			}
			switch c = line[i]; c {
			case 'n':
				c = '\n'
			case 't':
				c = '\t'
			}
			w = append(w, c)
		case c == '"':
			quoted = !quoted
			in = true
		case !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			if in {
				words = append(words, string(w))
				w, in = w[:0], false
			}
		default:
			w = append(w, c)
			in = true
		}
	}
	if quoted {
		return nil, ErrQuote
	}
	if in {
		words = append(words, string(w))
	}
	return words, nil
}
