package net

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"gosv/kernel/sysctl"
)

// sysctls are the settings of the stack (Documentation/networking/ip-sysctl.rst). Those that the stack cannot change are fixed,
// and there only if they are true.
var sysctls = [...]sysctl.Row{
	{Name: "net.ipv4.ip_local_port_range", Value: &sysctl.String{Max: 63, Get: portRange, Set: setPortRange}},
	{Name: "net.ipv4.ip_unprivileged_port_start", Value: &sysctl.Int{Get: func(int) int32 { return FirstUnprivileged.Load() }, Set: setUnprivileged, Max: 65535}},
	{Name: "net.ipv4.ip_default_ttl", Value: &sysctl.Int{Get: defaultTTL, Set: setDefaultTTL, Min: 1, Max: 255}},
	{Name: "net.ipv4.ip_forward", Value: &sysctl.Int{Get: func(int) int32 { return forward4.Load() }, Set: setForward4}},
	{Name: "net.ipv4.ping_group_range", Value: &sysctl.String{Max: 63, Get: pingGroups, Set: setPingGroups}},
	{Name: "net.ipv4.tcp_rmem", Value: &sysctl.String{Max: 63, Get: receiveSizes, Set: setReceiveSizes}},
	{Name: "net.ipv4.tcp_wmem", Value: &sysctl.String{Max: 63, Get: sendSizes, Set: setSendSizes}},
	{Name: "net.ipv4.tcp_moderate_rcvbuf", Value: &sysctl.Int{Get: moderates, Set: setModerates, Max: 1}},
	{Name: "net.ipv4.tcp_congestion_control", Value: &sysctl.String{Max: 15, Get: congestion, Set: setCongestion}},
	{Name: "net.ipv4.tcp_available_congestion_control", Value: &sysctl.String{Max: 127, Get: congestions}},
	{Name: "net.ipv4.tcp_allowed_congestion_control", Value: &sysctl.String{Max: 127, Get: congestions}},
	{Name: "net.ipv4.tcp_sack", Value: &sysctl.Int{Get: sack, Set: setSACK, Max: 1}},
	{Name: "net.ipv4.tcp_syncookies", Value: &sysctl.Int{Get: cookies, Set: setCookies, Min: 1, Max: 2}},
	{Name: "net.ipv4.tcp_tw_reuse", Value: &sysctl.Int{Get: reuse, Set: setReuse, Max: 2}},
	{Name: "net.ipv4.tcp_syn_retries", Value: &sysctl.Int{Get: synRetries, Set: setSynRetries, Min: 1, Max: 127}},
	{Name: "net.ipv4.tcp_retries2", Value: &sysctl.Int{Get: retries, Set: setRetries, Max: 255}},
	{Name: "net.ipv4.tcp_fin_timeout", Value: &sysctl.Int{Get: finTimeout, Set: setFinTimeout}},
	{Name: "net.ipv4.tcp_keepalive_time", Value: &sysctl.Int{Var: &KeepIdle}},
	{Name: "net.ipv4.tcp_keepalive_intvl", Value: &sysctl.Int{Var: &KeepInterval}},
	{Name: "net.ipv4.tcp_keepalive_probes", Value: &sysctl.Int{Var: &KeepProbes, Max: 255}},
	{Name: "net.ipv4.tcp_timestamps", Value: sysctl.Fixed("1")},
	{Name: "net.ipv4.tcp_window_scaling", Value: sysctl.Fixed("1")},
	{Name: "net.ipv6.bindv6only", Value: &sysctl.Int{Var: &BindV6Only, Max: 255}},
	{Name: "net.ipv6.conf.all.disable_ipv6", Value: sysctl.Fixed("0")},
	{Name: "net.ipv6.conf.default.disable_ipv6", Value: sysctl.Fixed("0")},
	{Name: "net.ipv6.conf.lo.disable_ipv6", Value: sysctl.Fixed("0")},
	{Name: "net.ipv6.conf.all.forwarding", Value: &sysctl.Int{Get: func(int) int32 { return forward6.Load() }, Set: setForward6}},
}

func init() { sysctl.Register(sysctls[:]) }

