package rootfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"gosv/host/elfdeps"
)

// Request is what an image is to be made of.
type Request struct {
	Program     string   // as the user named it
	Args        []string // the program's arguments
	Also        []string // further programs to put in, as named
	Cwd         string   // the host's working directory
	SearchPath  string   // $PATH
	LibraryPath []string // LD_LIBRARY_PATH
	Env         []string // the program's environment: for locales
	Workdir     string   // in the guest; made if missing
	Volumes     []Volume
	ArgFiles    bool // copy the files that arguments name

	Note func(format string, args ...any) // told what was done; may be nil
	Warn func(format string, args ...any) // told what was probably meant otherwise; may be nil
}

// Result is a collected program.
type Result struct {
	Tree  *Tree
	Args  []string // path of the program in the guest, and its arguments
	Argv0 string   // argv[0] when it is not Args[0]
	ELF   string   // the ELF file that runs
}

// How much the files and, with all that is in them, the directories that
// arguments name may be together.
const (
	ArgFilesLimit = 1 << 30
	ArgDirsLimit  = 64 << 20
)

// Collect finds everything that a program needs.
func Collect(q Request) (*Result, error) {
	if q.Note == nil {
		q.Note = func(string, ...any) {}
	}
	if q.Warn == nil {
		q.Warn = q.Note
	}
	c := &collector{q: q, tree: NewTree(), deps: &elfdeps.Resolver{LibraryPath: q.LibraryPath}, done: map[string]bool{}}
	program, err := FindProgram(q.Program, q.Cwd, q.SearchPath)
	if err != nil {
		return nil, err
	}
	res := &Result{Tree: c.tree, Args: append([]string{program}, q.Args...), Argv0: q.Program}
	// What a script sees of its own name, as $0, is the path that it was started by. A relative one means the same file
	// where the guest has this working directory.
	scriptName := program
	if strings.Contains(q.Program, "/") && q.Workdir == q.Cwd {
		scriptName = q.Program
	}
	for depth := 0; depth < 4; depth++ {
		words, ok := envScript(program)
		if !ok {
			break
		}
		if _, err := c.tree.AddHostPath(program); err != nil {
			return nil, explain(err)
		}
		if program, err = FindProgram(words[0], q.Cwd, q.SearchPath); err != nil {
			return nil, &NotFoundError{fmt.Sprintf("%s: its interpreter does not exist: %v", q.Program, err)}
		}
		q.Note("%s is run by %s", res.Args[0], program)
		script := res.Args
		if depth == 0 {
			script[0] = scriptName
		}
		res.Args = slices.Concat([]string{program}, words[1:], script)
		res.Argv0 = words[0]
	}
	c.first = program
	if res.ELF, err = c.program(program); err != nil {
		return nil, err
	}
	if res.Args[0] == program && res.ELF != program { // a script that is run by its interpreter
		res.Args[0] = scriptName
	}
	if isShell(program) {
		c.shellArgs(res.Args[1:])
	}
	for _, also := range q.Also {
		p, err := FindProgram(also, q.Cwd, q.SearchPath)
		if err != nil {
			return nil, err
		}
		if _, err := c.program(p); err != nil {
			return nil, err
		}
	}
	if q.ArgFiles {
		c.argFiles(ArgFiles(q))
	}
	for _, v := range q.Volumes {
		host := v.Host
		if !filepath.IsAbs(host) {
			host = filepath.Join(q.Cwd, host)
		}
		if err := c.volumeProgram(host, v.Guest); err != nil {
			return nil, err
		}
		var modules []string
		visit := func(name string, e *Entry) {
			if module(name, e) {
				modules = append(modules, name)
			}
		}
		if err := c.tree.AddHost(host, v.Guest, CopyOptions{ReadOnly: v.ReadOnly, Visit: visit}); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("volume %s: no such file or directory on the host", v.Host)
			}
			return nil, fmt.Errorf("volume %s: %w", v.Host, err)
		}
		c.volumeLibs(host, modules)
		q.Note("copied %s to %s", v.Host, v.Guest)
	}
	c.base()
	if res.Argv0 == res.Args[0] {
		res.Argv0 = ""
	}
	return res, nil
}

