package socket

import (
	"encoding/binary"
	"syscall"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/wait"
)

// Sizes of buffers (socket(7), net.core.rmem_default and so on).
const (
	DefaultBuffer = 212992
	minSndBuf     = 4608
	minRcvBuf     = 2304
)

// The options that are a yes or no, as bits of Base.flags.
var boolOptions = [...]struct{ name, bit int }{
	{unix.SO_DEBUG, flagDebug}, {unix.SO_REUSEADDR, FlagReuseAddr}, {unix.SO_REUSEPORT, FlagReusePort},
	{unix.SO_DONTROUTE, flagDontRoute}, {unix.SO_BROADCAST, FlagBroadcast}, {unix.SO_KEEPALIVE, FlagKeepAlive},
	{unix.SO_OOBINLINE, FlagOOBInline}, {unix.SO_PASSCRED, FlagPassCred}, {unix.SO_PASSSEC, flagPassSec},
	{unix.SO_TIMESTAMP, FlagTimestamp}, {unix.SO_TIMESTAMPNS, FlagTimestampNS}, {unix.SO_NO_CHECK, FlagNoCheck},
	{unix.SO_RXQ_OVFL, flagRxqOvfl}, {unix.SO_WIFI_STATUS, flagWifiStatus}, {unix.SO_NOFCS, flagNoFCS},
	{unix.SO_LOCK_FILTER, flagLockFilter}, {unix.SO_SELECT_ERR_QUEUE, flagSelectErrQueue},
	{linux.SO_PASSPIDFD, FlagPassPIDFD}, {unix.SO_TIMESTAMP_NEW, FlagTimestampNew}, {unix.SO_TIMESTAMPNS_NEW, FlagTimestampNSNew},
}

// Bits of Base.flags.
const (
	flagDebug = 1 << iota
	FlagReuseAddr
	FlagReusePort
	flagDontRoute
	FlagBroadcast
	FlagKeepAlive
	FlagOOBInline
	FlagPassCred
	flagPassSec
	FlagTimestamp
	FlagTimestampNS
	FlagNoCheck
	flagRxqOvfl
	flagWifiStatus
	flagNoFCS
	flagLockFilter
	flagSelectErrQueue
	FlagZeroCopy
	FlagTimestampNew
	FlagTimestampNSNew
	FlagPassPIDFD
)

// Flag reports whether an option is on.
func (b *Base) Flag(bit uint64) bool { return b.flags.Load()&bit != 0 }

// SetFlag switches an option.
func (b *Base) SetFlag(bit uint64, on bool) {
	if on {
		b.flags.Or(bit)
	} else {
		b.flags.And(^bit)
	}
}

// InheritFrom copies what an accepted socket has from the listening one.
func (b *Base) InheritFrom(l *Base) {
	b.flags.Store(l.flags.Load())
	b.RcvTimeout.Store(l.RcvTimeout.Load())
	b.SndTimeout.Store(l.SndTimeout.Load())
	b.RcvBuf.Store(l.RcvBuf.Load())
	b.SndBuf.Store(l.SndBuf.Load())
	b.rcvLowat.Store(l.rcvLowat.Load())
	b.priority.Store(l.priority.Load())
	b.mark.Store(l.mark.Load())
}

// Mark is SO_MARK.
func (b *Base) Mark() uint32 { return b.mark.Load() }

// PeekOff is SO_PEEK_OFF, negative if it is off.
func (b *Base) PeekOff() int { return int(b.peekOff.Load()) }

// MovePeekOff moves SO_PEEK_OFF after n bytes: a peek forward, a read back.
func (b *Base) MovePeekOff(n int, peek bool) {
	if peek {
		b.peekOff.Add(int32(n))
	} else {
		b.peekOff.Store(max(b.peekOff.Load()-int32(n), 0))
	}
}

// Int is the value of an option that is an int; EINVAL if it is too short.
func Int(v []byte) (int, error) {
	if len(v) < 4 {
		return 0, unix.EINVAL
	}
	return int(int32(binary.LittleEndian.Uint32(v))), nil
}

// PutInt is an int as an option's value, cut to the room there is.
func PutInt(v, room int) ([]byte, error) {
	b := make([]byte, 4)
	binary.LittleEndian.PutUint32(b, uint32(v))
	return b[:min(room, 4)], nil
}

// Cut shortens a struct to the room that the program gave.
func Cut(b []byte, room int) ([]byte, error) { return b[:min(room, len(b))], nil }

func boolInt(on bool) int {
	if on {
		return 1
	}
	return 0
}

// BufferSize is what a program that asks for n bytes of buffer gets: twice as
// many, within limits (sock_setsockopt in net/core/sock.c).
func BufferSize(n, min_, max_ int, force bool) int32 {
	if !force {
		n = int(min(uint32(n), uint32(max_)))
	}
	if n < 0 {
		n = 0
	}
	n = min(n, 1<<30-1)
	return int32(max(2*n, min_))
}

