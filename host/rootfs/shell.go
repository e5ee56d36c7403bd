package rootfs

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// scriptLimit is how much of a shell script is read, in bytes.
const scriptLimit = 1 << 20

var (
	shells = []string{"sh", "ash", "bash", "dash", "ksh", "ksh93", "mksh", "yash", "zsh"}

	// wrappers start the program that one of their arguments names.
	wrappers = []string{"command", "chroot", "chrt", "dumb-init", "env", "exec", "find", "flock", "gosu", "ionice", "nice", "nohup", "prlimit",
		"runuser", "setpriv", "setsid", "stdbuf", "strace", "su-exec", "sudo", "taskset", "time", "timeout", "tini", "watch", "xargs"}

	// builtins are commands of the shells that exist as programs, too.
	builtins = []string{"[", "alias", "bg", "cd", "command", "echo", "false", "fc", "fg", "getopts", "hash", "jobs", "kill", "printf", "pwd",
		"read", "test", "time", "true", "type", "ulimit", "umask", "unalias", "wait"}
)

// isShell reports whether the program with this path is a shell.
func isShell(program string) bool { return slices.Contains(shells, filepath.Base(program)) }

// shellScript is what a script starts, as far as its text says.
type shellScript struct {
	programs []string // names and paths
	sources  []string // scripts that it reads or has a shell run, as it names them
	args     bool     // it starts the program that its arguments name
}

// parseScript reads a script. After an error of syntax it keeps what came before: zsh and
// ksh have words that bash does not.
func parseScript(text io.Reader) *shellScript {
	s := &shellScript{}
	var functions []string
	var trees []*syntax.Stmt
	for stmt, err := range syntax.NewParser(syntax.Variant(syntax.LangBash)).StmtsSeq(text) {
		if err != nil {
			break
		}
		trees = append(trees, stmt)
	}
	for _, t := range trees {
		syntax.Walk(t, func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.FuncDecl:
				if n.Name != nil {
					functions = append(functions, n.Name.Value)
				}
			case *syntax.CallExpr:
				s.call(n.Args)
			}
			return true
		})
	}
	s.programs = slices.DeleteFunc(s.programs, func(p string) bool {
		return slices.Contains(functions, p) || slices.Contains(builtins, p)
	})
	return s
}

// call notes a simple command.
func (s *shellScript) call(words []*syntax.Word) {
	if len(words) == 0 {
		return
	}
	name, args := s.command(words[0]), words[1:]
	switch base := filepath.Base(name); {
	case name == "":
	case base == "." || base == "source":
		if len(args) > 0 {
			s.source(args[0])
		}
	case base == "eval":
		for _, w := range args {
			s.text(w)
		}
	case base == "trap" && len(args) > 0:
		s.text(args[0])
	case isShell(base):
		for i, w := range args {
			lit, whole := literal(w)
			if whole && strings.HasPrefix(lit, "-") && strings.HasSuffix(lit, "c") && i+1 < len(args) {
				s.text(args[i+1])
				return
			}
			if !whole || !strings.HasPrefix(lit, "-") {
				s.source(w)
				return
			}
		}
	case slices.Contains(wrappers, base):
		for i, w := range args {
			lit, whole := literal(w)
			if whole && isShell(lit) {
				s.call(args[i:])
				return
			}
			if !strings.HasPrefix(lit, "-") && !strings.ContainsAny(lit, "= ") {
				s.command(w)
			}
		}
	}
}

// command notes what a word in the place of a command starts, and gives its name.
func (s *shellScript) command(w *syntax.Word) string {
	lit, whole := literal(w)
	switch {
	case whole:
	case lit == "":
		s.args = s.args || isArgs(w)
		return ""
	case strings.Contains(lit, "/"): // $bindir/program
		lit = filepath.Base(lit)
	default:
		return ""
	}
	if lit != "" && !slices.Contains(s.programs, lit) {
		s.programs = append(s.programs, lit)
	}
	return lit
}

func (s *shellScript) source(w *syntax.Word) {
	if lit, whole := literal(w); whole && lit != "" {
		s.sources = append(s.sources, lit)
	}
}

// text notes what a word starts that is a script itself.
func (s *shellScript) text(w *syntax.Word) {
	if lit, whole := literal(w); whole {
		in := parseScript(strings.NewReader(lit))
		s.programs = append(s.programs, in.programs...)
		s.sources = append(s.sources, in.sources...)
		s.args = s.args || in.args
	}
}

// literal is the text of a word; where it has expansions, what follows the last one, and false.
func literal(w *syntax.Word) (text string, whole bool) {
	whole = true
	var b strings.Builder
	var add func(parts []syntax.WordPart)
	add = func(parts []syntax.WordPart) {
		for _, p := range parts {
			switch p := p.(type) {
			case *syntax.Lit:
				b.WriteString(strings.ReplaceAll(p.Value, `\`, ""))
			case *syntax.SglQuoted:
				b.WriteString(p.Value)
			case *syntax.DblQuoted:
				add(p.Parts)
			default:
				whole = false
				b.Reset()
			}
		}
	}
	add(w.Parts)
	return b.String(), whole
}

// isArgs reports whether a word is "$@", $*, $1 or "$1".
func isArgs(w *syntax.Word) bool {
	if len(w.Parts) != 1 {
		return false
	}
	p := w.Parts[0]
	if q, ok := p.(*syntax.DblQuoted); ok && len(q.Parts) == 1 {
		p = q.Parts[0]
	}
	e, ok := p.(*syntax.ParamExp)
	return ok && e.Param != nil && slices.Contains([]string{"@", "*", "1"}, e.Param.Value)
}

// shellArgs adds what a shell with these arguments starts.
func (c *collector) shellArgs(args []string) {
	for i, a := range args {
		switch {
		case strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && strings.HasSuffix(a, "c"):
			if i+1 < len(args) {
				c.started(parseScript(strings.NewReader(args[i+1])), args[min(i+3, len(args)):]) // after $0
			}
			return
		case !strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "+"):
			c.script(a, args[i+1:])
			return
		}
	}
}

// script adds what a shell script starts.
func (c *collector) script(name string, args []string) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(c.q.Cwd, name)
	}
	if c.done["script "+name] {
		return
	}
	c.done["script "+name] = true
	f, err := os.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return
	}
	c.started(parseScript(io.LimitReader(f, scriptLimit)), args)
}

// started adds the programs and scripts of a script, as far as this machine has them.
func (c *collector) started(s *shellScript, args []string) {
	if s.args && len(args) > 0 {
		c.start(args[0])
	}
	for _, name := range s.programs {
		c.start(name)
	}
	for _, name := range s.sources {
		if p, err := FindProgram(name, c.q.Cwd, c.q.SearchPath); err == nil {
			name = p
		} else if !filepath.IsAbs(name) {
			name = filepath.Join(c.q.Cwd, name)
		}
		if st, err := os.Stat(name); err == nil && st.Mode().IsRegular() {
			if _, err := c.tree.AddHostPath(name); err == nil {
				c.script(name, nil)
			}
		}
	}
}

// start adds a program that another one starts, if this machine has it.
func (c *collector) start(name string) { c.startFrom(name, c.q.SearchPath) }

func (c *collector) startFrom(name, searchPath string) {
	if c.done["run "+name] {
		return
	}
	c.done["run "+name] = true
	p, err := FindProgram(name, c.q.Cwd, searchPath)
	if err == nil {
		_, err = c.program(p)
	}
	if err != nil {
		c.q.Note("%s: %v", name, err)
	}
}
