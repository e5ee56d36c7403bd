package qemu

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gosv/host/accel"
	"gosv/host/vmm"
)

var update = flag.Bool("update", false, "write the golden files")

// TestCommand compares the commands with testdata/*.txt, one argument a line.
func TestCommand(t *testing.T) {
	dir := t.TempDir()
	small, large := filepath.Join(dir, "small.img"), filepath.Join(dir, "large,x.img")
	for name, size := range map[string]int64{small: 1 << 20, large: 33 << 20} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, size); err != nil {
			t.Fatal(err)
		}
	}
	fakeDevices(t, dir, map[string]string{"one": "0x1002", "many": "0x1102"})
	base := vmm.Machine{Type: "microvm", Accel: accel.TCG, Memory: 128 << 20, CPUs: 1, Kernel: "/k.elf", Image: small, CommandLine: `-- /bin/echo "a b"`}
	for name, change := range map[string]func(*vmm.Machine){
		"microvm":      func(*vmm.Machine) {},
		"microvm-disk": func(m *vmm.Machine) { m.Image, m.Memory = large, 4<<30 },
		"q35":          func(m *vmm.Machine) { m.Type, m.CPUs = "q35", 4 },
		"pc-kvm":       func(m *vmm.Machine) { m.Type, m.Accel, m.Image = "pc", accel.KVM, large },
		"no-image":     func(m *vmm.Machine) { m.Image, m.Memory, m.CommandLine = "", 6<<20+4096, "" },
		"small-memory": func(m *vmm.Machine) { m.Memory = 3 << 20 },
		"net-user": func(m *vmm.Machine) {
			m.Networks = []vmm.Network{{Kind: "user", Publish: []vmm.Publish{{HostPort: 8080, GuestPort: 80},
				{Addr: netip.MustParseAddr("127.0.0.1"), HostPort: 5353, GuestPort: 53, UDP: true}}}}
		},
		"net-user-q35": func(m *vmm.Machine) {
			m.Type = "q35"
			m.Networks = []vmm.Network{{Kind: "user", MAC: "52:54:00:00:00:01", Guest: netip.MustParsePrefix("192.168.7.2/28"),
				Publish: []vmm.Publish{{HostPort: 1, GuestPort: 2}}}}
		},
		"net-tap": func(m *vmm.Machine) {
			m.CPUs, m.Networks = 4, []vmm.Network{{Kind: "tap", Device: "one"}, {Kind: "tap", Device: "many"}, {Kind: "bridge", Device: "br0"}}
		},
		"net-tap-pc-kvm": func(m *vmm.Machine) {
			m.Type, m.Accel, m.CPUs, m.Networks = "pc", accel.KVM, 2, []vmm.Network{{Kind: "tap", Device: "many"}}
		},
	} {
		m := base
		change(&m)
		got, err := QEMU{}.Command(m)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text := strings.ReplaceAll(strings.Join(got, "\n")+"\n", dir, "/images")
		golden := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if text != string(want) {
			t.Errorf("%s: the command is\n%s\nnot, as in %s,\n%s", name, text, golden, want)
		}
	}
}

// fakeDevices makes tap interfaces with their flags, and vhost.
func fakeDevices(t *testing.T, dir string, taps map[string]string) {
	t.Helper()
	oldNet, oldVhost := sysClassNet, vhostDevice
	t.Cleanup(func() { sysClassNet, vhostDevice = oldNet, oldVhost })
	sysClassNet, vhostDevice = dir+"/net/", filepath.Join(dir, "vhost")
	if err := os.WriteFile(vhostDevice, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, flags := range taps {
		if err := errors.Join(os.MkdirAll(sysClassNet+name, 0o700), os.WriteFile(sysClassNet+name+"/tun_flags", []byte(flags+"\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestInheritedTaps gives QEMU descriptors of a bridge's interfaces.
func TestInheritedTaps(t *testing.T) {
	m := vmm.Machine{Type: "q35", CPUs: 2, Memory: 64 << 20, Networks: []vmm.Network{{Kind: "user"}, {Kind: "bridge", Device: "b"}}}
	for taps, want := range map[string]string{"7": "tap,id=net1,fd=7", "7:8": "tap,id=net1,fds=7:8"} {
		f := inherited
		f.taps = [][]int{nil, make([]int, len(taps)/2+1)}
		for i := range f.taps[1] {
			f.taps[1][i] = firstTap + i
		}
		a, err := args(m, f)
		if err != nil || !slices.Contains(a, want) {
			t.Errorf("%q, %v: no %s", a, err, want)
		}
	}
}

func TestNetworkErrors(t *testing.T) {
	fakeDevices(t, t.TempDir(), nil)
	for want, n := range map[string]vmm.Network{
		"there is no interface t; make it: ip tuntap add": {Kind: "tap", Device: "t"},
		"there is no bridge b; make it: ip link add":      {Kind: "bridge", Device: "b"},
		"publishes on IPv4 addresses only":                {Kind: "user", Publish: []vmm.Publish{{Addr: netip.MustParseAddr("::1"), HostPort: 1, GuestPort: 1}}},
		"29 bits at most":                                 {Kind: "user", Guest: netip.MustParsePrefix("10.0.0.1/30")},
	} {
		_, err := QEMU{Path: "/bin/false"}.Start(vmm.Machine{Type: "pc", CPUs: 1, Networks: []vmm.Network{n}}, vmm.Streams{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", n, err, want)
		}
	}
}

func TestCommandErrors(t *testing.T) {
	if _, err := (QEMU{}).Command(vmm.Machine{Type: "isapc"}); err == nil || !strings.Contains(err.Error(), "microvm, q35, pc") {
		t.Errorf("an unknown machine: %v", err)
	}
	if _, err := (QEMU{}).Command(vmm.Machine{Type: "pc", CommandLine: strings.Repeat("x", MaxCommandLine+1)}); err == nil {
		t.Error("a command line that QEMU would cut was taken")
	}
}

func TestNotInstalled(t *testing.T) {
	_, err := QEMU{Path: "/none/qemu"}.Start(vmm.Machine{Type: "pc"}, vmm.Streams{})
	if !errors.Is(err, vmm.ErrNotInstalled) || !strings.Contains(err.Error(), "install it with") {
		t.Errorf("got %v", err)
	}
}

func TestHowToInstall(t *testing.T) {
	for text, want := range map[string]string{
		"NAME=x\nID=debian\n":                "apt-get install",
		"ID=mint\nID_LIKE=\"ubuntu debian\"": "apt-get install",
		"ID=\"fedora\"\n":                    "dnf install",
		"ID=alpine":                          "apk add",
		"ID=unheard-of\n":                    "package manager",
		"":                                   "package manager",
	} {
		name := filepath.Join(t.TempDir(), "os-release")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := howToInstall(name); !strings.Contains(got, want) {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func TestMachineNames(t *testing.T) {
	for _, m := range Machines {
		if _, err := args(vmm.Machine{Type: m, CPUs: 1, Memory: 64 << 20}, inherited); err != nil {
			t.Errorf("%s: %v", m, err)
		}
	}
	if !slices.Contains(Machines, "microvm") {
		t.Error("the default machine is not among the machines")
	}
}

func TestLastBytes(t *testing.T) {
	var l lastBytes
	for range 100 {
		l.Write([]byte(strings.Repeat("x", 1000))) //nolint:errcheck // it cannot fail
	}
	l.Write([]byte("end")) //nolint:errcheck // it cannot fail
	if s := l.String(); len(s) != keepBytes || !strings.HasSuffix(s, "xend") {
		t.Errorf("kept %d bytes", len(s))
	}
}
