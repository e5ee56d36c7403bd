package random

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// The block function on the all-zero key (RFC 8439, appendix A.1, test vector 1).
func TestBlock(t *testing.T) {
	var key [8]uint32
	var out [64]byte
	chacha(&key, 0, &out)
	want := "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
	if got := hex.EncodeToString(out[:32]); got != want {
		t.Errorf("block = %s, want %s", got, want)
	}
}

func TestReadNeverRepeats(t *testing.T) {
	a, b := make([]byte, 1000), make([]byte, 1000)
	Read(a)
	AddEntropy([]byte("some bytes of an entropy device, more than one block of them"))
	Read(b)
	for i := 0; i+16 <= len(a); i++ {
		if bytes.Contains(b, a[i:i+16]) || bytes.Count(a, a[i:i+16]) != 1 {
			t.Fatalf("16 bytes at %d repeat", i)
		}
	}
}