// volumeProgram adds what a program needs that is copied as a volume: its
// libraries, and at the same path also its recipes.
func (c *collector) volumeProgram(host, guest string) error {
	st, err := os.Stat(host)
	if err != nil || !st.Mode().IsRegular() || st.Mode()&0o111 == 0 {
		return nil
	}
	if host == guest {
		_, err := c.program(host)
		if nf := (*NotFoundError)(nil); errors.As(err, &nf) {
			return err
		}
		return nil // a script or a program of another kind: copied as it is
	}
	if cl, err := c.deps.Resolve(host); err == nil && isELF(host) {
		c.libs(cl.Libs)
	}
	return nil
}

// volumeLibs adds the libraries of programs and shared objects in a volume,
// but for those that the volume has itself.
func (c *collector) volumeLibs(volume string, modules []string) {
	if real, err := filepath.EvalSymlinks(volume); err == nil {
		volume = real
	}
	for _, m := range modules {
		libs, err := c.deps.ResolveLib(m, c.interp)
		if err != nil {
			c.q.Note("volume's %s: %v", m, err)
			continue
		}
		c.libs(slices.DeleteFunc(libs, func(l elfdeps.Lib) bool {
			return strings.HasPrefix(l.Path, volume+"/") || c.tree.Lookup(l.Path) != nil
		}))
	}
}

type collector struct {
	q      Request
	tree   *Tree
	deps   *elfdeps.Resolver
	first  string          // the program of the request
	interp string          // of the last dynamic program
	glibc  bool            // a dynamic program of glibc is in
	whole  []string        // directories that came whole
	dirs   []*Entry        // directories that packages ask for
	done   map[string]bool // recipes' paths and libraries that are in
}

// program adds a program with its libraries and what recipes name.
func (c *collector) program(p string) (elf string, err error) {
	cl, err := c.deps.Resolve(p)
	if err != nil {
		return "", explain(err)
	}
	files := []string{p, cl.ELF}
	for _, s := range cl.Scripts {
		files = append(files, s.Path, s.Interp)
	}
	if cl.Interp != "" {
		files = append(files, cl.Interp)
		c.interp = cl.Interp
	}
	libs := c.libs(cl.Libs)
	for _, f := range files {
		if _, err := c.tree.AddHostPath(f); err != nil {
			return "", explain(err)
		}
	}
	if cl.Interp != "" && !cl.Musl {
		c.glibc = true
		for _, l := range glibcLibs {
			c.optionalLib(l)
		}
	}
	real, err := filepath.EvalSymlinks(cl.ELF)
	if err != nil {
		return "", explain(err)
	}
	names := []string{real}
	for _, s := range cl.Scripts {
		names = append(names, s.Path)
		if p, err := filepath.EvalSymlinks(s.Path); err == nil {
			names = append(names, p)
		}
	}
	// The libraries of modules may have recipes of their own: _ssl.so of Python needs libcrypto.so.
	for n := -1; n != len(libs); {
		n = len(libs)
		for i := range recipes {
			if r := &recipes[i]; r.applies(names, libs) {
				libs = append(libs, c.recipe(r, cl.ELF, real)...)
				c.runs(r)
				c.tmpfiles(nil, r.Tmpfiles)
				c.emptyDirs(r.Dirs)
			}
		}
	}
	c.tmpfiles(append(names, cl.ELF), nil)
	if slices.ContainsFunc(libs, func(l string) bool { return strings.HasPrefix(filepath.Base(l), "ld-musl-") }) {
		c.glibc = false
	}
	for _, s := range cl.Scripts {
		interp := s.Interp
		if words, ok := envScript(s.Path); ok {
			interp = words[0]
			c.start(interp)
		}
		if isShell(interp) {
			c.script(s.Path, c.args(p))
		}
	}
	return cl.ELF, nil
}

// args are the arguments that a program gets, if they are known.
func (c *collector) args(program string) []string {
	if program == c.first {
		return c.q.Args
	}
	return nil
}

