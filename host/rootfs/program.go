package rootfs

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gosv/host/elfdeps"
)

// NotFoundError is a program, an interpreter or a library that does not exist.
type NotFoundError struct{ Msg string }

func (e *NotFoundError) Error() string { return e.Msg }

// NotExecutableError is a program that exists and cannot be run.
type NotExecutableError struct{ Msg string }

func (e *NotExecutableError) Error() string { return e.Msg }

// FindProgram finds a program as a shell does: a name with a slash is a path
// relative to cwd, any other is searched in the directories of searchPath. The
// result is absolute, with symbolic links kept: some programs look at the name.
func FindProgram(name, cwd, searchPath string) (string, error) {
	if name == "" {
		return "", &NotFoundError{"the program's name is empty"}
	}
	if strings.Contains(name, "/") {
		p := name
		if !filepath.IsAbs(p) {
			p = filepath.Join(cwd, p)
		}
		return p, executable(name, p)
	}
	var denied error
	shim := ""
	for _, dir := range filepath.SplitList(searchPath) {
		if dir == "" {
			dir = "."
		}
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(cwd, dir)
		}
		p := filepath.Join(dir, name)
		if err := executable(name, p); err == nil {
			// pyenv, rbenv and asdf put scripts before the programs, which look for the chosen version with all of their
			// tools: the system's own is better.
			if filepath.Base(dir) == "shims" {
				shim = or(shim, p)
				continue
			}
			return p, nil
		} else if st, serr := os.Stat(p); serr == nil && !st.IsDir() && denied == nil {
			denied = err
		}
	}
	if shim != "" {
		return shim, nil
	}
	if denied != nil {
		return "", denied
	}
	if _, err := os.Stat(filepath.Join(cwd, name)); err == nil {
		return "", &NotFoundError{fmt.Sprintf("%s: not found in $PATH; for the one in this directory write ./%s", name, name)}
	}
	return "", &NotFoundError{fmt.Sprintf("%s: not found in $PATH", name)}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func executable(name, p string) error {
	st, err := os.Stat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &NotFoundError{name + ": no such file"}
	case err != nil:
		return &NotExecutableError{fmt.Sprintf("%s: %v", name, cause(err))}
	case st.IsDir():
		return &NotExecutableError{name + ": is a directory, not a program"}
	case !st.Mode().IsRegular():
		return &NotExecutableError{name + ": not a regular file"}
	case st.Mode()&0o111 == 0:
		return &NotExecutableError{fmt.Sprintf("%s: not executable; chmod +x %s", name, name)}
	}
	return nil
}

func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// explain gives an error of elfdeps the words and the class that the tool
// exits with.
func explain(err error) error {
	var missing *elfdeps.MissingLibError
	var fe *elfdeps.FileError
	switch {
	case errors.As(err, &missing):
		return &NotFoundError{missing.Error() + "; install it, or say where it is with LD_LIBRARY_PATH"}
	case errors.Is(err, elfdeps.ErrNoInterp), errors.Is(err, fs.ErrNotExist):
		return &NotFoundError{err.Error()}
	case errors.Is(err, elfdeps.ErrNotELF) && errors.As(err, &fe):
		return &NotExecutableError{fe.Path + ": not an ELF file, and no script with a #! line"}
	}
	return &NotExecutableError{err.Error()}
}

// envScript tells whether a script is run through env(1), as with
// "#!/usr/bin/env python3", and by which program with which arguments. The tool
// does env's work: the guest starts the program itself.
func envScript(p string) (words []string, ok bool) {
	f, err := os.Open(p)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	b, _ := bufio.NewReaderSize(f, 256).Peek(256)
	interp, arg, ok, err := elfdeps.ParseShebang(b)
	if err != nil || !ok || filepath.Base(interp) != "env" || arg == "" {
		return nil, false
	}
	if rest, split := strings.CutPrefix(arg, "-S"); split {
		words = strings.Fields(rest)
	} else {
		words = []string{arg}
	}
	if len(words) == 0 || strings.HasPrefix(words[0], "-") || strings.Contains(words[0], "=") {
		return nil, false
	}
	return words, true
}
