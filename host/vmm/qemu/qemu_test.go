package qemu

import (
	"errors"
	"flag"
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
	base := vmm.Machine{Type: "microvm", Accel: accel.TCG, Memory: 128 << 20, CPUs: 1, Kernel: "/k.elf", Image: small, CommandLine: `-- /bin/echo "a b"`}
	for name, change := range map[string]func(*vmm.Machine){
		"microvm":      func(*vmm.Machine) {},
		"microvm-disk": func(m *vmm.Machine) { m.Image, m.Memory = large, 4<<30 },
		"q35":          func(m *vmm.Machine) { m.Type, m.CPUs = "q35", 4 },
		"pc-kvm":       func(m *vmm.Machine) { m.Type, m.Accel, m.Image = "pc", accel.KVM, large },
		"no-image":     func(m *vmm.Machine) { m.Image, m.Memory, m.CommandLine = "", 6<<20+4096, "" },
		"small-memory": func(m *vmm.Machine) { m.Memory = 3 << 20 },
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
