// Package tree has recursion of all kinds that the check must find, and calls that are none.
package tree

import (
	"slices"
	"sort"
	"time"
)

type Node struct {
	Below map[string]*Node
	Sub   Walker
}

// Prune calls itself, as vfs.pruneBelow once did.
func (n *Node) Prune() {
	for _, ch := range n.Below {
		ch.Prune()
	}
}

// Even and Odd call each other.
func Even(n int) bool { return n == 0 || Odd(n-1) }
func Odd(n int) bool  { return n != 0 && Even(n-1) }

type Walker interface{ Walk() }

// Walk calls itself through an interface.
func (n *Node) Walk() { n.Sub.Walk() }

func NewNode(sub *Node) *Node { return &Node{Sub: sub} }

// Visit has a closure that calls itself.
func Visit(n *Node) (count int) {
	var visit func(*Node)
	visit = func(n *Node) {
		count++
		for _, ch := range n.Below {
			visit(ch)
		}
	}
	visit(n)
	return count
}

// Sorted calls itself from a function that a library calls.
func Sorted(n *Node) []*Node {
	var list []*Node
	for _, ch := range n.Below {
		list = append(list, ch)
	}
	slices.SortFunc(list, func(a, b *Node) int { return len(Sorted(a)) - len(Sorted(b)) })
	return list
}

// byDepth calls itself from a method that a library calls.
type byDepth []*Node

func (l byDepth) Len() int           { return len(l) }
func (l byDepth) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l byDepth) Less(i, j int) bool { return Depth(l[i]) < Depth(l[j]) }

func Depth(n *Node) int {
	var l byDepth
	for _, ch := range n.Below {
		l = append(l, ch)
	}
	sort.Sort(l)
	return len(l)
}

// Later runs itself again on another goroutine's stack, which is none.
func Later() { time.AfterFunc(time.Second, Later) }

// Spawn likewise.
func Spawn() { go Spawn() }
