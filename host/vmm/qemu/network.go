package qemu

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"gosv/host/accel"
	"gosv/host/vmm"
)

// networkArgs makes the arguments of the i-th network interface. taps are the
// descriptors that QEMU inherits for it, one for each queue.
func networkArgs(m vmm.Machine, i int, taps []int) ([]string, error) {
	n := m.Networks[i]
	id := "net" + strconv.Itoa(i)
	device := "virtio-net-device"
	if m.Type != "microvm" {
		device = "virtio-net-pci,disable-legacy=on,romfile="
	}
	device += ",netdev=" + id
	if n.MAC != "" {
		device += ",mac=" + n.MAC
	}
	backend, queues := "", 1
	switch n.Kind {
	case vmm.NetworkUser:
		var err error
		if backend, err = userBackend(n); err != nil {
			return nil, err
		}
	case vmm.NetworkTap:
		backend = "tap,ifname=" + n.Device + ",script=no,downscript=no"
		if multiQueue(n.Device) { // QEMU can open such an interface only with more than one queue
			queues = max(2, tapQueues(m))
			backend += ",queues=" + strconv.Itoa(queues)
		}
	case vmm.NetworkBridge:
		if queues = len(taps); queues == 0 { // QEMU's set-user-ID helper makes the interface
			queues, backend = 1, "bridge,br="+n.Device
			break
		}
		var fds []string
		for _, fd := range taps {
			fds = append(fds, strconv.Itoa(fd))
		}
		backend = "tap,fds=" + strings.Join(fds, ":")
		if queues == 1 {
			backend = "tap,fd=" + fds[0]
		}
	default:
		return nil, fmt.Errorf("QEMU has no network %q", n.Kind)
	}
	if strings.HasPrefix(backend, "tap,") && vhost(m) {
		backend += ",vhost=on"
	}
	if queues > 1 {
		device += ",mq=on"
		if m.Type != "microvm" {
			// A vector for each direction of each queue, one for control and one for changes of the configuration.
			device += ",vectors=" + strconv.Itoa(2*queues+2)
		}
	}
	kind, options, _ := strings.Cut(backend, ",")
	return []string{"-netdev", strings.TrimSuffix(kind+",id="+id+","+options, ","), "-device", device}, nil
}

// userBackend is QEMU's own network, with the forwarded ports.
func userBackend(n vmm.Network) (string, error) {
	var b strings.Builder
	b.WriteString("user")
	guest := n.GuestAddr()
	if !guest.Addr().Is4() || guest.Bits() > 29 {
		return "", fmt.Errorf("the address %s is not one of an IPv4 network with room for the host: its prefix may have 29 bits at most", guest)
	}
	if guest != vmm.UserGuest {
		fmt.Fprintf(&b, ",net=%s,host=%s,dns=%s,dhcpstart=%s", guest.Masked(), n.Gateway(), n.DNS(), guest.Addr())
	}
	for _, p := range n.Publish {
		host := p.Addr
		if host.Is6() {
			return "", fmt.Errorf("publish %s: QEMU's user network publishes on IPv4 addresses only; leave the address out, or use a tap or a bridge", p)
		}
		if !host.IsValid() {
			host = netip.IPv4Unspecified()
		}
		fmt.Fprintf(&b, ",hostfwd=%s:%s:%d-%s:%d", p.Proto(), host, p.HostPort, guest.Addr(), p.GuestPort)
	}
	return b.String(), nil
}

// tapQueues is how many queues a tap interface should have.
func tapQueues(m vmm.Machine) int { return max(1, m.CPUs) }

// Where the kernel tells of interfaces, and its own back end of virtio-net.
var (
	sysClassNet = "/sys/class/net/"
	vhostDevice = "/dev/vhost-net"
)

// multiQueue tells whether a tap interface was made with multi_queue: only then
// can it be opened once for each queue.
func multiQueue(name string) bool {
	b, err := os.ReadFile(sysClassNet + name + "/tun_flags")
	if err != nil { // sysfs may be that of another network namespace
		taps, err := openTun(name, 2)
		closeAll(taps)
		return err == nil
	}
	flags, err := strconv.ParseUint(strings.TrimSpace(string(b)), 0, 32)
	return err == nil && flags&unix.IFF_MULTI_QUEUE != 0
}

// vhost tells whether the kernel can carry the packets: it needs KVM's
// notifications.
func vhost(m vmm.Machine) bool {
	return m.Accel == accel.KVM && unix.Access(vhostDevice, unix.R_OK|unix.W_OK) == nil
}

// checkDevices says early what QEMU would say badly.
func checkDevices(networks []vmm.Network) error {
	for _, n := range networks {
		if n.Kind != vmm.NetworkTap && n.Kind != vmm.NetworkBridge {
			continue
		}
		if _, err := net.InterfaceByName(n.Device); err == nil {
			continue
		}
		if n.Kind == vmm.NetworkTap {
			return fmt.Errorf("there is no interface %s; make it: ip tuntap add %s mode tap multi_queue user $USER; ip link set %s up", n.Device, n.Device, n.Device)
		}
		return fmt.Errorf("there is no bridge %s; make it: ip link add %s type bridge; ip link set %s up", n.Device, n.Device, n.Device)
	}
	return nil
}

// openTun opens a tap interface once for each queue, and makes it if there is
// none; a %d in the name is replaced by a number.
func openTun(name string, queues int) (taps []*os.File, err error) {
	flags := unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR
	if queues > 1 {
		flags |= unix.IFF_MULTI_QUEUE
	}
	for range queues {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return taps, err
		}
		taps = append(taps, os.NewFile(uintptr(fd), "/dev/net/tun"))
		r, err := unix.NewIfreq(name)
		if err != nil {
			return taps, err
		}
		r.SetUint16(uint16(flags))
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, r); err != nil {
			return taps, err
		}
		name = r.Name()
	}
	return taps, nil
}

// openTaps makes an interface on a bridge, open once for each queue. It lasts
// as long as it is open. None without an error: this process may not.
func openTaps(bridge string, queues int) (taps []*os.File, err error) {
	taps, err = openTun("gosv%d", queues)
	if err == nil {
		err = joinBridge(taps[0], bridge)
	}
	if err == nil {
		return taps, nil
	}
	closeAll(taps)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return nil, nil
	}
	return nil, fmt.Errorf("an interface on bridge %s: %w", bridge, err)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// joinBridge puts a tap interface on a bridge, and up.
func joinBridge(f *os.File, bridge string) error {
	runtime.LockOSThread() // the names are those of this thread's network namespace
	defer runtime.UnlockOSThread()
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	tap, err := unix.NewIfreq("")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(int(f.Fd()), unix.TUNGETIFF, tap); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCGIFINDEX, tap); err != nil {
		return err
	}
	br, err := unix.NewIfreq(bridge)
	if err != nil {
		return err
	}
	br.SetUint32(tap.Uint32())
	if err := unix.IoctlIfreq(s, unix.SIOCBRADDIF, br); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, tap); err != nil {
		return err
	}
	tap.SetUint16(tap.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, tap)
}