func (c *collector) libs(libs []elfdeps.Lib) (paths []string) {
	for _, l := range libs {
		paths = append(paths, l.Path)
		if c.done[l.Path] {
			continue
		}
		c.done[l.Path] = true
		if _, err := c.tree.AddHostPath(l.Path); err != nil {
			c.q.Note("library %s: %v", l.Path, err)
		}
	}
	return paths
}

// optionalLib adds a library by name if this machine has it.
func (c *collector) optionalLib(name string) {
	for _, dir := range slices.Concat(c.q.LibraryPath, elfdeps.DefaultDirs()) {
		p := filepath.Join(dir, name)
		if libs, err := c.deps.ResolveLib(p, c.interp); err == nil {
			if _, err := c.tree.AddHostPath(p); err == nil {
				c.libs(libs)
				return
			}
		}
	}
}

// recipe copies what a recipe names and gives the libraries that its shared
// objects need. A module whose library is missing is no error: the program may
// never load it.
func (c *collector) recipe(r *recipe, as, real string) (libs []string) {
	var modules []string
	for _, p := range r.files(as, real) {
		if c.done[p] {
			continue
		}
		c.done[p] = true
		end, err := c.tree.AddHostPath(p)
		if err != nil {
			c.q.Note("%s: %v", p, err)
			continue
		}
		skip := func(name string) bool { return matchAny(r.Skip, filepath.Base(name)) }
		visit := func(name string, e *Entry) {
			if module(name, e) {
				modules = append(modules, name)
			}
		}
		if err := c.tree.AddHost(end, end, CopyOptions{SkipUnreadable: true, Skip: skip, Visit: visit}); err != nil {
			c.q.Note("%s: %v", p, err)
		}
	}
	c.links()
	for _, m := range modules {
		l, err := c.deps.ResolveLib(m, c.interp)
		if err != nil {
			c.q.Note("module %s: %v", m, err)
			continue
		}
		libs = append(libs, c.libs(l)...)
	}
	return libs
}

// runs adds the programs that a recipe says are started.
func (c *collector) runs(r *recipe) {
	for _, name := range r.Runs {
		c.startFrom(name, c.q.SearchPath+":/usr/sbin:/sbin") // servers are where the $PATH of users does not reach
	}
}

// module tells a file whose libraries are needed with it.
func module(name string, e *Entry) bool {
	return e.IsRegular() && (sharedObject(name) || e.Mode&0o111 != 0 && isELF(name))
}

// isELF reports whether a host file starts like an ELF file.
func isELF(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && string(magic[:]) == "\x7fELF"
}

// links completes symbolic links of a recipe that lead out of its directories:
// distributions link modules to /etc and /usr/share.
func (c *collector) links() {
	for n := -1; n != len(c.tree.entries); {
		n = len(c.tree.entries)
		for _, e := range c.tree.Entries() {
			if !e.IsSymlink() || c.done["link "+e.Path] {
				continue
			}
			c.done["link "+e.Path] = true
			target := e.Target
			if !path.IsAbs(target) {
				target = path.Join(path.Dir(e.Path), target)
			}
			if st, err := os.Stat(target); err == nil && st.Mode().IsRegular() && c.tree.entries[c.tree.Resolve(target)] == nil {
				c.tree.AddHostPath(target) //nolint:errcheck // a dangling link stays one
			}
		}
	}
}

// ArgFiles lists the host files and directories that the arguments of a
// request name: those that exist, as absolute paths.
func ArgFiles(q Request) (list []string) {
	if !q.ArgFiles {
		return nil
	}
	for _, a := range q.Args {
		names := []string{a}
		if _, v, ok := strings.Cut(a, "="); ok {
			names = append(names, v) // dd if=FILE, --file=FILE
		}
		for _, name := range names {
			if name == "" || len(name) > 4095 || strings.ContainsAny(name, "\x00\n") {
				continue
			}
			if !filepath.IsAbs(name) {
				name = filepath.Join(q.Cwd, name)
			}
			name = filepath.Clean(name)
			if name == "/" || kernelDir(name) || slices.Contains(list, name) {
				continue // the guest has its own
			}
			if st, err := os.Stat(name); err == nil && (st.Mode().IsRegular() || st.IsDir()) {
				list = append(list, name)
			}
		}
	}
	return list
}

