package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gosv/abi/boot"
	"gosv/host/image"
)

func newImage() *cobra.Command {
	c := &cobra.Command{
		Use:   "image",
		Short: "Look into images",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
		Example: `  gosv image inspect app.img
  gosv image ls app.img /usr/bin
  gosv image cat app.img /etc/passwd`,
	}
	c.AddCommand(newImageInspect(), newImageLs(), newImageCat())
	return c
}

// openImage opens an image with errors that name it.
func openImage(name string) (*image.Image, error) {
	m, err := image.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no such file", name)
	} else if errors.Is(err, image.ErrNotImage) {
		return nil, fmt.Errorf("%s: not an image; gosv build makes one", name)
	}
	return m, err
}

func imageError(m *image.Image, name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: no file %s in the image; gosv image ls -R %s lists what is there", m.Path, name, m.Path)
	}
	return fmt.Errorf("%s: %s: %w", m.Path, name, err)
}

func newImageInspect() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:     "inspect IMAGE",
		Short:   "Print how an image is run, and how large it is",
		Example: "  gosv image inspect app.img\n  gosv image inspect -o json app.img",
		Args:    exactArgs(1, "IMAGE"),
		RunE: func(c *cobra.Command, args []string) error {
			asJSON, err := wantJSON(c, output)
			if err != nil {
				return err
			}
			m, err := openImage(args[0])
			if err != nil {
				return err
			}
			defer m.Close()
			config, err := m.Config()
			if err != nil {
				return fmt.Errorf("%s: its configuration is damaged: %w", m.Path, err)
			}
			v := struct {
				Image    string   `json:"image"`
				Bytes    int64    `json:"bytes"`
				Files    int      `json:"files"`
				Args     []string `json:"args"`
				Argv0    string   `json:"argv0,omitempty"`
				Env      []string `json:"env"`
				Workdir  string   `json:"workdir"`
				Hostname string   `json:"hostname,omitempty"`
				Init     bool     `json:"init,omitempty"`
				Memory   string   `json:"memory,omitempty"`
				CPUs     string   `json:"cpus,omitempty"`
				Network  []string `json:"network,omitempty"`
				Ports    []string `json:"ports,omitempty"`
			}{Image: m.Path, Bytes: m.Size, Args: config.Args, Argv0: config.Argv0, Env: config.Env,
				Workdir: config.Workdir, Hostname: config.Hostname, Init: config.Init, Memory: option(config, "memory"), CPUs: option(config, "cpus"),
				Network: options(config, wordNetwork), Ports: options(config, wordPublish)}
			if v.Workdir == "" {
				v.Workdir = "/"
			}
			err = fs.WalkDir(m, ".", func(name string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					v.Files++
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", m.Path, err)
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), v)
			}
			w := c.OutOrStdout()
			row := func(name, value string) {
				if value != "" {
					fmt.Fprintf(w, "%-9s %s\n", name, value)
				}
			}
			row("image", v.Image)
			row("size", fmt.Sprintf("%s, %d files", bytesText(v.Bytes), v.Files))
			row("program", boot.Config{Args: v.Args, Argv0: v.Argv0}.Format())
			row("workdir", v.Workdir)
			row("hostname", v.Hostname)
			if v.Init {
				row("init", "yes")
			}
			row("memory", v.Memory)
			row("cpus", v.CPUs)
			row("network", strings.Join(v.Network, ", "))
			row("ports", strings.Join(v.Ports, ", "))
			for _, e := range v.Env {
				row("env", e)
			}
			return nil
		},
	}
	outputFlag(c, &output)
	return c
}

// file is a line of gosv image ls.
type file struct {
	Path   string    `json:"path"`
	Mode   string    `json:"mode"`
	UID    uint32    `json:"uid"`
	GID    uint32    `json:"gid"`
	Size   int64     `json:"size"`
	Time   time.Time `json:"mtime"`
	Target string    `json:"target,omitempty"`
}

func newImageLs() *cobra.Command {
	var output string
	var recursive, long bool
	c := &cobra.Command{
		Use:   "ls IMAGE [PATH]",
		Short: "List files of an image",
		Example: `  gosv image ls app.img
  gosv image ls -lR app.img /etc
  gosv image ls -R -o json app.img`,
		Args: rangeArgs(1, 2, "IMAGE [PATH]"),
		RunE: func(c *cobra.Command, args []string) error {
			asJSON, err := wantJSON(c, output)
			if err != nil {
				return err
			}
			m, err := openImage(args[0])
			if err != nil {
				return err
			}
			defer m.Close()
			dir := "/"
			if len(args) > 1 {
				dir = path.Clean("/" + args[1])
			}
			list, err := listFiles(m, dir, recursive)
			if err != nil {
				return imageError(m, dir, err)
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), list)
			}
			w := bufio.NewWriter(c.OutOrStdout())
			for _, f := range list {
				name := f.Path
				if f.Target != "" && long {
					name += " -> " + f.Target
				}
				if long {
					fmt.Fprintf(w, "%s %5d %5d %10d %s %s\n", f.Mode, f.UID, f.GID, f.Size, f.Time.Format("2006-01-02 15:04:05"), name)
				} else {
					fmt.Fprintln(w, name)
				}
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVarP(&recursive, "recursive", "R", false, "also list what is in directories")
	c.Flags().BoolVarP(&long, "long", "l", false, "print mode, owner, size and time")
	outputFlag(c, &output)
	return c
}

func listFiles(m *image.Image, dir string, recursive bool) ([]file, error) {
	list := []file{}
	top := image.Name(dir)
	err := fs.WalkDir(m, top, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == top && d.IsDir() {
			return nil
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		info := image.InfoOf(fi)
		f := file{"/" + name, fi.Mode().String(), info.UID, info.GID, fi.Size(), fi.ModTime().UTC(), ""}
		if fi.Mode()&fs.ModeSymlink != 0 {
			if f.Target, err = m.Readlink(name); err != nil {
				return err
			}
		}
		list = append(list, f)
		if d.IsDir() && !recursive {
			return fs.SkipDir
		}
		return nil
	})
	return list, err
}

func newImageCat() *cobra.Command {
	return &cobra.Command{
		Use:     "cat IMAGE PATH...",
		Short:   "Print files of an image",
		Example: "  gosv image cat app.img /etc/passwd /etc/group",
		Args:    rangeArgs(2, -1, "IMAGE PATH..."),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := openImage(args[0])
			if err != nil {
				return err
			}
			defer m.Close()
			for _, name := range args[1:] {
				f, err := m.Open(image.Name(name))
				if err != nil {
					return imageError(m, name, err)
				}
				if st, err := f.Stat(); err == nil && st.IsDir() {
					f.Close()
					return fmt.Errorf("%s: %s is a directory", m.Path, name)
				}
				_, err = io.Copy(c.OutOrStdout(), f)
				f.Close()
				if err != nil {
					return imageError(m, name, err)
				}
			}
			return nil
		},
	}
}

func exactArgs(n int, what string) cobra.PositionalArgs { return rangeArgs(n, n, what) }

// rangeArgs checks the number of arguments, most of -1 being any, with an error that says what to write.
func rangeArgs(least, most int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return usageError(c, "write it "+c.CommandPath()+" "+what)
		}
		return nil
	}
}

// option gives the value of an option word name=value that the kernel does not know.
func option(c boot.Config, name string) string {
	for _, o := range c.Options {
		if n, v, _ := strings.Cut(o, "="); n == name {
			return v
		}
	}
	return ""
}

// bytesText writes a size for people.
func bytesText(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
