package main

import "sort"

// cycles returns the groups of functions that can reach themselves: the strongly connected components of the graph
// (Tarjan's algorithm).
func (g *graph) cycles() [][]string {
	index, low := map[string]int{}, map[string]int{}
	on := map[string]bool{}
	var stack []string
	var groups [][]string
	var visit func(f string)
	visit = func(f string) {
		index[f] = len(index) + 1
		low[f] = index[f]
		stack = append(stack, f)
		on[f] = true
		for _, to := range g.sorted(f) {
			if index[to] == 0 {
				visit(to)
				low[f] = min(low[f], low[to])
			} else if on[to] {
				low[f] = min(low[f], index[to])
			}
		}
		if low[f] != index[f] {
			return
		}
		var group []string
		for {
			t := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			on[t] = false
			group = append(group, t)
			if t == f {
				break
			}
		}
		if _, self := g.calls[f][f]; len(group) > 1 || self {
			sort.Strings(group)
			groups = append(groups, group)
		}
	}
	var all []string
	for f := range g.calls {
		all = append(all, f)
	}
	sort.Strings(all)
	for _, f := range all {
		if index[f] == 0 {
			visit(f)
		}
	}
	return groups
}

func (g *graph) sorted(f string) []string {
	var list []string
	for to := range g.calls[f] {
		list = append(list, to)
	}
	sort.Strings(list)
	return list
}

// shortest returns the calls of a shortest cycle in a group.
func (g *graph) shortest(group []string) []string {
	var best []string
	for _, start := range group {
		from := map[string]string{}
		for list := []string{start}; len(list) != 0; list = list[1:] {
			f := list[0]
			if _, ok := g.calls[f][start]; ok {
				cycle := []string{g.calls[f][start].String(f, start)}
				for f != start {
					up := from[f]
					cycle = append([]string{g.calls[up][f].String(up, f)}, cycle...)
					f = up
				}
				if best == nil || len(cycle) < len(best) {
					best = cycle
				}
				break
			}
			for _, to := range g.sorted(f) {
				if _, ok := from[to]; !ok && to != start {
					from[to] = f
					list = append(list, to)
				}
			}
		}
	}
	return best
}
