// Package debian has Debian's cloud kernel, as the other system of the benchmarks, and for what the host's kernel lacks.
package debian

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"gosv/host/rootfs"
)

// A Kernel is an unpacked kernel package.
type Kernel struct {
	File    string // the kernel to boot
	Version string
	modules string // their folder
}

var packageName = regexp.MustCompile(`linux-image-\S+-cloud-amd64`)

// Fetch downloads and unpacks the kernel package with apt into dir, unless it is there.
func Fetch(dir string) (*Kernel, error) {
	find := func() *Kernel {
		found, _ := filepath.Glob(filepath.Join(dir, "boot/vmlinuz-*"))
		drivers, _ := filepath.Glob(filepath.Join(dir, "lib/modules/*/kernel/drivers/net/virtio_net.ko"))
		if len(found) == 0 || len(drivers) == 0 {
			return nil
		}
		k := &Kernel{File: found[len(found)-1]}
		k.Version = strings.TrimPrefix(filepath.Base(k.File), "vmlinuz-")
		k.modules = filepath.Join(dir, "lib/modules", k.Version, "kernel")
		return k
	}
	if k := find(); k != nil {
		return k, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	depends := func() string {
		out, _ := exec.Command("apt-cache", "depends", "linux-image-cloud-amd64").Output()
		_, rest, _ := strings.Cut(string(out), "Depends:")
		return packageName.FindString(rest)
	}
	name := depends()
	if name == "" {
		if out, err := exec.Command("apt-get", "update").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("apt-get update: %w\n%s", err, out)
		}
		if name = depends(); name == "" {
			return nil, errors.New("apt knows no package linux-image-cloud-amd64: it needs a Debian machine")
		}
	}
	get := exec.Command("apt-get", "download", name)
	get.Dir = dir
	if out, err := get.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("apt-get download %s: %w\n%s", name, err, out)
	}
	packages, _ := filepath.Glob(filepath.Join(dir, "*.deb"))
	if len(packages) == 0 {
		return nil, fmt.Errorf("apt-get download %s left no package", name)
	}
	if out, err := exec.Command("dpkg-deb", "-x", packages[0], dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("dpkg-deb: %w\n%s", err, out)
	}
	os.Remove(packages[0])
	os.RemoveAll(filepath.Join(dir, "usr"))
	k := find()
	if k == nil {
		return nil, fmt.Errorf("package %s has no kernel", name)
	}
	return k, nil
}

// VirtioNet are the drivers of a virtio network device, in the order in which they are loaded.
var VirtioNet = []string{"drivers/virtio/virtio_ring", "drivers/virtio/virtio", "drivers/virtio/virtio_pci_modern_dev", "drivers/virtio/virtio_pci_legacy_dev", "drivers/virtio/virtio_pci", "net/core/failover", "drivers/net/net_failover", "drivers/net/virtio_net"}

// AddModules puts modules, by their paths, into /modules of a tree.
func (k *Kernel) AddModules(t *rootfs.Tree, paths ...string) error {
	for _, m := range paths {
		b, err := os.ReadFile(filepath.Join(k.modules, m+".ko"))
		if err != nil {
			return fmt.Errorf("a module of the kernel package: %w", err)
		}
		t.AddData("/modules/"+filepath.Base(m)+".ko", 0o644, b)
	}
	return nil
}

// CommandLine is what the kernel is started with. no_timer_check: under emulation the check of the timer fails on a busy host, and
// the boot stalls.
const CommandLine = "console=ttyS0 quiet no_timer_check panic=-1 reboot=t"
