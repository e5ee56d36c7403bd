package inet

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"

	"gosv/kernel/mm"
	"gosv/kernel/net"
	"gosv/kernel/net/socket"
)

func init() { socket.DeviceIoctl = deviceIoctl }

// struct ifreq: a name, and 24 bytes of a union.
const (
	ifreqSize = 40
	ifreqData = unix.IFNAMSIZ
)

// Requests of netdevice(7) that x/sys/unix lacks (include/uapi/linux/sockios.h).
const (
	siocGIFConf     = 0x8912
	siocGIFMap      = 0x8970
	siocEthtool     = 0x8946
	siocGIFTxQLen   = 0x8942
	siocGIFCount    = 0x8938
	siocGIFMetric   = 0x891d
	siocGIFBrdAddr  = 0x8919
	siocGIFDstAddr  = 0x8917
	firstDevRequest = 0x8910
	lastDevRequest  = 0x89ff
)

// deviceIoctl does the requests of netdevice(7).
func deviceIoctl(c *socket.Caller, as *mm.AddressSpace, cmd uint32, arg uint64) error {
	if cmd < firstDevRequest || cmd > lastDevRequest {
		if cmd&0xff00 == lastDevRequest&0xff00 { // a request for sockets: its struct is read first
			var r [ifreqSize]byte
			if err := as.CopyIn(r[:], arg); err != nil {
				return err
			}
		}
		return unix.ENOTTY
	}
	if cmd == siocGIFConf {
		return interfaceList(as, arg)
	}
	var r [ifreqSize]byte
	if err := as.CopyIn(r[:], arg); err != nil {
		return err
	}
	data := r[ifreqData:]
	if cmd == unix.SIOCGIFNAME {
		i, err := net.InterfaceByIndex(int(int32(binary.LittleEndian.Uint32(data))))
		if err != nil {
			return err
		}
		clear(r[:ifreqData])
		copy(r[:ifreqData-1], i.Name)
		return as.CopyOut(arg, r[:])
	}
	name := r[:ifreqData]
	for n := range name {
		if name[n] == 0 || name[n] == ':' { // an alias is its interface
			name = name[:n]
			break
		}
	}
	i, err := net.InterfaceByName(string(name))
	if err != nil {
		return err
	}
	if set, err := setDevice(c, &i, cmd, data); set {
		return err
	}
	if err := getDevice(&i, cmd, data); err != nil {
		return err
	}
	return as.CopyOut(arg, r[:])
}

// getDevice fills in what a request asks for.
func getDevice(i *net.Interface, cmd uint32, data []byte) error {
	addr := func(pick func(net.Addr) tcpip.Address) error {
		for _, a := range i.Addrs {
			if a.Family() == unix.AF_INET {
				copy(data, append4(nil, tcpip.FullAddress{Addr: pick(a)}))
				return nil
			}
		}
		return unix.EADDRNOTAVAIL
	}
	word := func(v uint32) error {
		binary.LittleEndian.PutUint32(data, v)
		return nil
	}
	switch cmd {
	case unix.SIOCGIFINDEX:
		return word(uint32(i.Index))
	case unix.SIOCGIFFLAGS:
		binary.LittleEndian.PutUint16(data, uint16(i.Flags))
		return nil
	case unix.SIOCGIFADDR, siocGIFDstAddr:
		return addr(func(a net.Addr) tcpip.Address { return a.IP })
	case unix.SIOCGIFNETMASK:
		return addr(func(a net.Addr) tcpip.Address {
			var m [4]byte
			binary.BigEndian.PutUint32(m[:], ^uint32(0)<<(32-a.Prefix))
			return tcpip.AddrFrom4(m)
		})
	case siocGIFBrdAddr:
		return addr(func(a net.Addr) tcpip.Address { return a.Broadcast })
	case unix.SIOCGIFHWADDR:
		clear(data[:16])
		binary.LittleEndian.PutUint16(data, i.Type)
		copy(data[2:], i.MAC[:])
		return nil
	case unix.SIOCGIFMTU:
		return word(uint32(i.MTU))
	case siocGIFMetric:
		return word(0)
	case siocGIFTxQLen:
		return word(1000)
	case siocGIFMap:
		clear(data)
		return nil
	case siocEthtool:
		return unix.EOPNOTSUPP
	case siocGIFCount:
		return unix.EINVAL
	}
	return unix.ENOTTY
}

// setDevice does the requests that change something; set is false for others.
func setDevice(c *socket.Caller, i *net.Interface, cmd uint32, data []byte) (set bool, err error) {
	switch cmd {
	case unix.SIOCSIFMTU, unix.SIOCSIFFLAGS, unix.SIOCSIFADDR, unix.SIOCSIFNETMASK, unix.SIOCSIFHWADDR, unix.SIOCSIFNAME, unix.SIOCSIFTXQLEN:
	default:
		return false, nil
	}
	if !c.Creds.Has(unix.CAP_NET_ADMIN) {
		return true, unix.EPERM
	}
	switch cmd {
	case unix.SIOCSIFMTU:
		if net.Default().SetNICMTU(tcpip.NICID(i.Index), binary.LittleEndian.Uint32(data)) != nil {
			return true, unix.EINVAL
		}
		return true, nil
	case unix.SIOCSIFFLAGS:
		if binary.LittleEndian.Uint16(data)&unix.IFF_UP != 0 {
			return true, nil // it is
		}
	case unix.SIOCSIFTXQLEN:
		return true, nil
	}
	return true, unix.EOPNOTSUPP
}

// interfaceList is SIOCGIFCONF: the interfaces with an IPv4 address, each as often
// as it has them.
func interfaceList(as *mm.AddressSpace, arg uint64) error {
	var conf [16]byte // struct ifconf: length, pointer
	if err := as.CopyIn(conf[:], arg); err != nil {
		return err
	}
	room, at := int(int32(binary.LittleEndian.Uint32(conf[:]))), binary.LittleEndian.Uint64(conf[8:])
	done := 0
	for _, i := range net.Interfaces() {
		for _, a := range i.Addrs {
			if a.Family() != unix.AF_INET {
				continue
			}
			if at == 0 { // only how much room it takes
				done += ifreqSize
				continue
			}
			if done+ifreqSize > room {
				break
			}
			var r [ifreqSize]byte
			copy(r[:ifreqData-1], i.Name)
			copy(r[ifreqData:], append4(nil, tcpip.FullAddress{Addr: a.IP}))
			if err := as.CopyOut(at+uint64(done), r[:]); err != nil {
				return err
			}
			done += ifreqSize
		}
	}
	return as.Store32(arg, uint32(done))
}
