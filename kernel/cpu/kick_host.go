//go:build !metal

package cpu

// Kick makes a running Enter return, or the next one return at once, with
// VecKick or an interrupt's vector. Any goroutine may call it.
func (x *Context) Kick() {}
