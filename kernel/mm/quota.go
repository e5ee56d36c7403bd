package mm

import (
	"sync/atomic"

	"gosv/kernel/frame"
)

// A Quota bounds the pages of caches without a Backing: those of a file system in memory, or of all of them.
type Quota struct {
	used, limit atomic.Int64
	parent      *Quota // bounds this one too
	lethal      bool   // a fault that finds the quota used up kills, and is no SIGBUS
}

// Lasting bounds the pages that stay when the processes that wrote them are gone: of files with names in memory, and of System V's
// segments. A quarter of the memory is always left for programs and the kernel: ending them gives none of this back.
var Lasting = NewQuota(int64(frame.Total()-frame.Total()/4), nil)

// NewQuota returns a quota of so many pages, and of what parent has left, if there is one.
func NewQuota(pages int64, parent *Quota) *Quota {
	q := &Quota{parent: parent}
	q.limit.Store(pages)
	return q
}

// Lethal returns a quota for memory that ends with no file system's error: who touches more than there is gets SIGKILL, as for any
// other memory that is missing.
func Lethal(parent *Quota) *Quota {
	q := NewQuota(1<<62, parent)
	q.lethal = true
	return q
}

// Take adds n pages; false, and nothing is added, if they do not fit.
func (q *Quota) Take(n int64) bool {
	for i := q; i != nil; i = i.parent {
		if i.used.Add(n) > i.limit.Load() {
			for j := q; ; j = j.parent {
				j.used.Add(-n)
				if j == i {
					return false
				}
			}
		}
	}
	return true
}

// Give takes n pages away.
func (q *Quota) Give(n int64) {
	for i := q; i != nil; i = i.parent {
		i.used.Add(-n)
	}
}

// Limit is how many pages there may be, and Used how many there are.
func (q *Quota) Limit() int64 { return q.limit.Load() }

// Used is how many pages are taken.
func (q *Quota) Used() int64 { return q.used.Load() }

// Fits reports whether n pages more may be taken now.
func (q *Quota) Fits(n int64) bool {
	for i := q; i != nil; i = i.parent {
		if i.used.Load()+n > i.limit.Load() {
			return false
		}
	}
	return true
}
