// Package config reads gosv.yaml, the description of an image, and the values that the command line shares with it.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"gosv/host/rootfs"
	"gosv/host/vmm"
)

// File is a gosv.yaml.
type File struct {
	Program  string
	Args     []string
	Env      []string // NAME=value, in the order of the file
	Workdir  string
	Hostname string
	Init     bool
	Files    []rootfs.Volume
	Memory   int64    // bytes, 0 if not given
	CPUs     int      // 0 if not given
	Ports    []string // each as vmm.ParsePublish reads it
	Networks []string // each as vmm.ParseNetwork reads it
}

// Error is a mistake in a file.
type Error struct {
	File string
	Line int
	Key  string
	Msg  string
}

func (e *Error) Error() string {
	s := e.File
	if e.Line > 0 {
		s += ":" + strconv.Itoa(e.Line)
	}
	if e.Key != "" {
		s += ": " + e.Key
	}
	return s + ": " + e.Msg
}

// Keys are the keys of a gosv.yaml, sorted.
func Keys() []string {
	keys := make([]string, 0, len(readers))
	for k := range readers {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// maxFile is more than any sensible gosv.yaml.
const maxFile = 1 << 20

// Read reads a gosv.yaml.
func Read(name string) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, &Error{File: name, Msg: err.Error()}
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, &Error{File: name, Msg: "larger than 1 MiB"}
	}
	return Parse(name, b)
}

// Parse reads the text of a gosv.yaml; name is for messages.
func Parse(name string, text []byte) (*File, error) {
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&doc); err == io.EOF {
		return nil, &Error{File: name, Msg: "is empty; it needs at least program: PATH"}
	} else if err != nil {
		return nil, syntaxError(name, err)
	}
	if err := d.Decode(new(yaml.Node)); err != io.EOF {
		return nil, &Error{File: name, Msg: "holds more than one YAML document"}
	}
	f := new(File)
	if len(doc.Content) != 1 {
		return nil, &Error{File: name, Msg: "is not a mapping of keys"}
	}
	top := follow(doc.Content[0])
	if top.Kind != yaml.MappingNode {
		return nil, &Error{name, top.Line, "", "must be a mapping of keys, such as program: PATH"}
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(top.Content); i += 2 {
		k, v := top.Content[i], follow(top.Content[i+1])
		read := readers[k.Value]
		if k.Kind != yaml.ScalarNode || read == nil {
			return nil, &Error{name, k.Line, k.Value, "unknown key" + suggest(k.Value)}
		}
		if seen[k.Value] {
			return nil, &Error{name, k.Line, k.Value, "given twice"}
		}
		seen[k.Value] = true
		if err := read(f, v); err != nil {
			var at *lineError
			line := v.Line
			if errors.As(err, &at) {
				line = at.line
			}
			return nil, &Error{name, line, k.Value, err.Error()}
		}
	}
	return f, nil
}

// syntaxError gives a message of the YAML parser ("yaml: line 3: ...") our form.
func syntaxError(name string, err error) error {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(msg, "line "); ok {
		if n, text, ok := strings.Cut(rest, ": "); ok {
			if line, err := strconv.Atoi(n); err == nil {
				return &Error{name, line, "", text}
			}
		}
	}
	return &Error{File: name, Msg: msg}
}

// lineError is a mistake on a line of its own, inside a list.
type lineError struct {
	line int
	msg  string
}

func (e *lineError) Error() string { return e.msg }

// follow gives what an alias stands for.
func follow(n *yaml.Node) *yaml.Node {
	for i := 0; n.Kind == yaml.AliasNode && i < 10; i++ {
		n = n.Alias
	}
	return n
}

