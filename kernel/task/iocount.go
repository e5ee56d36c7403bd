package task

// IOCounts is what read(2), write(2) and their kin moved (proc_pid_io(5)). Only
// the thread that they are of writes them; others may read a value that is
// behind.
type IOCounts struct {
	ReadBytes, WrittenBytes uint64
	Reads, Writes           uint64 // calls
}

// Read counts a call that read n bytes; it may have failed.
func (c *IOCounts) Read(n int64) {
	c.Reads++
	if n > 0 {
		c.ReadBytes += uint64(n)
	}
}

// Wrote counts a call that wrote n bytes; it may have failed.
func (c *IOCounts) Wrote(n int64) {
	c.Writes++
	if n > 0 {
		c.WrittenBytes += uint64(n)
	}
}

func (c *IOCounts) add(o *IOCounts) {
	c.ReadBytes += o.ReadBytes
	c.WrittenBytes += o.WrittenBytes
	c.Reads += o.Reads
	c.Writes += o.Writes
}

// IO returns the counts of all threads that are and were.
func (p *Process) IO() IOCounts {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := p.io
	for _, t := range p.threads {
		sum.add(&t.IO)
	}
	return sum
}
