package net

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestLoopback(t *testing.T) {
	lo, err := InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if lo.Index != 1 || lo.MTU != 65536 || lo.Flags&unix.IFF_LOOPBACK == 0 || lo.Type != unix.ARPHRD_LOOPBACK {
		t.Errorf("%+v", lo)
	}
	if len(lo.Addrs) != 2 || lo.Addrs[0].IP.String() != "127.0.0.1" || lo.Addrs[1].IP.String() != "::1" || lo.Addrs[0].Scope != unix.RT_SCOPE_HOST {
		t.Errorf("addresses %+v", lo.Addrs)
	}
	if got := Interfaces(); len(got) < 1 || got[0].Name != "lo" {
		t.Errorf("%+v", got)
	}
	if _, err := InterfaceByIndex(99); err != unix.ENODEV {
		t.Errorf("interface 99: %v", err)
	}
	if err := WaitConfigured(nil); err != nil {
		t.Errorf("without NICs: %v", err)
	}
}
