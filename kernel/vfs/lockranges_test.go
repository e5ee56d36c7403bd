package vfs

import (
	"math/rand/v2"
	"testing"
)

// TestLockRanges compares with an array of bytes.
func TestLockRanges(t *testing.T) {
	const size = 3000
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 0))
		var l lockRanges
		var model [size + 1]byte // 0, or 1 shared, 2 exclusive
		for range 3000 {
			start := r.Int64N(size)
			end := min(start+r.Int64N(4), size-1)
			if r.IntN(200) == 0 {
				end = min(start+r.Int64N(size), size-1)
			}
			kind, changed := byte(r.IntN(3)), false
			for i := start; i <= end; i++ {
				changed = changed || model[i] != 0
				model[i] = kind
			}
			var got bool
			if kind == 0 {
				got = l.cut(start, end)
			} else {
				got = l.set(lockedRange{start: start, end: end, exclusive: kind == 2})
			}
			if got != changed {
				t.Fatalf("seed %d: %d to %d changed: %v", seed, start, end, got)
			}
			want := int64(-1)
			for i := start; i < size && want < 0; i++ {
				if model[i] == 2 {
					want = i
				}
			}
			if f := l.first(start, size-1, true); (f == nil) != (want < 0) || f != nil && max(f.start, start) != want {
				t.Fatalf("seed %d: first exclusive from %d is %v, want %d", seed, start, f, want)
			}
		}
		at, n := int64(0), 0
		l.each(func(k *lockedRange) bool {
			n++
			for ; at < k.start; at++ {
				if model[at] != 0 {
					t.Fatalf("seed %d: %d is not locked", seed, at)
				}
			}
			kind := byte(1)
			if k.exclusive {
				kind = 2
			}
			for ; at <= k.end; at++ {
				if model[at] != kind {
					t.Fatalf("seed %d: %d is %d, not %d", seed, at, kind, model[at])
				}
			}
			if model[at] == kind {
				t.Fatalf("seed %d: ranges at %d are not joined", seed, at)
			}
			return true
		})
		for ; at < size; at++ {
			if model[at] != 0 {
				t.Fatalf("seed %d: %d is not locked at the end", seed, at)
			}
		}
		for _, k := range l.chunks {
			if len(k) == 0 || len(k) > chunkSize {
				t.Fatalf("seed %d: a chunk of %d", seed, len(k))
			}
		}
		l.cut(0, maxOffset)
		if !l.empty() {
			t.Errorf("seed %d: not empty", seed)
		}
	}
}

// TestManyLockRanges takes minutes if a change costs time for all the others.
func TestManyLockRanges(t *testing.T) {
	var l lockRanges
	const n = 1 << 16
	for i := range int64(n) {
		l.set(lockedRange{start: 4 * i, end: 4 * i, exclusive: true})
		l.set(lockedRange{start: 8*n - 4*i, end: 8*n - 4*i, exclusive: true})
	}
	if len(l.chunks) > 4*n/chunkSize {
		t.Errorf("%d chunks for %d ranges", len(l.chunks), 2*n)
	}
	for i := range int64(n) {
		l.cut(4*(i*7919%n), 4*(i*7919%n))
	}
	l.cut(0, maxOffset)
	if !l.empty() {
		t.Error("not empty")
	}
}
