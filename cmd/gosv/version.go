package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"gosv/host/kernel"
)

// version is set by the build: -ldflags "-X main.version=v1.2.3".
var version = "development"

func newVersion() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of the tool and of its kernel",
		Example: "  gosv version\n  gosv version -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			v := struct {
				Version string `json:"version"`
				Commit  string `json:"commit,omitempty"`
				Kernel  string `json:"kernel"`
				Size    int    `json:"kernelBytes"`
				Minimal int    `json:"minimalKernelBytes"`
				Go      string `json:"go"`
			}{Version: version, Go: runtime.Version(), Kernel: "none"}
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						v.Commit = s.Value
					}
				}
			}
			if b, err := kernel.ELF(kernel.Minimal); err == nil {
				v.Minimal = len(b)
			}
			if b, err := kernel.ELF(kernel.Full); err == nil {
				sum := sha256.Sum256(b)
				v.Kernel, v.Size = hex.EncodeToString(sum[:8]), len(b)
			}
			if json, err := wantJSON(c, output); err != nil {
				return err
			} else if json {
				return writeJSON(c.OutOrStdout(), v)
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "gosv %s\nkernel %s, %d bytes; minimal: %d bytes\n%s\n", v.Version, v.Kernel, v.Size, v.Minimal, v.Go)
			return err
		},
	}
	outputFlag(c, &output)
	return c
}

func outputFlag(c *cobra.Command, output *string) {
	c.Flags().StringVarP(output, "output", "o", "text", "how to print: text or json")
}

func wantJSON(c *cobra.Command, output string) (bool, error) {
	switch output {
	case "text":
		return false, nil
	case "json":
		return true, nil
	}
	return false, usageError(c, fmt.Sprintf("--output %s: it is text or json", output))
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
