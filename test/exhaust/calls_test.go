package exhaust

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"gosv/test/target"
)

// TestCalls makes system calls at random (test/guest/fuzz/calls.c) in two guests at once, with one CPU and with two. It takes a minute
// as a rule, five under CI, and as long as GOSV_TEST_CALLS says. The seed of a run is on its log; "calls -r SEED -1" runs one child.
func TestCalls(t *testing.T) {
	d := time.Minute
	if os.Getenv("CI") != "" {
		d = 5 * time.Minute
	}
	if s := os.Getenv("GOSV_TEST_CALLS"); s != "" {
		var err error
		if d, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	bin := target.Build(t, target.Program{Source: "fuzz/calls.c", Linking: target.Static})
	for cpus := 1; cpus <= 2; cpus++ {
		m := target.Machine{Memory: 256, CPUs: cpus}
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			seed := strconv.FormatUint(uint64(rand.Uint32())<<16, 10)
			t.Log("seed", seed)
			r := target.Run(t, m, d+5*time.Minute, "", nil, bin, "-r", seed, "-t", strconv.Itoa(int(d.Seconds())))
			if r.Trouble != "" || r.Status != 0 || !bytes.Contains(r.Stdout, []byte("\nok ")) {
				t.Errorf("seed %s: status %d, %s\n%s%s%s", seed, r.Status, r.Trouble, r.Stdout, r.Stderr, r.Log)
			}
			t.Logf("%s", bytes.TrimSpace(r.Stdout[bytes.LastIndexByte(bytes.TrimSpace(r.Stdout), '\n')+1:]))
		})
	}
}
