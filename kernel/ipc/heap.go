package ipc

import (
	"sync/atomic"

	"gosv/kernel/frame"
)

// heap is how many bytes messages and semaphores take. They stay when the processes that made them are gone, so ending those gives
// nothing back: all together may have a sixteenth of the memory.
var heap atomic.Int64

// Take counts n bytes that are to stay on the Go heap; false if there is no room for them (ENOMEM).
func Take(n int) bool {
	if heap.Add(int64(n)) > int64(frame.Total()*frame.Size/16) {
		heap.Add(-int64(n))
		return false
	}
	return true
}

// Give counts n bytes that are gone.
func Give(n int) { heap.Add(-int64(n)) }