// Settings that sockets obey when they are made or bound.
var (
	FirstUnprivileged sysctl.Int32 = 1024 // the first port that anyone may bind
	KeepIdle          sysctl.Int32 = 7200 // seconds
	KeepInterval      sysctl.Int32 = 75   // seconds
	KeepProbes        sysctl.Int32 = 9
	BindV6Only        sysctl.Int32

	forward4, forward6 sysctl.Int32
	pingFirst          sysctl.Uint32
	pingLast           sysctl.Uint32 = 1<<31 - 1
)

// fields reads up to len(v) numbers of a text; those that are not there stay.
func fields(s string, v []int) error {
	words := strings.Fields(s)
	if len(words) == 0 || len(words) > len(v) {
		return unix.EINVAL
	}
	for i, w := range words {
		n, err := strconv.ParseUint(w, 0, 32)
		if err != nil || n > 1<<31-1 {
			return unix.EINVAL
		}
		v[i] = int(n)
	}
	return nil
}

func tabbed(v ...int) string {
	b := make([]byte, 0, 40)
	for i, n := range v {
		if i > 0 {
			b = append(b, '\t')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return string(b)
}

// invalid is EINVAL for what the stack refuses.
func invalid(err tcpip.Error) error {
	if err != nil {
		return unix.EINVAL
	}
	return nil
}

func portRange() string {
	first, last := base().PortRange()
	return tabbed(int(first), int(last))
}

func setPortRange(s string) error {
	first, last := base().PortRange()
	v := []int{int(first), int(last)}
	if err := fields(s, v); err != nil {
		return err
	}
	if v[0] < 1 || v[1] > 65535 || v[1] < v[0] || v[0] < int(FirstUnprivileged.Load()) {
		return unix.EINVAL
	}
	return invalid(base().SetPortRange(uint16(v[0]), uint16(v[1])))
}

func setUnprivileged(_ int, v int32) error {
	if first, _ := base().PortRange(); v > int32(first) {
		return unix.EINVAL
	}
	FirstUnprivileged.Store(v)
	return nil
}

func defaultTTL(int) int32 {
	var o tcpip.DefaultTTLOption
	base().NetworkProtocolOption(ipv4.ProtocolNumber, &o) //nolint:errcheck // it is there
	return int32(o)
}

// DefaultTTL is the TTL of packets of sockets that have none of their own.
func DefaultTTL() int { return int(defaultTTL(0)) }

func setDefaultTTL(_ int, v int32) error {
	o := tcpip.DefaultTTLOption(v)
	return invalid(base().SetNetworkProtocolOption(ipv4.ProtocolNumber, &o))
}

func setForward4(_ int, v int32) error {
	forward4.Store(v)
	return invalid(base().SetForwardingDefaultAndAllNICs(ipv4.ProtocolNumber, v != 0))
}

func setForward6(_ int, v int32) error {
	forward6.Store(v)
	return invalid(base().SetForwardingDefaultAndAllNICs(ipv6.ProtocolNumber, v != 0))
}

func pingGroups() string { return tabbed(int(pingFirst.Load()), int(pingLast.Load())) }

// setPingGroups takes an empty range as "1 0" (ipv4_ping_group_range).
func setPingGroups(s string) error {
	v := []int{int(pingFirst.Load()), int(pingLast.Load())}
	if err := fields(s, v); err != nil {
		return err
	}
	if v[1] < v[0] {
		v[0], v[1] = 1, 0
	}
	pingFirst.Store(uint32(v[0]))
	pingLast.Store(uint32(v[1]))
	return nil
}

// MayPing reports whether a group may make sockets for ICMP echo.
func MayPing(gid uint32) bool { return gid >= pingFirst.Load() && gid <= pingLast.Load() }

func option[T any, P interface {
	*T
	tcpip.GettableTransportProtocolOption
}]() (o T) {
	base().TransportProtocolOption(tcp.ProtocolNumber, P(&o)) //nolint:errcheck // it is there
	return o
}

func setOption(o tcpip.SettableTransportProtocolOption) error {
	return invalid(base().SetTransportProtocolOption(tcp.ProtocolNumber, o))
}

func truth(on bool) int32 {
	if on {
		return 1
	}
	return 0
}

func receiveSizes() string {
	o := option[tcpip.TCPReceiveBufferSizeRangeOption]()
	return tabbed(o.Min, o.Default, o.Max)
}

func setReceiveSizes(s string) error {
	o := option[tcpip.TCPReceiveBufferSizeRangeOption]()
	v := []int{o.Min, o.Default, o.Max}
	if err := fields(s, v); err != nil {
		return err
	}
	return setOption(&tcpip.TCPReceiveBufferSizeRangeOption{Min: v[0], Default: v[1], Max: v[2]})
}

func sendSizes() string {
	o := option[tcpip.TCPSendBufferSizeRangeOption]()
	return tabbed(o.Min, o.Default, o.Max)
}

func setSendSizes(s string) error {
	o := option[tcpip.TCPSendBufferSizeRangeOption]()
	v := []int{o.Min, o.Default, o.Max}
	if err := fields(s, v); err != nil {
		return err
	}
	return setOption(&tcpip.TCPSendBufferSizeRangeOption{Min: v[0], Default: v[1], Max: v[2]})
}

func moderates(int) int32 { return truth(bool(option[tcpip.TCPModerateReceiveBufferOption]())) }

func setModerates(_ int, v int32) error {
	o := tcpip.TCPModerateReceiveBufferOption(v != 0)
	return setOption(&o)
}

func congestion() string { return string(option[tcpip.CongestionControlOption]()) }

func setCongestion(s string) error {
	o := tcpip.CongestionControlOption(s)
	if setOption(&o) != nil {
		return unix.ENOENT
	}
	return nil
}

func congestions() string { return string(option[tcpip.TCPAvailableCongestionControlOption]()) }

func sack(int) int32 { return truth(bool(option[tcpip.TCPSACKEnabled]())) }

func setSACK(_ int, v int32) error {
	o := tcpip.TCPSACKEnabled(v != 0)
	return setOption(&o)
}

// cookies is 1, when the queue is full, or 2, always; the stack cannot do without.
func cookies(int) int32 { return 1 + truth(bool(option[tcpip.TCPAlwaysUseSynCookies]())) }

func setCookies(_ int, v int32) error {
	o := tcpip.TCPAlwaysUseSynCookies(v == 2)
	return setOption(&o)
}

func reuse(int) int32 { return int32(option[tcpip.TCPTimeWaitReuseOption]()) }

func setReuse(_ int, v int32) error {
	o := tcpip.TCPTimeWaitReuseOption(v)
	return setOption(&o)
}

func synRetries(int) int32 { return int32(option[tcpip.TCPSynRetriesOption]()) }

func setSynRetries(_ int, v int32) error {
	o := tcpip.TCPSynRetriesOption(v)
	return setOption(&o)
}

func retries(int) int32 { return int32(option[tcpip.TCPMaxRetriesOption]()) }

func setRetries(_ int, v int32) error {
	o := tcpip.TCPMaxRetriesOption(v)
	return setOption(&o)
}

func finTimeout(int) int32 {
	return int32(time.Duration(option[tcpip.TCPLingerTimeoutOption]()) / time.Second)
}

func setFinTimeout(_ int, v int32) error {
	o := tcpip.TCPLingerTimeoutOption(time.Duration(v) * time.Second)
	return setOption(&o)
}

// SetDatagramDefaults gives new sockets of UDP and IP buffers of other sizes:
// net.core.rmem_default and wmem_default. 0 leaves one as it is.
func SetDatagramDefaults(receive, send int) error {
	var r tcpip.ReceiveBufferSizeOption
	var w tcpip.SendBufferSizeOption
	base().Option(&r) //nolint:errcheck // it is there
	base().Option(&w) //nolint:errcheck // it is there
	if receive > 0 {
		r.Default = max(receive, stack.MinBufferSize)
		r.Max = max(r.Max, r.Default)
	}
	if send > 0 {
		w.Default = max(send, stack.MinBufferSize)
		w.Max = max(w.Max, w.Default)
	}
	if err := base().SetOption(r); err != nil {
		return invalid(err)
	}
	return invalid(base().SetOption(w))
}
