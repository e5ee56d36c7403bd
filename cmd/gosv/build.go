package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"gosv/abi/boot"
	"gosv/host/config"
	"gosv/host/image"
	"gosv/host/rootfs"
)

func newBuild() *cobra.Command {
	var o guestOptions
	var output, file, memory, cpus string
	var publish, networks []string
	c := &cobra.Command{
		Use:   "build [flags] -o IMAGE [PROGRAM [ARGS...]]",
		Short: "Make an image of a program, to be run with gosv run IMAGE",
		Long: `Make an image of a program with all that it needs: its libraries, the modules of
its language, the files that are given with -v or in gosv.yaml. The image is an
EROFS file system; the same input gives the same image, bit for bit. Files keep
their times, none later than $SOURCE_DATE_EPOCH if that is set: with it, a program
that was compiled again to the same bytes gives the same image, too.

Flags end at PROGRAM; the rest is the program's. With -f the program, its
arguments and the rest are read from a file; see docs/gosv-yaml.md.`,
		Example: `  gosv build -o hello.img /bin/echo hello
  gosv build -o sum.img -m 64M /usr/bin/sha256sum /etc/hostname
  gosv run hello.img`,
		RunE: func(c *cobra.Command, args []string) error {
			if output == "" {
				return usageError(c, "no -o IMAGE is given")
			}
			cwd, err := os.Getwd()
			if err != nil {
				return err
			}
			f := &config.File{}
			if file != "" {
				if f, err = config.Read(file); err != nil {
					return err
				}
			}
			if memory != "" {
				if f.Memory, err = config.ParseMemory(memory); err != nil {
					return fmt.Errorf("--memory: %w", err)
				}
			}
			if cpus != "" {
				if f.CPUs, err = config.ParseCPUs(cpus); err != nil {
					return fmt.Errorf("--cpus: %w", err)
				}
			}
			if len(publish) > 0 {
				f.Ports = publish
			}
			if len(networks) > 0 {
				f.Networks = networks
			}
			if _, _, err := (&networkOptions{publish: f.Ports, networks: f.Networks}).resolve(boot.Config{}, ""); err != nil {
				return err
			}
			if len(args) == 0 && f.Program == "" {
				return usageError(c, "no PROGRAM is given")
			}
			return build(&o, f, filepath.Dir(file), output, cwd, args)
		},
	}
	c.Flags().SetInterspersed(false)
	c.Flags().StringVarP(&output, "output", "o", "", "write the image to this `FILE`")
	c.Flags().StringVarP(&file, "file", "f", "", "read what to build from a gosv.yaml `FILE`")
	c.Flags().StringVarP(&memory, "memory", "m", "", "memory that the machine gets by default, as 64M or 2G")
	c.Flags().StringVarP(&cpus, "cpus", "c", "", "CPUs that the machine gets by default")
	c.Flags().StringArrayVarP(&publish, "publish", "p", nil, "ports that gosv run publishes by default: `[IP:]HOST:GUEST[/udp]`")
	c.Flags().StringArrayVar(&networks, "network", nil, "networks that the machine gets by default, as in gosv run")
	o.register(c.Flags())
	return c
}

// build makes an image of a program of the command line, or else of the file.
// Paths in the file are relative to dir, its directory.
func build(o *guestOptions, f *config.File, dir, output, cwd string, args []string) error {
	q := rootfs.Request{}
	env, err := o.environment(append(hostEnv(false), f.Env...))
	if err != nil {
		return err
	}
	base := cwd
	program := f.Program
	progArgs := f.Args
	if len(args) > 0 {
		program, progArgs = args[0], args[1:]
	} else {
		base = filepath.Join(cwd, dir)
		if filepath.IsAbs(dir) {
			base = dir
		}
	}
	if o.workdir == "" {
		if o.workdir = f.Workdir; o.workdir == "" {
			o.workdir = "/" // an image must not depend on where it was made
		}
	}
	env = o.programPath(env, program, base)
	if q, err = o.request(program, progArgs, env, base); err != nil {
		return err
	}
	for i, v := range q.Volumes {
		if !filepath.IsAbs(v.Host) {
			q.Volumes[i].Host = filepath.Join(cwd, v.Host)
		}
	}
	var files []rootfs.Volume
	for _, v := range f.Files {
		if !filepath.IsAbs(v.Host) {
			v.Host = filepath.Join(cwd, dir, v.Host)
			if filepath.IsAbs(dir) {
				v.Host = filepath.Join(dir, v.Host[len(cwd):])
			}
		}
		files = append(files, v)
	}
	q.Volumes = append(files, q.Volumes...)
	res, err := rootfs.Collect(q)
	if err != nil {
		return err
	}
	if err := clampTimes(res.Tree, os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		return err
	}
	hostname := o.hostname
	if hostname == "" {
		hostname = f.Hostname
	}
	c := boot.Config{Args: res.Args, Argv0: res.Argv0, Env: env, Workdir: q.Workdir, Hostname: hostname, Init: o.init || f.Init}
	if f.Memory > 0 {
		c.Options = append(c.Options, "memory="+memoryText(f.Memory))
	}
	if f.CPUs > 0 {
		c.Options = append(c.Options, "cpus="+strconv.Itoa(f.CPUs))
	}
	for _, n := range f.Networks {
		c.Options = append(c.Options, wordNetwork+"="+n)
	}
	for _, p := range f.Ports {
		c.Options = append(c.Options, wordPublish+"="+p)
	}
	addConfig(res.Tree, c)
	size, err := image.WriteFile(output, res.Tree)
	if err != nil {
		return outputError(output, err)
	}
	o.note("%s: %d files, %s", output, len(res.Tree.Entries()), bytesText(size))
	return nil
}

// clampTimes makes no file later than a time in seconds since 1970
// (https://reproducible-builds.org/specs/source-date-epoch/). Earlier ones stay:
// Python compares its compiled modules' with their sources'.
func clampTimes(t *rootfs.Tree, epoch string) error {
	if epoch == "" {
		return nil
	}
	latest, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil || latest < 0 {
		return fmt.Errorf("SOURCE_DATE_EPOCH=%s: it is a number of seconds since 1970", epoch)
	}
	for _, e := range t.Entries() {
		if e.MtimeSec >= latest {
			e.MtimeSec, e.MtimeNs = latest, 0
		}
	}
	return nil
}

// outputError names the file that cannot be written.
func outputError(output string, err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case errors.As(err, &pe) && filepath.Dir(pe.Path) == filepath.Dir(output):
		err = pe.Err
	case errors.As(err, &le):
		err = le.Err
	default:
		return fmt.Errorf("making %s: %w", output, err)
	}
	hint := "choose another place with -o"
	if errors.Is(err, fs.ErrNotExist) {
		hint = "make its directory first: mkdir -p " + filepath.Dir(output)
	} else if slices.Contains([]error{syscall.ENOSPC, syscall.EDQUOT}, err) {
		hint = "make room, or choose another place with -o"
	}
	return fmt.Errorf("cannot write %s: %w; %s", output, err, hint)
}

// memoryText writes a size as config.ParseMemory reads it.
func memoryText(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "G"}, {1 << 20, "M"}} {
		if n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n>>10, 10) + "K"
}
