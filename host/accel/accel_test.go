package accel

import (
	"os"
	"path/filepath"
	"testing"
)

func TestChoose(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	device := file("kvm", "")
	none := filepath.Join(dir, "none")
	intel := file("intel", "processor\t: 0\nflags\t\t: fpu vme vmx sse\n\nprocessor\t: 1\n")
	amd := file("amd", "flags : fpu svm\n")
	guest := file("guest", "processor\t: 0\nflags\t\t: fpu vme vmxish hypervisor\nvmx flags\t: vmx\n")
	for _, c := range []struct {
		name    string
		host    Host
		wish    Kind
		want    Kind
		wantErr bool
	}{
		{"hardware", Host{device, intel}, Auto, KVM, false},
		{"hardware of AMD", Host{device, amd}, Auto, KVM, false},
		{"a device without hardware", Host{device, guest}, Auto, TCG, false},
		{"hardware without a device", Host{none, intel}, Auto, TCG, false},
		{"no cpuinfo", Host{device, none}, Auto, TCG, false},
		{"the empty wish is auto", Host{device, intel}, "", KVM, false},
		{"tcg although there is hardware", Host{device, intel}, TCG, TCG, false},
		{"kvm although there is no hardware", Host{device, guest}, KVM, KVM, false},
		{"kvm without a device", Host{none, intel}, KVM, "", true},
		{"another word", Host{device, intel}, "hvf", "", true},
	} {
		got, err := c.host.Choose(c.wish)
		if got.Kind != c.want || (err != nil) != c.wantErr {
			t.Errorf("%s: got %v, %v; want %v", c.name, got, err, c.want)
		}
		if err == nil && got.Reason == "" {
			t.Errorf("%s: no reason given", c.name)
		}
	}
}
