package main

import (
	"fmt"
	"go/types"
	"sort"
	"strings"

	"golang.org/x/tools/go/callgraph"
	"golang.org/x/tools/go/callgraph/cha"
	"golang.org/x/tools/go/callgraph/vta"
	"golang.org/x/tools/go/ssa"
	"golang.org/x/tools/go/ssa/ssautil"
)

// A graph says which functions of the kernel each function calls, on the same stack. A closure is a function of its own,
// named with "$" behind the function that it is in; the instances of a generic function are one.
type graph struct {
	calls map[string]map[string]call
}

// A call is an edge: through is the interface method or "func value" it goes through, "" for a call by name.
type call struct {
	through string
	at      string
}

func (g *graph) add(from, to *ssa.Function, through string, site ssa.Instruction) {
	f, t := name(from), name(to)
	if f == t && from.Synthetic != "" {
		return // a wrapper of a generic method
	}
	if g.calls[f] == nil {
		g.calls[f] = map[string]call{}
	}
	if _, ok := g.calls[f][t]; !ok || through == "" {
		p := from.Prog.Fset.Position(site.Pos())
		at := p.Filename
		if i := strings.Index(at, "/kernel/"); i >= 0 {
			at = at[i+1:]
		}
		g.calls[f][t] = call{through, fmt.Sprintf("%s:%d", at, p.Line)}
	}
}

// name is the function's full name without the module's prefix.
func name(f *ssa.Function) string {
	if o := f.Origin(); o != nil {
		f = o
	}
	return short(f.String())
}

func short(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "gosv/kernel/", ""), "gosv/", "")
}

// isKernel reports whether the function's code is there and ours. Wrappers that the compiler makes for promoted methods
// belong to no package, and are followed.
func isKernel(f *ssa.Function) bool {
	if f.Pkg != nil {
		return strings.HasPrefix(f.Pkg.Pkg.Path(), "gosv/")
	}
	return len(f.Blocks) != 0
}

func newGraph(prog *ssa.Program) *graph {
	g := &graph{calls: map[string]map[string]call{}}
	funcs := ssautil.AllFunctions(prog)
	coarse := cha.CallGraph(prog)
	fine := vta.CallGraph(funcs, coarse)
	for f := range funcs {
		if !isKernel(f) {
			continue
		}
		known, guess := callees(fine.Nodes[f]), callees(coarse.Nodes[f])
		for _, b := range f.Blocks {
			for _, insn := range b.Instrs {
				site, ok := insn.(ssa.CallInstruction)
				if !ok {
					continue
				}
				if _, ok := insn.(*ssa.Go); ok {
					continue // a stack of its own
				}
				g.addSite(f, site, known[site], guess[site], prog)
			}
		}
	}
	return g
}

func callees(n *callgraph.Node) map[ssa.CallInstruction][]*ssa.Function {
	m := map[ssa.CallInstruction][]*ssa.Function{}
	if n != nil {
		for _, e := range n.Out {
			m[e.Site] = append(m[e.Site], e.Callee.Func)
		}
	}
	return m
}

// addSite adds what one call instruction may call.
func (g *graph) addSite(f *ssa.Function, site ssa.CallInstruction, known, guess []*ssa.Function, prog *ssa.Program) {
	c := site.Common()
	through := ""
	if c.IsInvoke() {
		through = short(c.Method.FullName())
	} else if c.StaticCallee() == nil {
		through = "func value"
	}
	if len(known) == 0 && c.IsInvoke() && c.Method.Pkg() != nil && strings.HasPrefix(c.Method.Pkg().Path(), "gosv/") {
		known = guess // the values come out of a library's container: all types that fit
	}
	library := c.StaticCallee() != nil && !isKernel(c.StaticCallee()) ||
		c.IsInvoke() && (c.Method.Pkg() == nil || !strings.HasPrefix(c.Method.Pkg().Path(), "gosv/"))
	for _, to := range known {
		if isKernel(to) {
			g.add(f, to, through, site)
		}
	}
	if library && !later(c.StaticCallee()) {
		for _, a := range c.Args {
			for _, to := range handed(a, prog) {
				g.add(f, to, "library", site)
			}
		}
	}
}

// later reports whether a library's function calls what it is handed from another goroutine.
func later(f *ssa.Function) bool {
	if f == nil {
		return false
	}
	switch s := f.String(); {
	case strings.HasPrefix(s, "time.AfterFunc"), strings.HasPrefix(s, "runtime.AddCleanup"), strings.HasPrefix(s, "runtime.SetFinalizer"):
		return true
	}
	return false
}

// handed returns the functions of the kernel that a library may call when it gets the value: a function, or the methods of
// the interface that it wants.
func handed(v ssa.Value, prog *ssa.Program) []*ssa.Function {
	switch v := v.(type) {
	case *ssa.Function:
		if isKernel(v) {
			return []*ssa.Function{v}
		}
	case *ssa.MakeClosure:
		return handed(v.Fn, prog)
	case *ssa.ChangeType:
		return handed(v.X, prog)
	case *ssa.MakeInterface:
		t, ok := v.Type().Underlying().(*types.Interface)
		if !ok {
			return nil
		}
		var list []*ssa.Function
		for m := range t.Methods() {
			if s := prog.MethodSets.MethodSet(v.X.Type()).Lookup(m.Pkg(), m.Name()); s != nil {
				if f := prog.MethodValue(s); f != nil && isKernel(f) {
					list = append(list, f)
				}
			}
		}
		return list
	}
	return nil
}

// cut takes the calls out that the rows allow, and returns the rows without which there would be no more cycles than with them.
func (g *graph) cut(rows []row) (stale []row) {
	taken := make([][][2]string, len(rows))
	removed := map[[2]string]call{}
	for from, out := range g.calls {
		for to, c := range out {
			for i, r := range rows {
				if r.from == from && (r.to == to || r.to == c.through) {
					taken[i] = append(taken[i], [2]string{from, to})
					removed[[2]string{from, to}] = c
				}
			}
		}
	}
	for e := range removed {
		delete(g.calls[e[0]], e[1])
	}
	for i, r := range rows {
		used := false
		for _, e := range taken[i] {
			if g.reaches(e[1], e[0]) {
				used = true
			}
		}
		if !used {
			stale = append(stale, r)
		}
	}
	return stale
}

// reaches reports whether from leads to to, or is it.
func (g *graph) reaches(from, to string) bool {
	seen := map[string]bool{from: true}
	for list := []string{from}; len(list) != 0; {
		f := list[len(list)-1]
		list = list[:len(list)-1]
		if f == to {
			return true
		}
		for next := range g.calls[f] {
			if !seen[next] {
				seen[next] = true
				list = append(list, next)
			}
		}
	}
	return false
}

// inside lists the calls between functions of a group.
func (g *graph) inside(group []string) []string {
	member := map[string]bool{}
	for _, f := range group {
		member[f] = true
	}
	var list []string
	for _, f := range group {
		for to, c := range g.calls[f] {
			if member[to] {
				list = append(list, c.String(f, to))
			}
		}
	}
	sort.Strings(list)
	return list
}

func (c call) String(from, to string) string {
	s := fmt.Sprintf("%s -> %s (%s", from, to, c.at)
	if c.through != "" {
		s += ", through " + c.through
	}
	return s + ")"
}
