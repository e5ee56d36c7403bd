package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"gosv/abi/boot"
	"gosv/host/config"
	"gosv/host/image"
	"gosv/host/rootfs"
)

// guestOptions say what goes into an image and how its program is run. The
// flags' descriptions are the documentation of the fields.
type guestOptions struct {
	env        []string
	envFiles   []string
	workdir    string
	hostname   string
	init       bool
	volumes    []string
	entrypoint string
	noArgFiles bool
	verbose    bool
	quiet      bool
}

func (o *guestOptions) register(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringArrayVarP(&o.env, "env", "e", nil, "set a variable, `NAME=VALUE`; NAME alone takes this machine's value")
	f.StringArrayVar(&o.envFiles, "env-file", nil, "set the variables of a `FILE` of NAME=VALUE lines")
	f.StringVarP(&o.workdir, "workdir", "w", "", "working `DIR`ectory in the guest (default: this directory's path)")
	f.StringVar(&o.hostname, "hostname", "", "the guest's host `NAME` (default \"gosv\")")
	f.BoolVar(&o.init, "init", false, "run PROGRAM below an init process, which waits for orphans and passes signals on")
	f.StringArrayVarP(&o.volumes, "volume", "v", nil, "copy a file or directory into the image: `HOST:GUEST[:ro]`;\nchanges that the guest makes do not come back, for now;\nro takes the permission to write away, which root does not need")
	f.StringVar(&o.entrypoint, "entrypoint", "", "run this `PROGRAM` with the arguments instead, in the same image")
	f.BoolVar(&o.noArgFiles, "no-args-files", false, "do not copy the files and directories that arguments name\n(by default they are: files up to 1 GiB, directories up to 64 MiB)")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print nothing but what the program prints")
	f.BoolVar(&o.verbose, "verbose", false, "say what is done, and print the kernel's log; also -v without HOST:GUEST")
}

func (o *guestOptions) note(format string, args ...any) {
	if o.verbose {
		fmt.Fprintf(os.Stderr, "gosv: "+format+"\n", args...)
	}
}

func (o *guestOptions) warn(format string, args ...any) {
	if !o.quiet {
		fmt.Fprintf(os.Stderr, "gosv: "+format+"\n", args...)
	}
}

// defaultPath is the guest's $PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// hostEnv is what the guest gets of this process's environment: what decides
// language and time zone, and where the libraries were found.
func hostEnv(terminal bool) []string {
	env := []string{"PATH=" + defaultPath, "HOME=/root"}
	for _, e := range os.Environ() {
		name, v, _ := strings.Cut(e, "=")
		switch {
		case name == "LANG", name == "LANGUAGE", strings.HasPrefix(name, "LC_"), name == "TZ", name == "LD_LIBRARY_PATH",
			terminal && (name == "TERM" || name == "COLORTERM"):
			if name == "LD_LIBRARY_PATH" { // where relative directories are, the guest may not be
				e = name + "=" + strings.Join(libraryPath(), ":")
			}
			if v != "" {
				env = append(env, e)
			}
		}
	}
	slices.Sort(env[2:])
	return env
}

// libraryPath gives the directories of LD_LIBRARY_PATH; an empty one is the
// working directory, as for ld.so(8).
func libraryPath() []string {
	list := filepath.SplitList(os.Getenv("LD_LIBRARY_PATH"))
	for i, dir := range list {
		if abs, err := filepath.Abs(dir); err == nil {
			list[i] = abs
		}
	}
	return list
}

// environment joins the default variables, those of files and those of flags;
// later ones replace earlier ones of the same name.
func (o *guestOptions) environment(base []string) ([]string, error) {
	list := slices.Clone(base)
	for _, name := range o.envFiles {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("--env-file %s: %w", name, errors.Unwrap(err))
		}
		vars, err := config.ParseEnvFile(name, text, os.LookupEnv)
		if err != nil {
			return nil, err
		}
		list = append(list, vars...)
	}
	for _, e := range o.env {
		if !strings.Contains(e, "=") {
			v, ok := os.LookupEnv(e)
			if !ok {
				continue
			}
			e += "=" + v
		}
		if err := config.CheckEnv(e); err != nil {
			return nil, fmt.Errorf("--env %w", err)
		}
		list = append(list, e)
	}
	return lastOfEach(list), nil
}

// lastOfEach keeps the last entry of each name, at the first one's place.
func lastOfEach(env []string) []string {
	at := map[string]int{}
	var out []string
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		if i, ok := at[name]; ok {
			out[i] = e
			continue
		}
		at[name] = len(out)
		out = append(out, e)
	}
	return out
}