// SetSocketOption is setsockopt(2) for SOL_SOCKET; ENOPROTOOPT for what it does
// not know. A family first looks for what means something special to it.
func (b *Base) SetSocketOption(c *Caller, name int, v []byte) error {
	if len(v) < 4 && name != unix.SO_BINDTODEVICE {
		return unix.EINVAL // before anything else is looked at
	}
	switch name {
	case unix.SO_RCVTIMEO, unix.SO_SNDTIMEO, unix.SO_RCVTIMEO_NEW, unix.SO_SNDTIMEO_NEW:
		return b.setTimeout(name == unix.SO_RCVTIMEO || name == unix.SO_RCVTIMEO_NEW, v)
	case unix.SO_LINGER:
		if len(v) < 8 {
			return unix.EINVAL
		}
		b.linger.Store(uint64(boolInt(binary.LittleEndian.Uint32(v) != 0)) | uint64(binary.LittleEndian.Uint32(v[4:]))<<32)
		return nil
	case unix.SO_BSDCOMPAT: // of Linux 2.2
		return nil
	case unix.SO_DETACH_FILTER:
		return unix.ENOENT
	case unix.SO_BINDTODEVICE, unix.SO_ATTACH_FILTER, unix.SO_ATTACH_BPF,
		unix.SO_ATTACH_REUSEPORT_CBPF, unix.SO_ATTACH_REUSEPORT_EBPF, unix.SO_DETACH_REUSEPORT_BPF:
		return unix.ENOPROTOOPT
	case unix.SO_TYPE, unix.SO_PROTOCOL, unix.SO_DOMAIN, unix.SO_ERROR, unix.SO_ACCEPTCONN, unix.SO_PEERCRED:
		return unix.ENOPROTOOPT
	}
	n, err := Int(v)
	if err != nil {
		return err
	}
	for _, o := range boolOptions {
		if o.name == name {
			if name == unix.SO_DEBUG && n != 0 && !c.Creds.Has(unix.CAP_NET_ADMIN) {
				return unix.EACCES
			}
			if b.foreign(name) || name == unix.SO_REUSEPORT && n != 0 && b.Family != unix.AF_INET && b.Family != unix.AF_INET6 {
				return unix.EOPNOTSUPP
			}
			b.SetFlag(uint64(o.bit), n != 0)
			return nil
		}
	}
	switch name {
	case unix.SO_ZEROCOPY:
		if b.Family != unix.AF_INET && b.Family != unix.AF_INET6 || b.Type == unix.SOCK_RAW {
			return unix.EOPNOTSUPP
		}
		if n != 0 && n != 1 {
			return unix.EINVAL
		}
		b.SetFlag(FlagZeroCopy, n != 0)
	case unix.SO_SNDBUF, unix.SO_SNDBUFFORCE:
		if name == unix.SO_SNDBUFFORCE && !c.Creds.Has(unix.CAP_NET_ADMIN) {
			return unix.EPERM
		}
		b.SndBuf.Store(BufferSize(n, minSndBuf, int(MaxSndBuf.Load()), name == unix.SO_SNDBUFFORCE))
		b.Notify(wait.Writable)
	case unix.SO_RCVBUF, unix.SO_RCVBUFFORCE:
		if name == unix.SO_RCVBUFFORCE && !c.Creds.Has(unix.CAP_NET_ADMIN) {
			return unix.EPERM
		}
		b.RcvBuf.Store(BufferSize(n, minRcvBuf, int(MaxRcvBuf.Load()), name == unix.SO_RCVBUFFORCE))
	case unix.SO_RCVLOWAT:
		if n < 0 {
			n = 1<<31 - 1
		}
		b.rcvLowat.Store(int32(max(n, 1)))
	case unix.SO_SNDLOWAT:
		return unix.ENOPROTOOPT
	case unix.SO_PRIORITY:
		if (n < 0 || n > 6) && !c.Creds.Has(unix.CAP_NET_ADMIN) && !c.Creds.Has(unix.CAP_NET_RAW) {
			return unix.EPERM
		}
		b.priority.Store(uint32(n))
	case unix.SO_MARK:
		if !c.Creds.Has(unix.CAP_NET_ADMIN) && !c.Creds.Has(unix.CAP_NET_RAW) {
			return unix.EPERM
		}
		b.mark.Store(uint32(n))
	case unix.SO_PEEK_OFF:
		if b.Family != unix.AF_UNIX {
			return unix.EOPNOTSUPP
		}
		b.peekOff.Store(int32(n))
	case unix.SO_TIMESTAMPING, unix.SO_TIMESTAMPING_NEW:
		if n&^0x7ffff != 0 {
			return unix.EINVAL
		}
		b.timestamping.Store(uint32(n))
	case unix.SO_BUSY_POLL:
		if n < 0 {
			return unix.EINVAL
		}
		b.busyPoll.Store(int32(n))
	case unix.SO_INCOMING_CPU, unix.SO_CNX_ADVICE: // hints
	case linux.SO_RESERVE_MEM:
		if n < 0 {
			return unix.EINVAL
		}
		return unix.EOPNOTSUPP // as without a memory cgroup
	default:
		return unix.ENOPROTOOPT
	}
	return nil
}

