package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newRoot() *cobra.Command {
	c := &cobra.Command{
		Use:   "gosv",
		Short: "Run Linux programs as microVMs",
		Long: `gosv runs an unmodified Linux program as a microVM: it finds what the program
needs on this machine, makes an image of it, and boots the image on a small
kernel written in Go. The program prints what it prints here, and exits as it
exits here.`,
		Example: `  gosv run /bin/echo hello
  gosv run python3 -c 'print(6 * 7)'
  gosv run -d --name web -p 8080:8000 python3 -m http.server
  gosv build -o app.img /usr/bin/env && gosv run app.img`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	c.CompletionOptions.HiddenDefaultCmd = true
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError(c, err.Error())
	})
	c.AddCommand(newRun(), newPs(), newLogs(), newStop(), newWait(), newRm(), newBuild(), newImage(), newVersion(), newSupervise())
	return c
}

// usageError is a mistake in the command line, with where to read more.
func usageError(c *cobra.Command, msg string) error {
	return statusError{125, errText(msg + "; see " + c.CommandPath() + " --help")}
}

type errText string

func (e errText) Error() string { return string(e) }

// expandShortV gives -v its two meanings: with HOST:GUEST after it, it is
// --volume, as with docker run; alone, it is --verbose, as with most commands.
// A word with a colon is meant as the former, however it is written.
// Only flags are looked at, not the program's arguments.
func expandShortV(root *cobra.Command, args []string) []string {
	cmd, rest, err := root.Find(args)
	if err != nil || cmd.Flags().ShorthandLookup("v") == nil {
		return args
	}
	out := append([]string(nil), args[:len(args)-len(rest)]...)
	for i := 0; i < len(rest); i++ {
		a := rest[i]
		if a == "--" || len(a) < 2 || a[0] != '-' {
			return append(out, rest[i:]...) // the program begins
		}
		if a == "-v" && (i+1 == len(rest) || !isVolume(rest[i+1])) {
			a = "--verbose"
		}
		out = append(out, a)
		if takesNext(cmd.Flags(), a) && i+1 < len(rest) {
			i++
			out = append(out, rest[i])
		}
	}
	return out
}

func isVolume(s string) bool { return strings.Contains(s, ":") }

// takesNext tells whether the word after a flag is its value.
func takesNext(flags *pflag.FlagSet, a string) bool {
	var f *pflag.Flag
	if name, long := strings.CutPrefix(a, "--"); long {
		if strings.Contains(name, "=") {
			return false
		}
		f = flags.Lookup(name)
	} else {
		for i := 1; i < len(a); i++ {
			if f = flags.ShorthandLookup(a[i : i+1]); f != nil && f.NoOptDefVal == "" {
				return i == len(a)-1
			}
		}
	}
	return f != nil && f.NoOptDefVal == ""
}
