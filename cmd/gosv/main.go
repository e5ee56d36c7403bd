// Command gosv runs Linux programs as microVMs: it collects a program with all that it needs, makes an image of it,
// and boots that image on the gosv kernel under a hypervisor.
package main

import (
	"fmt"
	"os"
	"strings"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

// run is main without the process around it: it carries out a command line and
// gives the exit status.
func run(args []string) int {
	root := newRoot()
	root.SetArgs(expandShortV(root, args))
	err := root.Execute()
	if err == nil {
		return 0
	}
	status, msg := statusOf(err)
	if msg != "" {
		fmt.Fprintln(os.Stderr, "gosv: "+strings.ReplaceAll(strings.TrimSpace(msg), "\n", "; "))
	}
	return status
}
