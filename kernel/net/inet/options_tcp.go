package inet

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"gosv/kernel/net/socket"
)

// Ranges of tcp(7) (include/net/tcp.h).
const (
	maxKeepIdle  = 32767
	maxKeepIntvl = 32767
	maxKeepCnt   = 127
	maxSynCount  = 127
	maxWindow    = 32767
)

// congestionMax is TCP_CA_NAME_MAX.
const congestionMax = 16

// setTCP is setsockopt(2) for tcp(7).
func (s *Socket) setTCP(c *socket.Caller, name int, v []byte) error {
	ep := s.endpoint()
	so := ep.SocketOptions()
	switch name {
	case unix.TCP_CONGESTION:
		if len(v) < 1 {
			return unix.EINVAL
		}
		cc := string(v[:min(len(v), congestionMax-1)])
		for i := range cc {
			if cc[i] == 0 {
				cc = cc[:i]
				break
			}
		}
		o := tcpip.CongestionControlOption(cc)
		return errno(ep.SetSockOpt(&o))
	case unix.TCP_ULP:
		return unix.ENOENT // no kernel TLS
	case unix.TCP_MD5SIG, unix.TCP_REPAIR, unix.TCP_FASTOPEN_KEY:
		return unix.ENOPROTOOPT
	}
	n, err := socket.Int(v)
	if err != nil {
		return err
	}
	between := func(lo, hi int) bool { return n >= lo && n <= hi }
	switch name {
	case unix.TCP_NODELAY:
		s.small.noDelay.Store(int32(truth(n != 0)))
		so.SetDelayOption(n == 0)
	case unix.TCP_CORK:
		so.SetCorkOption(n != 0)
	case unix.TCP_QUICKACK:
		so.SetQuickAck(n != 0)
	case unix.TCP_MAXSEG:
		if n != 0 && !between(header.TCPMinimumMSS, maxWindow) {
			return unix.EINVAL
		}
		if n == 0 {
			return nil
		}
		return errno(ep.SetSockOptInt(tcpip.MaxSegOption, n))
	case unix.TCP_KEEPIDLE:
		if !between(1, maxKeepIdle) {
			return unix.EINVAL
		}
		o := tcpip.KeepaliveIdleOption(time.Duration(n) * time.Second)
		return errno(ep.SetSockOpt(&o))
	case unix.TCP_KEEPINTVL:
		if !between(1, maxKeepIntvl) {
			return unix.EINVAL
		}
		o := tcpip.KeepaliveIntervalOption(time.Duration(n) * time.Second)
		return errno(ep.SetSockOpt(&o))
	case unix.TCP_KEEPCNT:
		if !between(1, maxKeepCnt) {
			return unix.EINVAL
		}
		return errno(ep.SetSockOptInt(tcpip.KeepaliveCountOption, n))
	case unix.TCP_USER_TIMEOUT:
		if n < 0 {
			return unix.EINVAL
		}
		o := tcpip.TCPUserTimeoutOption(time.Duration(n) * time.Millisecond)
		return errno(ep.SetSockOpt(&o))
	case unix.TCP_SYNCNT:
		if !between(1, maxSynCount) {
			return unix.EINVAL
		}
		s.small.synCount.Store(int32(n))
		return errno(ep.SetSockOptInt(tcpip.TCPSynCountOption, n))
	case unix.TCP_LINGER2:
		s.small.linger2.Store(int32(max(n, -1)))
		o := tcpip.TCPLingerTimeoutOption(time.Duration(n) * time.Second)
		return errno(ep.SetSockOpt(&o))
	case unix.TCP_DEFER_ACCEPT:
		n = retransmissionTime(n)
		s.small.deferAccept.Store(int32(n))
		o := tcpip.TCPDeferAcceptOption(time.Duration(n) * time.Second)
		return errno(ep.SetSockOpt(&o))
	case unix.TCP_WINDOW_CLAMP:
		if n != 0 {
			n = max(n, minRcvBuf/2)
		}
		return errno(ep.SetSockOptInt(tcpip.TCPWindowClampOption, n))
	case unix.TCP_NOTSENT_LOWAT:
		s.small.notSentLowat.Store(int32(n))
	case unix.TCP_FASTOPEN:
		if n < 0 {
			return unix.EINVAL
		}
		s.small.fastOpen.Store(min(int32(n), socket.MaxBacklog.Load())) // the queue stays empty: no peer is given a cookie
	case unix.TCP_FASTOPEN_CONNECT:
		if n != 0 && n != 1 {
			return unix.EINVAL
		}
		if n != 0 {
			return unix.EOPNOTSUPP // as with net.ipv4.tcp_fastopen without its first bit
		}
	case unix.TCP_INQ:
		if n != 0 && n != 1 {
			return unix.EINVAL
		}
		s.small.inq.Store(int32(n))
	case unix.TCP_THIN_LINEAR_TIMEOUTS:
		if n != 0 && n != 1 {
			return unix.EINVAL
		}
		s.small.thinLinear.Store(int32(n))
	case unix.TCP_THIN_DUPACK:
		if n != 0 && n != 1 {
			return unix.EINVAL
		}
	default:
		return unix.ENOPROTOOPT
	}
	return nil
}

