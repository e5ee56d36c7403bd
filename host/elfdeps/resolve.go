// Package elfdeps finds what a program needs to start, without executing it: the interpreter of a script, the
// ELF interpreter, and the shared libraries, by the rules of glibc's and musl's dynamic linkers (ld.so(8)).
package elfdeps

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Resolver finds dependencies of programs for one architecture. The zero value
// is for x86-64 and this machine's files.
type Resolver struct {
	Root        string      // prefix of every path that is opened; for tests
	Machine     elf.Machine // EM_NONE: EM_X86_64
	LibraryPath []string    // LD_LIBRARY_PATH

	cacheRead bool
	cache     *Cache
	confRead  bool
	conf      []string
	parsed    map[string]*object
	consulted map[string]bool
}

// Closure is everything that a program needs to start.
type Closure struct {
	Program string   // the program as it was named
	Scripts []Script // the chain of "#!" lines, outermost first
	Interp  string   // the ELF interpreter (ld.so), "" for a static program
	Libs    []Lib    // in load order, breadth first; without the interpreter unless it is also needed by name
	Musl    bool     // the interpreter is musl's
	ELF     string   // the ELF file that runs: the program, or the last interpreter of the chain
}

// Script is one "#!" line.
type Script struct {
	Path   string // the script
	Interp string // the program that it names
	Arg    string // the one argument after it
}

// Lib is a shared library.
type Lib struct {
	Name     string // as in DT_NEEDED
	Path     string // where it was found
	NeededBy string // path of the first file that needs it
}

// MissingLibError says that a library was not found.
type MissingLibError struct{ Name, NeededBy string }

func (e *MissingLibError) Error() string {
	return fmt.Sprintf("library %s, needed by %s, is not on this machine", e.Name, e.NeededBy)
}

// FileError is a file that cannot be used. Err is, or wraps, one of this
// package's errors or an errno.
type FileError struct {
	Path     string
	NeededBy string // "" for the program itself
	Err      error
}

func (e *FileError) Error() string {
	err := e.Err
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	if e.NeededBy != "" {
		return fmt.Sprintf("%s (needed by %s): %v", e.Path, e.NeededBy, err)
	}
	return fmt.Sprintf("%s: %v", e.Path, err)
}

func (e *FileError) Unwrap() error { return e.Err }

// ErrNoInterp is a script whose interpreter does not exist.
var ErrNoInterp = errors.New("its interpreter does not exist")

// object is a file of the closure with the place it was loaded from.
type object struct {
	*File
	path   string
	origin string  // what $ORIGIN is relative to: path, or for the program what /proc/self/exe says
	loader *object // who needed it first; nil for the program
}

const maxScripts = 5 // Linux: BINPRM_MAX_RECURSION plus the ELF file

// Resolve finds what the program at path needs.
func (r *Resolver) Resolve(path string) (*Closure, error) {
	c := &Closure{Program: path}
	cur, neededBy := path, ""
	for depth := 0; ; depth++ {
		s, ok, err := r.script(cur)
		if err != nil {
			if neededBy != "" && errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("%w: %s", ErrNoInterp, interpText(cur, neededBy))
				return nil, &FileError{neededBy, "", err}
			}
			return nil, &FileError{cur, neededBy, err}
		}
		if !ok {
			break
		}
		if depth == maxScripts {
			return nil, &FileError{path, "", errors.New("too many levels of #! interpreters")}
		}
		if !filepath.IsAbs(s.Interp) { // execve(2) looks for it from the working directory
			if abs, err := filepath.Abs(s.Interp); err == nil {
				s.Interp = abs
			}
		}
		c.Scripts = append(c.Scripts, s)
		cur, neededBy = s.Interp, cur
	}
	c.ELF = cur
	main, err := r.open(cur)
	if err != nil {
		return nil, &FileError{cur, neededBy, err}
	}
	if main.Type != elf.ET_EXEC && main.Type != elf.ET_DYN {
		return nil, &FileError{cur, neededBy, errors.New("an ELF file, but not a program")}
	}
	if real, err := filepath.EvalSymlinks(r.host(cur)); err == nil {
		main.origin = strings.TrimPrefix(real, r.Root)
	}
	if main.Interp != "" {
		if _, err := r.open(main.Interp); err != nil {
			return nil, &FileError{main.Interp, cur, err}
		}
		c.Interp = main.Interp
		c.Musl = strings.HasPrefix(filepath.Base(main.Interp), "ld-musl-")
	}
	c.Libs, err = r.walk(main, c.Interp, c.Musl)
	return c, err
}

// interpText is the name of an interpreter that does not exist. One cannot see
// the usual reason when the script was written on another system.
func interpText(interp, script string) string {
	if strings.HasSuffix(interp, "\r") {
		return fmt.Sprintf("%q: the #! line ends in a carriage return; remove it: sed -i 's/\\r$//' %s", interp, script)
	}
	return interp
}

