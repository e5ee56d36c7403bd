package sha256

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"math/rand"
	"testing"
)

var _ hash.Hash = New()

// Random pieces, compared with the standard library.
func TestAgainstStandard(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 2000 {
		want, got := sha256.New(), New()
		for range r.Intn(6) {
			b := make([]byte, r.Intn(150))
			r.Read(b)
			want.Write(b)
			got.Write(b)
			if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
				t.Fatal("the hashes differ")
			}
		}
		got.Reset()
		got.Write([]byte("abc"))
		if s := sha256.Sum256([]byte("abc")); !bytes.Equal(got.Sum(nil), s[:]) {
			t.Fatal("after Reset")
		}
	}
}

func BenchmarkBlock(b *testing.B) {
	d := New()
	var p [BlockSize]byte
	b.SetBytes(BlockSize)
	for range b.N {
		d.Write(p[:])
	}
}