// readers read the value of each key.
var readers = map[string]func(*File, *yaml.Node) error{
	"program":  func(f *File, n *yaml.Node) (err error) { f.Program, err = text(n); return },
	"args":     func(f *File, n *yaml.Node) (err error) { f.Args, err = texts(n); return },
	"env":      func(f *File, n *yaml.Node) (err error) { f.Env, err = env(n); return },
	"hostname": func(f *File, n *yaml.Node) (err error) { f.Hostname, err = text(n); return },
	"init": func(f *File, n *yaml.Node) error {
		if n.Decode(&f.Init) != nil {
			return errors.New("must be true or false")
		}
		return nil
	},
	"files": func(f *File, n *yaml.Node) (err error) { f.Files, err = files(n); return },
	"workdir": func(f *File, n *yaml.Node) (err error) {
		if f.Workdir, err = text(n); err == nil && !path.IsAbs(f.Workdir) {
			err = errors.New("must be an absolute path")
		}
		return err
	},
	"memory": func(f *File, n *yaml.Node) error {
		s, err := text(n)
		if err == nil {
			f.Memory, err = ParseMemory(s)
		}
		return err
	},
	"cpus": func(f *File, n *yaml.Node) error {
		s, err := text(n)
		if err == nil {
			f.CPUs, err = ParseCPUs(s)
		}
		return err
	},
	"ports": func(f *File, n *yaml.Node) (err error) {
		f.Ports, err = checked(n, func(s string) error { _, err := vmm.ParsePublish(s); return err })
		return err
	},
	"network": func(f *File, n *yaml.Node) (err error) {
		if n.Kind == yaml.ScalarNode {
			n = &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{n}}
		}
		f.Networks, err = checked(n, func(s string) error { _, err := vmm.ParseNetwork(s); return err })
		return err
	},
}

// checked reads a list of texts that must pass a check.
func checked(n *yaml.Node, check func(string) error) ([]string, error) {
	list, err := texts(n)
	if err != nil {
		return nil, err
	}
	for i, s := range list {
		if err := check(s); err != nil {
			return nil, &lineError{follow(n.Content[i]).Line, err.Error()}
		}
	}
	return list, nil
}

func text(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return "", errors.New("must be a text")
	}
	if strings.ContainsRune(n.Value, 0) {
		return "", errors.New("holds a zero byte")
	}
	if n.Value == "" {
		return "", errors.New("is empty")
	}
	return n.Value, nil
}

func texts(n *yaml.Node) ([]string, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, errors.New("must be a list")
	}
	var list []string
	for _, c := range n.Content {
		c = follow(c)
		if c.Kind != yaml.ScalarNode || strings.ContainsRune(c.Value, 0) {
			return nil, &lineError{c.Line, "each item must be a text"}
		}
		list = append(list, c.Value)
	}
	return list, nil
}

// env reads a mapping of names to values, or a list of NAME=value.
func env(n *yaml.Node) ([]string, error) {
	var list []string
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], follow(n.Content[i+1])
			if k.Kind != yaml.ScalarNode || v.Kind != yaml.ScalarNode {
				return nil, &lineError{k.Line, "each variable must have a text as its value"}
			}
			list = append(list, k.Value+"="+v.Value)
		}
	} else {
		var err error
		if list, err = texts(n); err != nil {
			return nil, err
		}
	}
	for _, e := range list {
		if err := CheckEnv(e); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// files reads a list of HOST:GUEST[:ro], or of mappings with from, to and
// readonly.
func files(n *yaml.Node) ([]rootfs.Volume, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, errors.New("must be a list")
	}
	var list []rootfs.Volume
	for _, c := range n.Content {
		c = follow(c)
		if c.Kind == yaml.ScalarNode {
			v, err := rootfs.ParseVolume(c.Value)
			if err != nil {
				return nil, &lineError{c.Line, err.Error()}
			}
			list = append(list, v)
			continue
		}
		if c.Kind != yaml.MappingNode {
			return nil, &lineError{c.Line, "each item must be HOST:GUEST, or have the keys from and to"}
		}
		var v rootfs.Volume
		for i := 0; i+1 < len(c.Content); i += 2 {
			k, val := c.Content[i], follow(c.Content[i+1])
			s, err := text(val)
			switch k.Value {
			case "from":
				v.Host = s
			case "to":
				v.Guest = path.Clean(s)
			case "readonly":
				if v.ReadOnly, err = strconv.ParseBool(s); err != nil {
					err = errors.New("must be true or false")
				}
			default:
				return nil, &lineError{k.Line, k.Value + " is no key of a file; it has from, to and readonly"}
			}
			if err != nil {
				return nil, &lineError{k.Line, k.Value + " " + err.Error()}
			}
		}
		if v.Host == "" || !path.IsAbs(v.Guest) {
			return nil, &lineError{c.Line, "a file needs from: a path of the host, and to: an absolute path of the guest"}
		}
		list = append(list, v)
	}
	return list, nil
}

