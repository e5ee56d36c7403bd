package vfs

import (
	"slices"
	"sort"
)

// A lockedRange is a record lock of one owner on the bytes start to end, both included.
type lockedRange struct {
	start, end int64
	file       *File // through which it was set; fdinfo shows it there
	exclusive  bool
}

// lockRanges are the record locks of one owner on one file: sorted, without overlap, and without neighbours of one kind.
// They lie in chunks of bounded size, so that millions of them are changed in logarithmic time and a short move.
type lockRanges struct{ chunks [][]lockedRange }

// chunkSize is how many ranges a chunk has at most.
const chunkSize = 256

// rangePos is a place in lockRanges; past the last range, chunk is len(chunks).
type rangePos struct{ chunk, i int }

func (r *lockRanges) empty() bool { return len(r.chunks) == 0 }

// at returns the range at a place, nil past the end.
func (r *lockRanges) at(p rangePos) *lockedRange {
	if p.chunk >= len(r.chunks) {
		return nil
	}
	return &r.chunks[p.chunk][p.i]
}

// seek returns the place of the first range that ends at off or later.
func (r *lockRanges) seek(off int64) rangePos {
	c := sort.Search(len(r.chunks), func(i int) bool { k := r.chunks[i]; return k[len(k)-1].end >= off })
	if c == len(r.chunks) {
		return rangePos{c, 0}
	}
	k := r.chunks[c]
	return rangePos{c, sort.Search(len(k), func(i int) bool { return k[i].end >= off })}
}

func (r *lockRanges) next(p rangePos) rangePos {
	if p.i++; p.i == len(r.chunks[p.chunk]) {
		p = rangePos{p.chunk + 1, 0}
	}
	return p
}

// prev returns the range before a place, nil at the start.
func (r *lockRanges) prev(p rangePos) *lockedRange {
	if p.i > 0 {
		return &r.chunks[p.chunk][p.i-1]
	}
	if p.chunk == 0 {
		return nil
	}
	k := r.chunks[p.chunk-1]
	return &k[len(k)-1]
}

// insert puts a range in front of what is at p.
func (r *lockRanges) insert(p rangePos, l lockedRange) {
	if p.i == 0 && p.chunk > 0 { // behind the chunk before: what is set upwards fills chunks
		p.chunk--
		p.i = len(r.chunks[p.chunk])
	}
	if p.chunk == len(r.chunks) {
		r.chunks = append(r.chunks, append(make([]lockedRange, 0, 4), l))
		return
	}
	k := r.chunks[p.chunk]
	if len(k) < chunkSize {
		r.chunks[p.chunk] = slices.Insert(k, p.i, l)
		return
	}
	half := len(k) / 2
	if p.i == len(k) {
		half = len(k)
	}
	right := make([]lockedRange, 0, chunkSize)
	right = append(right, k[half:]...)
	k = k[:half]
	if p.i <= half && half < chunkSize {
		k = slices.Insert(k, p.i, l)
	} else {
		right = slices.Insert(right, p.i-half, l)
	}
	r.chunks[p.chunk] = k
	r.chunks = slices.Insert(r.chunks, p.chunk+1, right)
}

// remove takes out the ranges from p on and before q.
func (r *lockRanges) remove(p, q rangePos) {
	if p == q {
		return
	}
	if p.chunk == q.chunk {
		r.chunks[p.chunk] = slices.Delete(r.chunks[p.chunk], p.i, q.i)
		return // q.i is in the chunk, so something is left of it
	}
	if q.i > 0 {
		r.chunks[q.chunk] = slices.Delete(r.chunks[q.chunk], 0, q.i)
	}
	first := p.chunk
	if p.i > 0 {
		r.chunks[first] = slices.Delete(r.chunks[first], p.i, len(r.chunks[first]))
		first++
	}
	r.chunks = slices.Delete(r.chunks, first, q.chunk)
	if len(r.chunks) == 0 {
		r.chunks = nil
	}
}

// cut takes the bytes start to end out; changed reports whether any were locked.
func (r *lockRanges) cut(start, end int64) (changed bool) {
	p := r.seek(start)
	l := r.at(p)
	if l == nil || l.start > end {
		return false
	}
	if l.start < start {
		right := *l
		l.end = start - 1
		p = r.next(p)
		if right.end > end {
			right.start = end + 1
			r.insert(p, right)
			return true
		}
	}
	q := rangePos{len(r.chunks), 0}
	if end != maxOffset {
		q = r.seek(end + 1)
	}
	if l := r.at(q); l != nil && l.start <= end {
		l.start = end + 1
	}
	r.remove(p, q)
	return true
}

// set locks the bytes of l in place of what was there.
func (r *lockRanges) set(l lockedRange) (changed bool) {
	changed = r.cut(l.start, l.end)
	p := r.seek(l.start)
	left, right := r.prev(p), r.at(p)
	joins := left != nil && left.end == l.start-1 && left.exclusive == l.exclusive
	if right != nil && l.end != maxOffset && right.start == l.end+1 && right.exclusive == l.exclusive {
		if !joins {
			right.start = l.start
			return changed
		}
		left.end = right.end
		r.remove(p, r.next(p))
		return changed
	}
	if joins {
		left.end = l.end
		return changed
	}
	r.insert(p, l)
	return changed
}

// first returns the lowest range that has bytes of start to end, and is exclusive if that is asked for; nil if there is none.
func (r *lockRanges) first(start, end int64, exclusive bool) *lockedRange {
	p := r.seek(start)
	for {
		l := r.at(p)
		if l == nil || l.start > end {
			return nil
		}
		if l.exclusive || !exclusive {
			return l
		}
		p = r.next(p)
	}
}

// each calls yield for the ranges in order.
func (r *lockRanges) each(yield func(*lockedRange) bool) bool {
	for _, k := range r.chunks {
		for i := range k {
			if !yield(&k[i]) {
				return false
			}
		}
	}
	return true
}