// programPath gives the environment in which a program finds itself: one that
// was found in a directory of this machine's $PATH looks for it there again.
func (o *guestOptions) programPath(env []string, program, cwd string) []string {
	const assign = "PATH=" + defaultPath
	i := slices.Index(env, assign)
	if o.entrypoint != "" {
		program = o.entrypoint
	}
	if i < 0 || strings.Contains(program, "/") {
		return env
	}
	found, err := rootfs.FindProgram(program, cwd, or(os.Getenv("PATH"), defaultPath))
	if dir := filepath.Dir(found); err == nil && !slices.Contains(filepath.SplitList(defaultPath), dir) {
		env = slices.Clone(env)
		env[i] = "PATH=" + dir + ":" + defaultPath
	}
	return env
}

// request makes the request of a program. The working directory in the guest is this one's path unless given.
func (o *guestOptions) request(program string, args, env []string, cwd string) (rootfs.Request, error) {
	q := rootfs.Request{Program: program, Args: args, Cwd: cwd, SearchPath: os.Getenv("PATH"),
		LibraryPath: libraryPath(), Env: env, Workdir: o.workdir, ArgFiles: !o.noArgFiles,
		Note: o.note, Warn: o.warn}
	if q.SearchPath == "" {
		q.SearchPath = defaultPath
	}
	if o.entrypoint != "" {
		q.Program, q.Also = o.entrypoint, []string{program}
	}
	if q.Workdir == "" {
		q.Workdir = cwd
	}
	if !path.IsAbs(q.Workdir) {
		return q, fmt.Errorf("--workdir %s: it must be an absolute path", q.Workdir)
	}
	for _, s := range o.volumes {
		v, err := rootfs.ParseVolume(s)
		if err != nil {
			return q, fmt.Errorf("--%w", err)
		}
		q.Volumes = append(q.Volumes, v)
	}
	return q, nil
}

// keyFormat changes when an image would be made differently from equal input and equal rootfs.Tables.
const keyFormat = "gosv image 3"

// cacheKey hashes what decides the content of a request's image, but for the
// content of host files, which the cache itself looks after.
func cacheKey(q rootfs.Request, inside string) (string, error) {
	program, err := rootfs.FindProgram(q.Program, q.Cwd, q.SearchPath)
	if err != nil {
		return "", err
	}
	parts := []string{keyFormat, rootfs.Tables(), inside, program, q.Program, q.Cwd, q.SearchPath, strings.Join(q.LibraryPath, ":"), q.Workdir}
	for _, e := range q.Env {
		if strings.HasPrefix(e, "LANG") || strings.HasPrefix(e, "LC_") {
			parts = append(parts, e)
		}
	}
	list := func(l []string) {
		parts = append(parts, fmt.Sprint(len(l)))
		parts = append(parts, l...)
	}
	list(q.Also)
	list(rootfs.ArgFiles(q)) // of the arguments only these matter
	for _, v := range q.Volumes {
		parts = append(parts, fmt.Sprintf("%q %q %v", v.Host, v.Guest, v.ReadOnly))
	}
	return image.Key(parts...), nil
}

// cachedImage finds or makes the image of a request. What is inside the image
// as its configuration is part of the key.
func cachedImage(cache *image.Cache, q rootfs.Request, inside boot.Config) (name string, program boot.Config, err error) {
	text := ""
	if len(inside.Env) > 0 || len(inside.Args) > 0 {
		text = inside.Format()
	}
	key, err := cacheKey(q, text)
	if err != nil {
		return "", program, err
	}
	withArgs := func(note string) (boot.Config, error) {
		c, err := boot.Parse(note)
		c.Args = append(c.Args, q.Args...)
		return c, err
	}
	if name, note, ok := cache.Find(key); ok {
		q.Note("the image is in the cache: %s", name)
		program, err = withArgs(note)
		return name, program, err
	}
	res, err := rootfs.Collect(q)
	if err != nil {
		return "", program, err
	}
	if text != "" {
		inside.Args, inside.Argv0 = res.Args, res.Argv0
		addConfig(res.Tree, inside)
	}
	note := boot.Config{Args: res.Args[:len(res.Args)-len(q.Args)], Argv0: res.Argv0}.Format()
	name, err = cache.Store(key, note, res.Tree)
	if err != nil {
		return "", program, fmt.Errorf("making the image: %w", err)
	}
	q.Note("made the image %s: %d files, %s", name, len(res.Tree.Entries()), bytesText(res.Tree.Size()))
	program, err = withArgs(note)
	return name, program, err
}

func addConfig(t *rootfs.Tree, c boot.Config) {
	t.AddDir(path.Dir(boot.ConfigPath), 0o755)
	t.AddData(boot.ConfigPath, 0o644, []byte(c.Format()+"\n"))
}

// isImage tells whether a program's name is that of an image.
func isImage(name string) bool {
	st, err := os.Stat(name)
	if err != nil || !st.Mode().IsRegular() { // the open of a FIFO would wait for a writer
		return false
	}
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	return image.IsImage(io.NewSectionReader(f, 0, st.Size()))
}
