package net

import "sync/atomic"

var onChange atomic.Pointer[func()]

// Watch makes f be called after each change of addresses, routes and carriers
// that this package makes or is told of. It is called on a goroutine of its own,
// once for several changes perhaps.
func Watch(f func()) { onChange.Store(&f) }

// changed says that there was a change. The caller may hold the stack's locks.
func changed() {
	if f := onChange.Load(); f != nil {
		later(*f)
	}
}
