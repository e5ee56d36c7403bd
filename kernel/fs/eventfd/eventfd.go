// Package eventfd is eventfd(2): a counter that wakes those who wait for it.
package eventfd

import (
	"encoding/binary"
	"math"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/mm"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// Name is what /proc/PID/fd shows.
const Name = "anon_inode:[eventfd]"

// Counter is the object behind the descriptor.
type Counter struct {
	vfs.FileDefaults
	semaphore bool
	queue     wait.Queue

	mu    sync.Mutex
	count uint64
}

// New returns a counter; semaphore is EFD_SEMAPHORE.
func New(initial uint64, semaphore bool) *Counter {
	return &Counter{count: initial, semaphore: semaphore}
}

// Read takes the counter, or 1 of a semaphore.
func (c *Counter) Read(_ *vfs.File, dst *mm.Buf, _ int64) (int64, error) {
	if dst.Len() < 8 {
		return 0, unix.EINVAL
	}
	c.mu.Lock()
	v := c.count
	if v == 0 {
		c.mu.Unlock()
		return 0, unix.EAGAIN
	}
	if c.semaphore {
		v = 1
	}
	c.count -= v
	c.mu.Unlock()
	c.queue.Notify(wait.Out)
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	if _, err := dst.CopyTo(b[:]); err != nil {
		return 0, err
	}
	return 8, nil
}

// Write adds to the counter.
func (c *Counter) Write(_ *vfs.File, src *mm.Buf, _ int64) (int64, error) {
	if src.Len() < 8 {
		return 0, unix.EINVAL
	}
	before := *src
	var b [8]byte
	if _, err := src.CopyFrom(b[:]); err != nil {
		return 0, err
	}
	v := binary.LittleEndian.Uint64(b[:])
	if v == math.MaxUint64 {
		return 0, unix.EINVAL
	}
	c.mu.Lock()
	if c.count == math.MaxUint64 || c.count > math.MaxUint64-1-v {
		c.mu.Unlock()
		*src = before // the write is tried again
		return 0, unix.EAGAIN
	}
	c.count += v
	c.mu.Unlock()
	c.queue.Notify(wait.In)
	return 8, nil
}

// Signal adds 1 for the kernel, which may go 1 over the most that a write can make: that is an error to poll(2).
func (c *Counter) Signal() {
	c.mu.Lock()
	if c.count < math.MaxUint64 {
		c.count++
	}
	c.mu.Unlock()
	c.queue.Notify(wait.In)
}

// Signal is Counter.Signal of a file that is an eventfd.
func Signal(f *vfs.File) {
	if c, ok := f.Impl().(*Counter); ok {
		c.Signal()
	}
}

// Readiness says In above zero, Out while 1 can be added, Err over the maximum.
func (c *Counter) Readiness() wait.Events {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ev wait.Events
	if c.count > 0 {
		ev |= wait.In
	}
	if c.count < math.MaxUint64-1 {
		ev |= wait.Out
	}
	if c.count == math.MaxUint64 {
		ev |= wait.Err
	}
	return ev
}

// Queue is told of changes of the counter.
func (c *Counter) Queue() *wait.Queue { return &c.queue }

// FDInfo appends what /proc/PID/fdinfo shows.
func (c *Counter) FDInfo(b []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	b = append(b, "eventfd-count: "...)
	s := strconv.FormatUint(c.count, 16)
	for n := len(s); n < 16; n++ {
		b = append(b, ' ')
	}
	b = append(b, s...)
	b = append(b, "\neventfd-id: 0\neventfd-semaphore: "...)
	if c.semaphore {
		return append(b, "1\n"...)
	}
	return append(b, "0\n"...)
}
