package sysfs

import (
	"strconv"

	"golang.org/x/sys/unix"

	"gosv/kernel/vfs"
)

// An Interface is a network interface as /sys/class/net shows it.
type Interface struct {
	Name              string
	Index, MTU, Type  int
	Flags             uint32
	Address           string // of the hardware
	Broadcast         string
	Speed             int // Mbit/s, -1 if unknown
	Counters          map[string]uint64
	Loopback, Carrier bool
}

// Interfaces lists the network interfaces; nil where there is no network.
var Interfaces func() []Interface

// netDevices is the Directory of /sys/devices/virtual/net and, with links, of
// /sys/class/net. Interfaces come while programs run.
type netDevices struct{ link bool }

func find(name string) (Interface, bool) {
	if Interfaces != nil {
		for _, i := range Interfaces() {
			if i.Name == name {
				return i, true
			}
		}
	}
	return Interface{}, false
}

func (d netDevices) Lookup(_ vfs.Caller, name string) (vfs.Inode, error) {
	i, ok := find(name)
	if !ok {
		return nil, unix.ENOENT
	}
	if d.link {
		return vfs.NewLink("../../devices/virtual/net/" + name), nil
	}
	return device(i), nil
}

func (d netDevices) Names(_ vfs.Caller, after int64, emit func(int64, string, uint64, uint8) bool) error {
	if Interfaces == nil {
		return nil
	}
	kind := uint8(unix.DT_DIR)
	if d.link {
		kind = unix.DT_LNK
	}
	for _, i := range Interfaces() {
		if key := int64(2 + i.Index); key > after && !emit(key, i.Name, uint64(1<<20+i.Index), kind) {
			break
		}
	}
	return nil
}

// device makes the directory of an interface. What changes is asked for when it
// is read.
func device(i Interface) *vfs.StaticDir {
	d := vfs.NewStaticDir(0o555)
	name := i.Name
	number := func(file string, v int) { text(d, file, strconv.Itoa(v)) }
	number("ifindex", i.Index)
	number("iflink", i.Index)
	number("type", i.Type)
	number("addr_len", 6)
	number("dev_id", 0)
	number("dormant", 0)
	number("carrier_changes", 0)
	number("tx_queue_len", 1000)
	number("addr_assign_type", 0)
	number("link_mode", 0)
	text(d, "flags", "0x"+strconv.FormatUint(uint64(i.Flags&0xffff), 16))
	text(d, "address", i.Address)
	text(d, "broadcast", i.Broadcast)
	text(d, "uevent", "INTERFACE="+name+"\nIFINDEX="+strconv.Itoa(i.Index))
	carrier, state := "1", "up"
	if i.Loopback {
		state = "unknown"
	} else if !i.Carrier {
		carrier, state = "0", "down"
	}
	text(d, "carrier", carrier)
	text(d, "operstate", state)
	if !i.Loopback {
		number("speed", i.Speed)
		text(d, "duplex", "full")
	}
	d.Add("mtu", vfs.NewReadOnlyFile(func() []byte {
		now, _ := find(name)
		return append(strconv.AppendInt(nil, int64(now.MTU), 10), '\n')
	}))
	stats := d.Subdir("statistics")
	for _, c := range [...]string{"collisions", "multicast", "rx_bytes", "rx_compressed", "rx_crc_errors", "rx_dropped", "rx_errors",
		"rx_fifo_errors", "rx_frame_errors", "rx_length_errors", "rx_missed_errors", "rx_nohandler", "rx_over_errors", "rx_packets",
		"tx_aborted_errors", "tx_bytes", "tx_carrier_errors", "tx_compressed", "tx_dropped", "tx_errors", "tx_fifo_errors",
		"tx_heartbeat_errors", "tx_packets", "tx_window_errors"} {
		stats.Add(c, vfs.NewReadOnlyFile(func() []byte {
			now, _ := find(name)
			return append(strconv.AppendUint(nil, now.Counters[c], 10), '\n')
		}))
	}
	d.Subdir("queues/rx-0")
	d.Subdir("queues/tx-0")
	d.Add("subsystem", vfs.NewLink("../../../../class/net"))
	return d
}

// addNet adds the directories of network interfaces.
func addNet(root *vfs.StaticDir) {
	root.Subdir("class").Add("net", vfs.NewDynamicDir(0o555, netDevices{link: true}))
	root.Subdir("devices/virtual").Add("net", vfs.NewDynamicDir(0o555, netDevices{}))
}