// CheckEnv checks that a text is NAME=value.
func CheckEnv(s string) error {
	name, _, ok := strings.Cut(s, "=")
	if !ok || name == "" || strings.ContainsAny(name, " \t\n\x00") || strings.ContainsRune(s, 0) {
		return fmt.Errorf("%q is not NAME=value", s)
	}
	return nil
}

// ParseMemory reads a size: a number with one of K, M, G, T (powers of 1024,
// also written KiB, KB and so on), or a number of MiB.
func ParseMemory(s string) (int64, error) {
	bad := func() (int64, error) {
		return 0, fmt.Errorf("%q is not a size of memory; write for example 64M or 2G", s)
	}
	t := strings.ToUpper(strings.TrimSpace(s))
	t = strings.TrimSuffix(strings.TrimSuffix(t, "B"), "I")
	shift := 20
	if t != "" {
		if i := strings.IndexByte("KMGT", t[len(t)-1]); i >= 0 {
			shift = 10 * (i + 1)
			t = t[:len(t)-1]
		} else if len(t) != len(strings.TrimSpace(s)) {
			return bad() // "64B"
		}
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(t), 64)
	if err != nil || math.IsNaN(v) || v <= 0 || strings.ContainsAny(t, "EXPNI+_") {
		return bad()
	}
	if v *= float64(int64(1) << shift); v > MaxMemory {
		return 0, fmt.Errorf("%s of memory is more than the %d GiB that a machine can have", s, int64(MaxMemory)>>30)
	}
	return int64(v) &^ 4095, nil
}

// MaxMemory is the most memory that the kernel uses.
const MaxMemory = 16 << 30

// ParseCPUs reads a number of CPUs.
func ParseCPUs(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > MaxCPUs {
		return 0, fmt.Errorf("%q is not a number of CPUs from 1 to %d", s, MaxCPUs)
	}
	return n, nil
}

// MaxCPUs is how many CPUs the kernel starts.
const MaxCPUs = 8

// suggest names a key that was probably meant.
func suggest(key string) string {
	for _, k := range Keys() {
		if len(key) > 2 && (strings.HasPrefix(k, key) || strings.HasPrefix(key, k)) {
			return "; did you mean " + k + "?"
		}
	}
	return "; the keys are " + strings.Join(Keys(), ", ")
}

// ParseEnvFile reads a file of NAME=value lines, as docker run --env-file does:
// empty lines and lines that start with # are skipped, a name alone takes the
// value from lookup, and values are as they are written, quotes included.
func ParseEnvFile(name string, text []byte, lookup func(string) (string, bool)) ([]string, error) {
	var list []string
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimRight(strings.TrimLeft(line, " \t"), "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		if !strings.Contains(line, "=") {
			if v, ok := lookup(line); ok {
				list = append(list, line+"="+v)
			}
			continue
		}
		if err := CheckEnv(line); err != nil {
			return nil, &Error{name, i + 1, "", err.Error()}
		}
		list = append(list, line)
	}
	return list, nil
}