// argFiles copies what ArgFiles found, within the limits.
func (c *collector) argFiles(names []string) {
	files, dirs := int64(ArgFilesLimit), int64(ArgDirsLimit)
	for _, p := range names {
		st, err := os.Stat(p)
		if err != nil {
			continue
		}
		hint := fmt.Sprintf("copy it with -v %s:%s", p, p)
		if !st.IsDir() {
			if files -= st.Size(); files < 0 {
				c.q.Warn("not copied: %s: the files that arguments name are more than %d MiB; %s", p, ArgFilesLimit>>20, hint)
				continue
			}
			if _, err := c.tree.AddHostPath(p); err != nil {
				c.q.Warn("not copied: %s: %v", p, cause(err))
				continue
			}
		} else {
			end, err := c.tree.AddHostPath(p)
			before := c.tree.Size()
			if err == nil {
				err = c.tree.AddHost(end, end, CopyOptions{SkipUnreadable: true, Limit: dirs, Skip: kernelDir,
					Skipped: func(n string, e error) { c.q.Note("not copied: %s: %v", n, cause(e)) }})
			}
			if errors.Is(err, ErrLimit) {
				err = fmt.Errorf("the directories that arguments name are more than %d MiB; %s", ArgDirsLimit>>20, hint)
			}
			if err != nil {
				c.q.Note("not copied: %s: %v", p, err)
				continue
			}
			dirs -= c.tree.Size() - before
			c.whole = append(c.whole, end)
		}
		c.q.Note("copied %s, which an argument names", p)
	}
}

// kernelDir tells directories whose content is the kernel's.
func kernelDir(p string) bool {
	for _, d := range []string{"/proc", "/sys", "/dev"} {
		if p == d || strings.HasPrefix(p, d+"/") {
			return true
		}
	}
	return false
}

// base adds what every image has, where the user gave nothing of his own.
func (c *collector) base() {
	given := func(p string) bool {
		if e := c.tree.Lookup(p); e != nil && !e.implied {
			return true
		}
		for _, w := range c.whole {
			if strings.HasPrefix(p, w+"/") {
				return true
			}
		}
		for _, v := range c.q.Volumes {
			if p == v.Guest || strings.HasPrefix(p, v.Guest+"/") {
				return true
			}
		}
		return false
	}
	// /bin -> usr/bin and the like, where this machine has them: programs name files both ways.
	for _, p := range []string{"/bin", "/sbin", "/lib", "/lib64"} {
		if st, err := os.Lstat(p); err == nil && st.Mode()&fs.ModeSymlink != 0 {
			c.tree.AddHostPath(p) //nolint:errcheck // it was just seen
		}
	}
	host := slices.Clone(hostFiles)
	if c.glibc {
		host = append(host, glibcFiles...)
		host = append(host, localeFiles(locales(c.q.Env))...)
	}
	for _, p := range host {
		if given(p) {
			continue
		}
		if end, err := c.tree.AddHostPath(p); err == nil {
			if e := c.tree.Lookup(end); e != nil && e.IsDir() {
				c.tree.AddHost(end, end, CopyOptions{SkipUnreadable: true}) //nolint:errcheck // as much as there is
			}
		}
	}
	for _, f := range made {
		if !given(f.path) {
			c.tree.AddData(f.path, 0o644, []byte(f.text))
		}
	}
	for _, d := range dirs {
		if !given(d.path) {
			c.tree.AddDir(d.path, d.perm)
		}
	}
	for _, l := range links {
		if !given(l.path) && c.tree.Lookup(l.path) == nil {
			c.tree.AddSymlink(l.path, l.target)
		}
	}
	for _, e := range c.dirs {
		e.Path = c.tree.Resolve(e.Path)
		if !given(e.Path) {
			c.tree.put(e)
		}
	}
	if c.q.Workdir != "" {
		if e := c.tree.Lookup(c.tree.Resolve(c.q.Workdir)); e == nil {
			c.tree.AddDir(c.q.Workdir, 0o755)
		}
	}
}
