package inet

import (
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"

	"gosv/kernel/fs/procfs"
	"gosv/kernel/fs/sysfs"
	"gosv/kernel/net"
)

// What programs read about the network in /proc/net and /sys/class/net.
func init() {
	for _, f := range []struct {
		name   string
		append func([]byte) []byte
	}{
		{"tcp", AppendTCP}, {"tcp6", AppendTCP6}, {"udp", AppendUDP}, {"udp6", AppendUDP6}, {"raw", AppendRaw}, {"raw6", AppendRaw6},
		{"dev", AppendDev}, {"route", AppendRoute}, {"if_inet6", AppendIfInet6}, {"ipv6_route", AppendIPv6Route},
		{"arp", AppendARP}, {"snmp", AppendSNMP}, {"snmp6", AppendSNMP6}, {"netstat", AppendNetstat}, {"igmp", AppendIGMP}, {"igmp6", AppendIGMP6},
	} {
		procfs.RegisterNet(f.name, f.append)
	}
	sysfs.Interfaces = sysInterfaces
}

func sysInterfaces() []sysfs.Interface {
	var list []sysfs.Interface
	for _, i := range net.Interfaces() {
		x := sysfs.Interface{
			Name: i.Name, Index: i.Index, MTU: i.MTU, Type: int(i.Type), Flags: i.Flags, Speed: i.Speed,
			Address:   tcpip.LinkAddress(i.MAC[:]).String(),
			Broadcast: "ff:ff:ff:ff:ff:ff",
			Loopback:  i.Flags&unix.IFF_LOOPBACK != 0,
			Carrier:   i.Flags&unix.IFF_RUNNING != 0,
			Counters: map[string]uint64{
				"rx_bytes": i.Stats.RxBytes, "rx_packets": i.Stats.RxPackets, "rx_errors": i.Stats.RxErrors, "rx_dropped": i.Stats.RxDropped,
				"tx_bytes": i.Stats.TxBytes, "tx_packets": i.Stats.TxPackets, "tx_errors": i.Stats.TxErrors, "tx_dropped": i.Stats.TxDropped,
				"multicast": i.Stats.Multicast,
			},
		}
		if x.Loopback {
			x.Broadcast = "00:00:00:00:00:00"
		}
		list = append(list, x)
	}
	return list
}