// ResolveLib finds what a shared object that is opened at run time needs: a
// module of an interpreter, an NSS library. Interp is the program's.
func (r *Resolver) ResolveLib(path, interp string) ([]Lib, error) {
	o, err := r.open(path)
	if err != nil {
		return nil, &FileError{path, "", err}
	}
	return r.walk(o, interp, strings.HasPrefix(filepath.Base(interp), "ld-musl-"))
}

// Consulted lists the files that were opened, for a cache of the result.
func (r *Resolver) Consulted() []string {
	var names []string
	for n := range r.consulted {
		names = append(names, n)
	}
	return names
}

// walk loads the needed libraries breadth first, as ld.so does.
func (r *Resolver) walk(main *object, interp string, musl bool) ([]Lib, error) {
	var libs []Lib
	seen := map[string]bool{filepath.Base(interp): true, interp: true}
	queue := []*object{main}
	for len(queue) > 0 {
		o := queue[0]
		queue = queue[1:]
		for _, name := range o.Needed {
			if seen[name] || musl && muslOwn(name) {
				continue
			}
			found, err := r.find(name, o, musl)
			if err != nil {
				return nil, err
			}
			if found == nil {
				return nil, &MissingLibError{name, o.path}
			}
			seen[name] = true
			libs = append(libs, Lib{name, found.path, o.path})
			if found.Soname != "" {
				seen[found.Soname] = true
			}
			queue = append(queue, &object{found.File, found.path, found.path, o})
		}
	}
	return libs, nil
}

// find searches one library in the order of ld.so(8).
func (r *Resolver) find(name string, by *object, musl bool) (*object, error) {
	if strings.Contains(name, "/") {
		p := expand(name, by.origin, r.Machine)
		o, err := r.open(p)
		if err != nil {
			return nil, &FileError{p, by.path, err}
		}
		return o, nil
	}
	try := func(dirs []string, origin string) *object {
		for _, d := range dirs {
			if d = expand(d, origin, r.Machine); d == "" {
				d = "."
			}
			if o, err := r.open(filepath.Join(d, name)); err == nil {
				return o // another architecture's library is passed over, as ld.so does
			}
		}
		return nil
	}
	if musl {
		// ldso/dynlink.c, load_library: the environment, then the chain of rpaths, then the system's path.
		if o := try(r.LibraryPath, ""); o != nil {
			return o, nil
		}
		for l := by; l != nil; l = l.loader {
			if o := try(slices.Concat(l.RPath, l.RunPath), l.origin); o != nil {
				return o, nil
			}
		}
		return try(r.muslDirs(), ""), nil
	}
	if len(by.RunPath) == 0 {
		for l := by; l != nil; l = l.loader {
			if len(l.RunPath) > 0 {
				continue
			}
			if o := try(l.RPath, l.origin); o != nil {
				return o, nil
			}
		}
	}
	if o := try(r.LibraryPath, ""); o != nil {
		return o, nil
	}
	if o := try(by.RunPath, by.origin); o != nil {
		return o, nil
	}
	cache := r.ldCache()
	for _, p := range cache.Lookup(name, cacheFlags(r.Machine)) {
		if by.NoDefLib && isDefault(p, r.Machine) {
			continue
		}
		if o, err := r.open(p); err == nil {
			return o, nil
		}
	}
	if cache == nil {
		if o := try(r.ldConf(), ""); o != nil {
			return o, nil
		}
	}
	if by.NoDefLib {
		return nil, nil
	}
	return try(defaultDirs(r.Machine), ""), nil
}

// open parses a file of the right architecture, once.
func (r *Resolver) open(path string) (*object, error) {
	if o := r.parsed[path]; o != nil {
		return o, nil
	}
	f, err := os.Open(r.host(path))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	e, err := ParseELF(f)
	if err != nil {
		return nil, err
	}
	want := r.Machine
	if want == elf.EM_NONE {
		want = elf.EM_X86_64
	}
	if e.Machine != want {
		return nil, fmt.Errorf("%w: made for %s, this gosv runs %s programs", ErrMachine, machineName(e.Machine), machineName(want))
	}
	o := &object{File: e, path: path, origin: path}
	if r.parsed == nil {
		r.parsed = map[string]*object{}
	}
	r.parsed[path] = o
	r.note(path)
	return o, nil
}

func (r *Resolver) note(path string) {
	if r.consulted == nil {
		r.consulted = map[string]bool{}
	}
	r.consulted[path] = true
}

func (r *Resolver) host(path string) string {
	if r.Root == "" {
		return path
	}
	return filepath.Join(r.Root, path)
}

func (r *Resolver) readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(r.host(path))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r.note(path)
	return io.ReadAll(io.LimitReader(f, limit))
}

func (r *Resolver) ldCache() *Cache {
	if !r.cacheRead {
		r.cacheRead = true
		if b, err := r.readFile("/etc/ld.so.cache", 64<<20); err == nil {
			r.cache, _ = ParseCache(b)
		}
	}
	return r.cache
}

func (r *Resolver) ldConf() []string {
	if !r.confRead {
		r.confRead = true
		r.conf = r.confDirs("/etc/ld.so.conf", 0)
	}
	return r.conf
}