// minRcvBuf is SOCK_MIN_RCVBUF.
const minRcvBuf = 2304

// retransmissionTime is the time after whole retransmissions, from one second on
// and each twice as long up to two minutes, that is at least n seconds
// (secs_to_retrans and retrans_to_secs in net/ipv4/tcp.c).
func retransmissionTime(n int) int {
	if n <= 0 {
		return 0
	}
	time, pause := 1, 1
	for count := 1; time < n && count < 255; count++ {
		pause = min(2*pause, 120)
		time += pause
	}
	return time
}

// getTCP is getsockopt(2) for tcp(7).
func (s *Socket) getTCP(name, room int) ([]byte, error) {
	ep := s.endpoint()
	so := ep.SocketOptions()
	seconds := func(d time.Duration) ([]byte, error) { return socket.PutInt(int(d/time.Second), room) }
	switch name {
	case unix.TCP_NODELAY:
		return socket.PutInt(int(s.small.noDelay.Load()), room)
	case unix.TCP_CORK:
		return socket.PutInt(truth(so.GetCorkOption()), room)
	case unix.TCP_QUICKACK:
		return socket.PutInt(truth(so.GetQuickAck()), room)
	case unix.TCP_MAXSEG:
		n, err := ep.GetSockOptInt(tcpip.MaxSegOption)
		if err != nil {
			return nil, errno(err)
		}
		return socket.PutInt(n, room)
	case unix.TCP_KEEPIDLE:
		var o tcpip.KeepaliveIdleOption
		ep.GetSockOpt(&o)
		return seconds(time.Duration(o))
	case unix.TCP_KEEPINTVL:
		var o tcpip.KeepaliveIntervalOption
		ep.GetSockOpt(&o)
		return seconds(time.Duration(o))
	case unix.TCP_KEEPCNT:
		n, _ := ep.GetSockOptInt(tcpip.KeepaliveCountOption)
		return socket.PutInt(n, room)
	case unix.TCP_USER_TIMEOUT:
		var o tcpip.TCPUserTimeoutOption
		ep.GetSockOpt(&o)
		return socket.PutInt(int(time.Duration(o)/time.Millisecond), room)
	case unix.TCP_CONGESTION:
		var o tcpip.CongestionControlOption
		ep.GetSockOpt(&o)
		b := make([]byte, congestionMax)
		copy(b, o)
		return socket.Cut(b, room)
	case unix.TCP_SYNCNT:
		n, _ := ep.GetSockOptInt(tcpip.TCPSynCountOption)
		return socket.PutInt(n, room)
	case unix.TCP_LINGER2:
		if s.small.linger2.Load() < 0 {
			return socket.PutInt(-1, room)
		}
		var o tcpip.TCPLingerTimeoutOption
		ep.GetSockOpt(&o)
		return seconds(time.Duration(o))
	case unix.TCP_DEFER_ACCEPT:
		return socket.PutInt(int(s.small.deferAccept.Load()), room)
	case unix.TCP_WINDOW_CLAMP:
		n, _ := ep.GetSockOptInt(tcpip.TCPWindowClampOption)
		return socket.PutInt(n, room)
	case unix.TCP_NOTSENT_LOWAT:
		return socket.PutInt(int(s.small.notSentLowat.Load()), room)
	case unix.TCP_FASTOPEN:
		return socket.PutInt(int(s.small.fastOpen.Load()), room)
	case unix.TCP_FASTOPEN_CONNECT, unix.TCP_THIN_DUPACK, unix.TCP_REPAIR:
		return socket.PutInt(0, room)
	case unix.TCP_INQ:
		return socket.PutInt(int(s.small.inq.Load()), room)
	case unix.TCP_THIN_LINEAR_TIMEOUTS:
		return socket.PutInt(int(s.small.thinLinear.Load()), room)
	case unix.TCP_INFO:
		return socket.Cut(s.tcpInfo(), room)
	case unix.TCP_ULP:
		return nil, nil
	}
	return nil, unix.ENOPROTOOPT
}

