package boot

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gosv/test/target"
)

// wrapper stands in front of QEMU and changes its root disk by the sed script in $GOSV_TEST_DRIVE.
const wrapper = `#!/bin/sh
n=$#
while [ $n -gt 0 ]; do
	a=$1
	shift
	case $a in
	if=none,id=root,*) a=$(printf %%s "$a" | sed "$GOSV_TEST_DRIVE") ;;
	esac
	set -- "$@" "$a"
	n=$((n - 1))
done
exec %s "$@"
`

// TestDiskFails runs a program from a disk that cannot be read at one place, and from one that stops in the middle: read(2) is
// EIO, the access to a mapping is SIGBUS, what was read before is still there, and the machine ends.
func TestDiskFails(t *testing.T) {
	gosv := target.Gosv(t)
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Skip("no qemu-system-x86_64 here: sh test/setup.sh installs it")
	}
	program := target.Build(t, target.Program{Source: "boot/disk.c", Linking: target.Static})
	dir := t.TempDir()
	data := make([]byte, 24<<20) // more than goes into the memory of a machine of 64 MiB with the kernel
	rand.Read(data)
	write := func(name string, b []byte, mode os.FileMode) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, b, mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	dataFile := write("data", data, 0o644)
	write("qemu-system-x86_64", fmt.Appendf(nil, wrapper, qemu), 0o755)
	image := filepath.Join(dir, "app.img")
	build := exec.Command(gosv, "build", "-o", image, "-m", "64M", "-w", "/", "-v", dataFile+":/data", program, "/data")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	at := bytes.Index(content, data[5000*page:5001*page])
	if at < 0 || at%page != 0 {
		t.Fatalf("the file is at %d in the image", at)
	}
	fails := "read Input/output error\nagain -1 Input/output error\nSIGBUS BUS_ADRERR\nfirst page 4096\n"
	for _, c := range []struct {
		name, script, output, log string
	}{
		{"error", fmt.Sprintf("s/file=/file.driver=blkdebug,file.image.driver=file,file.image.filename=/; "+
			"s/$/,file.inject-error.0.event=none,file.inject-error.0.sector=%d,file.inject-error.0.errno=5,rerror=report/", at/512),
			fails + "last page 4096\n", "virtio-blk: I/O error, read of sectors"},
		{"silence", "s/$/,throttling.bps-read=1,throttling.bps-read-max=8000000/",
			fails + "last page -1\n", "virtio-blk failed: it has not completed a request for 60 s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			args := []string{"run", "-v"}
			if os.Getenv("GOSV_TEST_BIN") != "" {
				args = append(args, "--kernel", target.Kernel(t))
			}
			cmd := exec.CommandContext(t.Context(), gosv, append(args, image)...)
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "GOSV_TEST_DRIVE="+c.script)
			cmd.WaitDelay = time.Second
			timer := time.AfterFunc(target.Patience(4*time.Minute), func() { cmd.Process.Kill() })
			defer timer.Stop()
			var log strings.Builder
			cmd.Stderr = &log
			out, _ := cmd.Output()
			if s := cmd.ProcessState.ExitCode(); s != 7 || string(out) != c.output {
				t.Errorf("status %d, output %q\nwant 7 and %q\n%s", s, out, c.output, log.String())
			}
			if !strings.Contains(log.String(), c.log) {
				t.Errorf("the log lacks %q:\n%s", c.log, log.String())
			}
		})
	}
}
