package vfs

// What a process makes the kernel keep is counted when memory is out, not when it is made: nothing is paid for it before.

// A Holder is a FileImpl that keeps memory for whoever has it open, beyond a few hundred bytes: what is written to it and not yet
// read, what it watches. Held returns about how many bytes end with the last descriptor. It does not block: whoever holds a lock
// of the file may be waiting for memory; a TryLock that fails is 0.
type Holder interface{ Held() int64 }

// fileCost is about what an open file of the smallest kind takes on the Go heap: File, inode, behaviour, and a descriptor.
const fileCost = 768

// Held is about how many bytes the kernel keeps for the file.
func (f *File) Held() int64 {
	if h, ok := f.impl.(Holder); ok {
		return fileCost + h.Held()
	}
	return fileCost
}

// Held is about how many bytes the kernel keeps for the table and its files.
func (t *FDTable) Held() int64 {
	slots := *t.slots.Load()
	n := int64(len(slots)) * 8
	for i := range slots {
		if f := slots[i].f.Load(); f != nil {
			n += f.Held()
		}
	}
	return n
}