// linuxState is the state as Linux numbers it (include/net/tcp_states.h).
func linuxState(st tcp.EndpointState) uint8 {
	switch st {
	case tcp.StateInitial, tcp.StateBound, tcp.StateError:
		return 7 // TCP_CLOSE
	case tcp.StateConnecting:
		return 2 // TCP_SYN_SENT
	}
	return uint8(st)
}

// tcpInfo is struct tcp_info (include/uapi/linux/tcp.h) of Linux 6.1, as far as
// the stack knows.
func (s *Socket) tcpInfo() []byte {
	ep := s.endpoint()
	b := make([]byte, unix.SizeofTCPInfo)
	var o tcpip.TCPInfoOption
	ep.GetSockOpt(&o)
	put := func(at int, v uint64) { binary.LittleEndian.PutUint32(b[at:], uint32(min(v, 1<<32-1))) }
	us := func(d time.Duration) uint64 { return uint64(d / time.Microsecond) }
	st := s.tcpState()
	b[0] = linuxState(st)
	if b[0] == 7 {
		return b
	}
	b[1] = uint8(o.CcState)
	switch o.CcState {
	case tcpip.RTORecovery:
		b[1] = 4 // TCP_CA_Loss
	case tcpip.FastRecovery, tcpip.SACKRecovery:
		b[1] = 3 // TCP_CA_Recovery
	case tcpip.Disorder:
		b[1] = 1
	}
	b[5] = 1 | 2 | 4 // timestamps, SACK, window scaling
	put(8, us(o.RTO))
	mss, _ := ep.GetSockOptInt(tcpip.MaxSegOption)
	put(16, uint64(mss)) // tcpi_snd_mss
	put(20, uint64(mss)) // tcpi_rcv_mss
	put(60, 1500)        // tcpi_pmtu
	put(64, 65535)       // tcpi_rcv_ssthresh
	put(68, us(o.RTT))
	put(72, us(o.RTTVar))
	put(76, uint64(o.SndSsthresh))
	put(80, uint64(o.SndCwnd))
	put(84, uint64(mss)) // tcpi_advmss
	put(88, 3)           // tcpi_reordering
	if x, ok := ep.Stats().(*tcp.Stats); ok {
		put(100, x.SendErrors.Retransmits.Value()) // tcpi_total_retrans
		put(136, x.SegmentsSent.Value())           // tcpi_segs_out
		put(140, x.SegmentsReceived.Value())       // tcpi_segs_in
	}
	return b
}
