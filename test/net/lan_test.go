package nettest

import (
	"os"
	"testing"
)

// Addresses in a namespace: ours, and the guest's.
const (
	hostIP   = "10.9.0.1"
	guestIP  = "10.9.0.2"
	hostIP6  = "fd00:9::1"
	guestIP6 = "fd00:9::2"
)

// needNamespace skips a test that needs interfaces of its own.
func needNamespace(t testing.TB) {
	t.Helper()
	if !private() {
		t.Skip("needs a network namespace: run as root, or allow user namespaces")
	}
	if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
		t.Skipf("needs tap interfaces: %v", err)
	} else {
		f.Close()
	}
}

// newTap makes a tap interface for a guest, without addresses.
func newTap(t testing.TB, name string) string {
	t.Helper()
	needNamespace(t)
	run(t, "ip", "tuntap", "add", "dev", name, "mode", "tap")
	t.Cleanup(func() { run(t, "ip", "link", "del", name) })
	run(t, "ip", "link", "set", name, "addrgenmode", "none")
	run(t, "ip", "link", "set", name, "up")
	return name
}

// newLAN makes a tap interface for a guest, with our addresses on it.
func newLAN(t testing.TB) (tap string) {
	t.Helper()
	tap = newTap(t, "tap0")
	address(t, tap)
	return tap
}

// address gives our addresses to an interface.
func address(t testing.TB, name string) {
	t.Helper()
	run(t, "ip", "addr", "add", hostIP+"/24", "dev", name)
	run(t, "ip", "-6", "addr", "add", hostIP6+"/64", "dev", name, "nodad")
}
