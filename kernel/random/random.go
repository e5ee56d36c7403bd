// Package random is the kernel's random number generator: ChaCha20 with fast key erasure, seeded from the CPU and from
// whatever entropy drivers add.
package random

import (
	"encoding/binary"
	"math/bits"
	"sync"

	"gosv/kernel/cpu"
)

// pool is the generator's state. Every block of output replaces the key first,
// so that what was given out cannot be found again from the state.
var pool struct {
	mu     sync.Mutex
	key    [8]uint32
	seeded bool
	buf    [blocks * 64]byte // output not used yet, at the end
	left   int
}

const blocks = 8

// Read fills b. It never blocks and never fails: a machine without RDRAND and
// without an entropy device is seeded from its clocks.
func Read(b []byte) {
	pool.mu.Lock()
	for len(b) > 0 {
		if pool.left == 0 {
			refill()
		}
		n := copy(b, pool.buf[len(pool.buf)-pool.left:])
		clear(pool.buf[len(pool.buf)-pool.left:][:n])
		pool.left -= n
		b = b[n:]
	}
	pool.mu.Unlock()
}

// Uint64 returns a random number.
func Uint64() uint64 {
	var b [8]byte
	Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// AddEntropy mixes b into the state (virtio-rng, writes to /dev/random).
func AddEntropy(b []byte) {
	pool.mu.Lock()
	for len(b) > 0 {
		var block [32]byte
		n := copy(block[:], b)
		b = b[n:]
		for i := range pool.key {
			pool.key[i] ^= binary.LittleEndian.Uint32(block[4*i:])
		}
		refill()
	}
	pool.left = 0
	pool.mu.Unlock()
}

// refill makes new output and a new key. The CPU's generator is mixed in each
// time.
func refill() {
	if !pool.seeded {
		pool.seeded = true
		mix(0, uint64(cpu.Nanotime()))
		mix(2, uint64(cpu.Walltime()))
	}
	for i := 0; i < 8; i += 2 {
		if v, ok := cpu.Random64(); ok {
			mix(i, v)
		}
	}
	mix(6, uint64(cpu.Nanotime()))
	var out [64]byte
	chacha(&pool.key, 0, &out)
	key := pool.key
	for i := range pool.key {
		pool.key[i] = binary.LittleEndian.Uint32(out[4*i:])
	}
	for i := range blocks {
		chacha(&key, uint64(i+1), (*[64]byte)(pool.buf[64*i:]))
	}
	pool.left = len(pool.buf)
}

func mix(i int, v uint64) {
	pool.key[i] ^= uint32(v)
	pool.key[i+1] ^= uint32(v >> 32)
}

// chacha is one block of ChaCha20 (RFC 8439, section 2.3) with a nonce of zero.
func chacha(key *[8]uint32, counter uint64, out *[64]byte) {
	s := [16]uint32{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574,
		key[0], key[1], key[2], key[3], key[4], key[5], key[6], key[7],
		uint32(counter), uint32(counter >> 32), 0, 0}
	x := s
	for range 10 {
		quarter(&x, 0, 4, 8, 12)
		quarter(&x, 1, 5, 9, 13)
		quarter(&x, 2, 6, 10, 14)
		quarter(&x, 3, 7, 11, 15)
		quarter(&x, 0, 5, 10, 15)
		quarter(&x, 1, 6, 11, 12)
		quarter(&x, 2, 7, 8, 13)
		quarter(&x, 3, 4, 9, 14)
	}
	for i := range x {
		binary.LittleEndian.PutUint32(out[4*i:], x[i]+s[i])
	}
}

func quarter(x *[16]uint32, a, b, c, d int) {
	x[a] += x[b]
	x[d] = bits.RotateLeft32(x[d]^x[a], 16)
	x[c] += x[d]
	x[b] = bits.RotateLeft32(x[b]^x[c], 12)
	x[a] += x[b]
	x[d] = bits.RotateLeft32(x[d]^x[a], 8)
	x[c] += x[d]
	x[b] = bits.RotateLeft32(x[b]^x[c], 7)
}
