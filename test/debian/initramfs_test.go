package debian

import (
	"bytes"
	"testing"
)

func TestInitramfs(t *testing.T) {
	b := Initramfs([]byte("program"))
	if len(b)%4 != 0 || !bytes.HasPrefix(b, []byte("070701")) || !bytes.Contains(b, []byte("dev/console\x00")) || !bytes.Contains(b, []byte("TRAILER!!!")) {
		t.Errorf("not an archive: %q", b)
	}
	if n := bytes.Count(b, []byte("070701")); n != 6 {
		t.Errorf("%d entries", n)
	}
}
