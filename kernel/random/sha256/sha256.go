// Package sha256 is SHA-256 (FIPS 180-4, section 6.2) in plain Go, for the TCP/IP stack's sequence numbers, SYN cookies and
// interface identifiers. The standard library's brings its whole FIPS 140 module, with 32 MiB of static memory.
package sha256

import (
	"encoding/binary"
	"math/bits"
)

// Sizes in bytes.
const (
	Size      = 32
	BlockSize = 64
)

// A Hash is a hash.Hash. It allocates nothing but itself.
type Hash struct {
	h   [8]uint32
	buf [BlockSize]byte
	n   uint64 // bytes written
}

// New returns an empty hash.
func New() *Hash {
	d := new(Hash)
	d.Reset()
	return d
}

// Reset makes the hash that of nothing.
func (d *Hash) Reset() { d.h, d.n = initial, 0 }

// Size is 32.
func (*Hash) Size() int { return Size }

// BlockSize is 64.
func (*Hash) BlockSize() int { return BlockSize }

// Write adds p. It never fails.
func (d *Hash) Write(p []byte) (int, error) {
	n := len(p)
	if used := int(d.n % BlockSize); used > 0 {
		k := copy(d.buf[used:], p)
		p = p[k:]
		if used+k == BlockSize {
			d.block(d.buf[:])
		}
	}
	for ; len(p) >= BlockSize; p = p[BlockSize:] {
		d.block(p)
	}
	d.n += uint64(n)
	if len(p) > 0 && d.n%BlockSize == uint64(len(p)) {
		copy(d.buf[:], p)
	}
	return n, nil
}

// Sum appends the hash of what was written to b.
func (d *Hash) Sum(b []byte) []byte {
	c := *d
	var pad [BlockSize + 8]byte
	pad[0] = 0x80
	n := 56 - int(d.n%BlockSize)
	if n <= 0 {
		n += BlockSize
	}
	binary.BigEndian.PutUint64(pad[n:], d.n*8)
	c.Write(pad[:n+8]) //nolint:errcheck // it cannot fail
	for _, v := range c.h {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func (d *Hash) block(p []byte) {
	var w [64]uint32
	for i := range 16 {
		w[i] = binary.BigEndian.Uint32(p[4*i:])
	}
	for i := 16; i < 64; i++ {
		x, y := w[i-15], w[i-2]
		s0 := bits.RotateLeft32(x, -7) ^ bits.RotateLeft32(x, -18) ^ x>>3
		s1 := bits.RotateLeft32(y, -17) ^ bits.RotateLeft32(y, -19) ^ y>>10
		w[i] = w[i-16] + s0 + w[i-7] + s1
	}
	a, b, c, e, f, g, h := d.h[0], d.h[1], d.h[2], d.h[4], d.h[5], d.h[6], d.h[7]
	dd := d.h[3]
	for i := range w {
		s1 := bits.RotateLeft32(e, -6) ^ bits.RotateLeft32(e, -11) ^ bits.RotateLeft32(e, -25)
		t1 := h + s1 + (e&f ^ ^e&g) + k[i] + w[i]
		s0 := bits.RotateLeft32(a, -2) ^ bits.RotateLeft32(a, -13) ^ bits.RotateLeft32(a, -22)
		t2 := s0 + (a&b ^ a&c ^ b&c)
		h, g, f, e = g, f, e, dd+t1
		dd, c, b, a = c, b, a, t1+t2
	}
	for i, v := range [8]uint32{a, b, c, dd, e, f, g, h} {
		d.h[i] += v
	}
}

// initial are the fractions of the square roots of the first 8 primes.
var initial = [8]uint32{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}

// k are the fractions of the cube roots of the first 64 primes.
var k = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}
