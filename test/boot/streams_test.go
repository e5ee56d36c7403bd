package boot

import (
	"bytes"
	"os/exec"
	"testing"

	"gosv/test/target"
)

// TestNull has some of the standard streams on /dev/null: they are that in the guest too.
func TestNull(t *testing.T) {
	gosv := target.Gosv(t)
	program := target.Build(t, target.Program{Source: "boot/streams.c", Linking: target.Static})
	for _, streams := range []string{"0", "1", "02", "01", ""} {
		t.Run("null"+streams, func(t *testing.T) {
			run := func(args ...string) string {
				var out, in bytes.Buffer
				cmd := exec.Command(args[0], args[1:]...)
				cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &out
				for _, fd := range streams {
					switch fd {
					case '0':
						cmd.Stdin = nil // package exec opens /dev/null
					case '1':
						cmd.Stdout = nil
					case '2':
						cmd.Stderr = nil
					}
				}
				if err := cmd.Run(); err != nil {
					t.Fatalf("%v: %v\n%s", args, err, out.Bytes())
				}
				return out.String()
			}
			host, guest := run(program), run(gosv, "run", program)
			if host != guest || host == "" {
				t.Errorf("on the host\n%sin the guest\n%s", host, guest)
			}
		})
	}
}