// foreign reports whether an option is one that only other families have.
func (b *Base) foreign(name int) bool {
	switch name {
	case unix.SO_PASSCRED, unix.SO_PASSSEC:
		return b.Family != unix.AF_UNIX && b.Family != unix.AF_NETLINK
	case linux.SO_PASSPIDFD:
		return b.Family != unix.AF_UNIX
	}
	return false
}

// GetSocketOption is getsockopt(2) for SOL_SOCKET.
func (b *Base) GetSocketOption(c *Caller, name, room int) ([]byte, error) {
	for _, o := range boolOptions {
		if o.name == name {
			if b.foreign(name) {
				return nil, unix.EOPNOTSUPP
			}
			return PutInt(boolInt(b.Flag(uint64(o.bit))), room)
		}
	}
	v := 0
	switch name {
	case unix.SO_ZEROCOPY:
		v = boolInt(b.Flag(FlagZeroCopy))
	case unix.SO_TYPE:
		v = b.Type
	case unix.SO_PROTOCOL:
		v = b.Protocol
	case unix.SO_DOMAIN:
		v = b.Family
	case unix.SO_ERROR:
		if e, ok := b.TakeError().(syscall.Errno); ok {
			v = int(e)
		}
	case unix.SO_ACCEPTCONN, unix.SO_INCOMING_NAPI_ID, unix.SO_BSDCOMPAT:
	case unix.SO_LINGER:
		return Cut(binary.LittleEndian.AppendUint64(nil, b.linger.Load()), room)
	case unix.SO_PEERCRED: // of families that have none: struct ucred of nobody
		return Cut([]byte{4: 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, room)
	case unix.SO_RCVTIMEO, unix.SO_RCVTIMEO_NEW:
		return putTimeout(b.RcvTimeout.Load(), room)
	case unix.SO_SNDTIMEO, unix.SO_SNDTIMEO_NEW:
		return putTimeout(b.SndTimeout.Load(), room)
	case unix.SO_SNDBUF:
		v = int(b.SndBuf.Load())
	case unix.SO_RCVBUF:
		v = int(b.RcvBuf.Load())
	case unix.SO_RCVLOWAT:
		v = int(b.rcvLowat.Load())
	case unix.SO_SNDLOWAT:
		v = 1
	case unix.SO_PRIORITY:
		v = int(b.priority.Load())
	case unix.SO_MARK:
		v = int(b.mark.Load())
	case unix.SO_PEEK_OFF:
		if b.Family != unix.AF_UNIX {
			return nil, unix.EOPNOTSUPP
		}
		v = int(b.peekOff.Load())
	case unix.SO_TIMESTAMPING, unix.SO_TIMESTAMPING_NEW: // struct so_timestamping
		return Cut(binary.LittleEndian.AppendUint64(nil, uint64(b.timestamping.Load())), room)
	case linux.SO_RESERVE_MEM:
	case linux.SO_NETNS_COOKIE: // of the one there is
		if room != 8 {
			return nil, unix.EINVAL
		}
		return binary.LittleEndian.AppendUint64(nil, 1), nil
	case unix.SO_PEERNAME:
		return nil, unix.ENOTCONN
	case unix.SO_PEERGROUPS: // of families that have none
		return nil, unix.ENODATA
	case unix.SO_BUSY_POLL:
		v = int(b.busyPoll.Load())
	case unix.SO_INCOMING_CPU:
		v = 0
	case unix.SO_MEMINFO:
		m := make([]byte, 36)
		binary.LittleEndian.PutUint32(m[4:], uint32(b.RcvBuf.Load()))
		binary.LittleEndian.PutUint32(m[12:], uint32(b.SndBuf.Load()))
		return Cut(m, room)
	case unix.SO_COOKIE:
		var k [8]byte
		binary.LittleEndian.PutUint64(k[:], b.ino)
		if room < 8 {
			return nil, unix.EINVAL
		}
		return k[:], nil
	case unix.SO_BINDTODEVICE:
		return nil, nil
	case unix.SO_GET_FILTER:
		return nil, nil
	default:
		return nil, unix.ENOPROTOOPT
	}
	return PutInt(v, room)
}

// setTimeout sets a timeout from a struct timeval.
func (b *Base) setTimeout(receive bool, v []byte) error {
	if len(v) < 16 {
		return unix.EINVAL
	}
	sec, usec := int64(binary.LittleEndian.Uint64(v)), int64(binary.LittleEndian.Uint64(v[8:]))
	if usec < 0 || usec >= 1e6 {
		return unix.EDOM
	}
	ns := int64(0)
	switch {
	case sec < 0:
		ns = 1 // no waiting at all, as Linux has it
	case sec > 1<<33:
	default:
		ns = sec*1e9 + usec*1e3
	}
	if receive {
		b.RcvTimeout.Store(ns)
	} else {
		b.SndTimeout.Store(ns)
	}
	return nil
}

func putTimeout(ns int64, room int) ([]byte, error) {
	b := make([]byte, 16)
	if ns >= 1000 {
		binary.LittleEndian.PutUint64(b, uint64(ns/1e9))
		binary.LittleEndian.PutUint64(b[8:], uint64(ns%1e9/1e3))
	}
	return Cut(b, room)
}
