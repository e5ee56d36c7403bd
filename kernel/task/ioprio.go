package task

// IOPriority is what ioprio_set(2) has set: the class above bit 13, and the
// priority in it; 0 if nothing has.
func (t *Thread) IOPriority() uint32 { return t.ioPriority.Load() }

// SetIOPriority keeps a priority. Nothing here has a queue of requests that it
// would order.
func (t *Thread) SetIOPriority(p uint32) { t.ioPriority.Store(p) }
