// Package accel decides whether machines run on KVM or are emulated.
package accel

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
)

// Kind is how a machine's CPUs are made.
type Kind string

// The kinds. Auto is a wish only.
const (
	Auto Kind = "auto"
	KVM  Kind = "kvm"
	TCG  Kind = "tcg" // QEMU's emulation
)

// Choice is a decision with its reason.
type Choice struct {
	Kind   Kind
	Reason string
}

// Host is where to look; the zero value is this machine.
type Host struct {
	Device  string // "/dev/kvm"
	CPUInfo string // "/proc/cpuinfo"
}

// Choose makes a decision. A /dev/kvm on a host whose CPU shows neither vmx nor
// svm may be a paravirtual KVM that interprets the kernel mode of the guest,
// far slower than emulation: Auto uses KVM only if the CPU has one of them.
func (h Host) Choose(wish Kind) (Choice, error) {
	if h.Device == "" {
		h.Device = "/dev/kvm"
	}
	if h.CPUInfo == "" {
		h.CPUInfo = "/proc/cpuinfo"
	}
	switch wish {
	case TCG:
		return Choice{TCG, "asked for"}, nil
	case KVM:
		if err := usable(h.Device); err != nil {
			return Choice{}, fmt.Errorf("--accel kvm: %w; use --accel tcg, or let this user open %s", err, h.Device)
		}
		return Choice{KVM, "asked for"}, nil
	case Auto, "":
	default:
		return Choice{}, fmt.Errorf("--accel %s: it is one of auto, kvm and tcg", wish)
	}
	if !h.hardware() {
		return Choice{TCG, "the CPU shows neither vmx nor svm"}, nil
	}
	if err := usable(h.Device); err != nil {
		return Choice{TCG, err.Error()}, nil
	}
	return Choice{KVM, "the CPU has hardware virtualisation"}, nil
}

func usable(device string) error {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// hardware looks for vmx or svm among the flags of /proc/cpuinfo.
func (h Host) hardware() bool {
	b, err := os.ReadFile(h.CPUInfo)
	if err != nil {
		return false
	}
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		name, flags, ok := strings.Cut(sc.Text(), ":")
		if !ok || strings.TrimSpace(name) != "flags" {
			continue
		}
		for _, f := range strings.Fields(flags) {
			if f == "vmx" || f == "svm" {
				return true
			}
		}
		return false
	}
	return false
}
