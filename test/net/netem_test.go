package nettest

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gosv/host/rootfs"
	"gosv/test/debian"
)

// netem is what a bad link does, in the words of tc-netem(8).
var netem = []string{"netem", "delay", "2ms", "1ms", "loss", "2%", "duplicate", "2%", "reorder", "5%"}

// netemInit is the first process of a machine that is a bridge with two bad ends. It tells what they did when it is sent a line.
// Programs have their paths: busybox has its own ip and tc.
var netemInit = `#!/usr/bin/busybox sh
set -e
busybox mount -t proc proc /proc
cd /modules
for m in $(busybox cat order); do busybox insmod $m.ko; done
/usr/sbin/ip link add br0 type bridge
for i in eth0 eth1; do
	/usr/sbin/ip link set $i up
	/usr/sbin/ip link set $i master br0
	/usr/sbin/tc qdisc add dev $i root ` + strings.Join(netem, " ") + `
done
/usr/sbin/ip link set br0 up
echo bridge is ready
while read line; do /usr/sbin/tc -s qdisc show; echo told; done
`

// lost is how many packets a queue has dropped, in the words of tc -s.
var lost = regexp.MustCompile(`qdisc netem .* dev (eth\d) .*\s+Sent \d+ bytes \d+ pkt \(dropped (\d+),`)

// newNetem makes a tap interface for a guest, from which Debian's kernel brings packets to our addresses and back, by way of
// tc-netem(8) in both directions. It must have lost some when the test ends.
func newNetem(t testing.TB) (tap string) {
	t.Helper()
	installed(t, "/usr/bin/busybox", "/usr/sbin/tc", "/usr/sbin/ip", "/usr/bin/qemu-system-x86_64")
	dir := filepath.Join("../../build", "debian")
	k, err := debian.Fetch(dir)
	if err != nil {
		lacks(t, err.Error())
	}
	r, err := rootfs.Collect(rootfs.Request{Program: "/usr/bin/busybox", Also: []string{"/usr/sbin/tc", "/usr/sbin/ip"}, Cwd: "/", SearchPath: "/usr/sbin:/usr/bin:/sbin:/bin"})
	if err != nil {
		t.Fatal(err)
	}
	modules := append([]string{"net/llc/llc", "net/802/stp", "net/bridge/bridge", "net/sched/sch_netem"}, debian.VirtioNet...)
	if err := k.AddModules(r.Tree, modules...); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, m := range modules {
		order = append(order, filepath.Base(m))
	}
	r.Tree.AddData("/modules/order", 0o644, []byte(strings.Join(order, "\n")))
	r.Tree.AddData("/init", 0o755, []byte(netemInit))
	for _, d := range []string{"/proc", "/dev"} {
		r.Tree.AddDir(d, 0o755)
	}
	archive, err := debian.Archive(r.Tree)
	if err != nil {
		t.Fatal(err)
	}
	initrd := filepath.Join(t.TempDir(), "initrd")
	if err := os.WriteFile(initrd, archive, 0o644); err != nil {
		t.Fatal(err)
	}

	tap = newTap(t, "tap0")
	address(t, newTap(t, "tap1"))
	join(t, tap, newTap(t, "tap2"))
	argv := []string{"-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "256M", "-nodefaults", "-no-user-config", "-display", "none",
		"-no-reboot", "-kernel", k.File, "-initrd", initrd, "-append", debian.CommandLine, "-serial", "stdio"}
	for i, name := range []string{"tap1", "tap2"} {
		id := "n" + name
		// Without segmentation a packet that is lost is one, not twenty.
		argv = append(argv, "-netdev", "tap,id="+id+",ifname="+name+",script=no,downscript=no",
			"-device", "virtio-net-pci,netdev="+id+",mac=52:54:00:00:09:0"+string(rune('1'+i))+",host_tso4=off,host_tso6=off,guest_tso4=off,guest_tso6=off")
	}
	cmd := exec.Command("qemu-system-x86_64", argv...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait() //nolint:errcheck // it was killed
	})
	wait := func(what string) {
		t.Helper()
		for until := time.Now().Add(limit); !strings.Contains(out.String(), what); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("the machine with netem does not say %q:\n%s", what, out.String())
			}
		}
	}
	wait("bridge is ready")
	t.Cleanup(func() {
		if _, err := io.WriteString(in, "tell\n"); err != nil {
			t.Error(err)
		}
		wait("told")
		found := lost.FindAllStringSubmatch(out.String(), -1)
		for _, f := range found {
			t.Logf("netem of %s: %s packets lost", f[1], f[2])
			if f[2] == "0" {
				t.Error("nothing was lost")
			}
		}
		if len(found) != 2 {
			t.Errorf("%d of two queues have told what they did:\n%s", len(found), out.String())
		}
	})
	return tap
}

// join connects two tap interfaces, whose far ends are machines'.
func join(t testing.TB, a, b string) {
	t.Helper()
	sockets := [2]int{packetSocket(t, a), packetSocket(t, b)}
	for i := range sockets {
		from, to := sockets[i], sockets[1-i]
		t.Cleanup(func() {
			unix.Shutdown(from, unix.SHUT_RDWR)
			unix.Close(from)
		})
		go carry(func(b []byte) (int, error) { return received(from, b) }, func(b []byte) {
			unix.Write(to, b) //nolint:errcheck // a packet that is not carried is lost
		})
	}
}
