package vfs

// Pin adds a reference to a path that somebody else holds; Unpin drops it.
func (p Path) Pin() { p.pin() }
