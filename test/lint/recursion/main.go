// Command recursion finds the cycles in the call graph of the kernel. A goroutine's stack ends at 1 MiB there; a recursion
// whose depth a program chooses is therefore a way to end the machine. Each cycle must be cut by a row of allowed.go, which
// says what bounds its depth. A new cycle fails, and so does a row that cuts nothing any more.
//
// The graph has the functions of the kernel's own packages, built with the tag metal. Calls through interfaces and function
// values lead where variable type analysis (package vta) says values come from. A function that is handed to a library is
// taken to be called there and then. What is not seen: a call into gVisor's stack that comes back into the kernel.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/go/ssa"
	"golang.org/x/tools/go/ssa/ssautil"
)

func main() {
	dir := flag.String("C", ".", "directory of the module gosv")
	edges := flag.Bool("edges", false, "print each call inside a cycle, not only one cycle of each group")
	flag.Parse()
	if err := check(*dir, *edges); err != nil {
		fmt.Fprintln(os.Stderr, "recursion:", err)
		os.Exit(1)
	}
}

func check(dir string, edges bool) error {
	g, err := kernelGraph(dir)
	if err != nil {
		return err
	}
	faults := 0
	for _, r := range g.cut(allowed) {
		fmt.Printf("recursion: the row %q -> %q cuts no cycle: take it out of allowed.go\n", r.from, r.to)
		faults++
	}
	for _, group := range g.cycles() {
		faults++
		fmt.Printf("recursion: %d functions call each other, for instance:\n", len(group))
		for _, call := range g.shortest(group) {
			fmt.Printf("\t%s\n", call)
		}
		if edges {
			for _, call := range g.inside(group) {
				fmt.Printf("\t\t%s\n", call)
			}
		}
	}
	if faults != 0 {
		return fmt.Errorf("%d faults: use a loop and a list instead, or say in test/lint/recursion/allowed.go what bounds the depth", faults)
	}
	fmt.Printf("recursion: %d functions of the kernel, %d recursions with a bound\n", len(g.calls), len(allowed))
	return nil
}

// kernelGraph loads the kernel's packages and builds their call graph.
func kernelGraph(dir string) (*graph, error) {
	env := append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=-tags=metal")
	list, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedImports | packages.NeedDeps, Dir: dir, Env: env}, "./cmd/gosv-kernel")
	if err != nil {
		return nil, err
	}
	var ours []string
	packages.Visit(list, nil, func(p *packages.Package) {
		if strings.HasPrefix(p.PkgPath, "gosv/") {
			ours = append(ours, p.PkgPath)
		}
	})
	if len(ours) < 20 {
		return nil, fmt.Errorf("only %d packages found in %s", len(ours), dir)
	}
	return load(dir, env, ours...)
}

// load builds the call graph of packages. Of what they import, only types are read, from the build cache.
func load(dir string, env []string, pkgs ...string) (*graph, error) {
	loaded, err := packages.Load(&packages.Config{Mode: packages.LoadSyntax, Dir: dir, Env: env}, pkgs...)
	if err != nil {
		return nil, err
	}
	if packages.PrintErrors(loaded) != 0 {
		return nil, fmt.Errorf("the kernel does not compile")
	}
	prog, list := ssautil.Packages(loaded, ssa.InstantiateGenerics)
	for _, p := range list {
		if p != nil {
			p.Build()
		}
	}
	return newGraph(prog), nil
}
