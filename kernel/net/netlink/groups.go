package netlink

import (
	"encoding/binary"
	"maps"
	"sync"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"

	"gosv/kernel/net"
	"gosv/kernel/net/socket"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// Groups of rtnetlink(7) are told of changes. What there was is kept while somebody is a member, and compared with what there
// is whenever something may have changed: who changes something need not say what.

// maxGroup is the last of the groups RTNLGRP_* that can be joined.
const maxGroup = 64

// members are the sockets that are members of groups.
var members struct {
	mu sync.Mutex
	m  map[*Socket]struct{}
}

// join makes the socket a member of these groups alone; mu is held.
func (s *Socket) join(groups uint64) {
	if groups == s.groups {
		return
	}
	s.groups = groups
	members.mu.Lock()
	defer members.mu.Unlock()
	if groups == 0 {
		delete(members.m, s)
		return
	}
	if members.m == nil {
		members.m = make(map[*Socket]struct{})
	}
	members.m[s] = struct{}{}
}

func anyMember() bool {
	members.mu.Lock()
	defer members.mu.Unlock()
	return len(members.m) > 0
}

// multicast sends a message to a group. Sockets without a port ID are left out,
// as Linux leaves them out.
func multicast(group int, b []byte) {
	members.mu.Lock()
	all := make([]*Socket, 0, len(members.m))
	for s := range members.m {
		all = append(all, s)
	}
	members.mu.Unlock()
	for _, s := range all {
		s.mu.Lock()
		member := s.port != 0 && s.Protocol == unix.NETLINK_ROUTE && s.groups>>(group-1)&1 != 0
		s.mu.Unlock()
		if member {
			s.put(packet{b, group})
			s.Notify(wait.Readable)
		}
	}
}

// A state is what groups are told the changes of.
type state struct {
	links  map[int]linkState
	addrs  map[addrKey]net.Addr
	routes map[routeKey]net.Route
}

type linkState struct {
	name  string
	mtu   int
	flags uint32
}

type addrKey struct {
	index, prefix int
	ip            tcpip.Address
}

type routeKey struct {
	index, prefix int
	dst, gateway  tcpip.Address
}

// seen is the state that members know.
var seen struct {
	mu sync.Mutex
	*state
}

func current() (*state, []net.Interface) {
	s := &state{map[int]linkState{}, map[addrKey]net.Addr{}, map[routeKey]net.Route{}}
	all := net.Interfaces()
	for _, i := range all {
		s.links[i.Index] = linkState{name: i.Name, mtu: i.MTU, flags: i.Flags}
		for _, a := range i.Addrs {
			s.addrs[addrKey{i.Index, a.Prefix, a.IP}] = a
		}
	}
	for _, r := range net.Routes() {
		if r.Index == int(net.Loopback) && r.Family() == unix.AF_INET {
			continue // in Linux's table "local"
		}
		s.routes[routeKey{r.Index, r.Prefix, r.Dst, r.Gateway}] = r
	}
	return s, all
}

// watch begins to look for changes, before a socket becomes a member.
func watch() {
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if seen.state == nil || !anyMember() {
		seen.state, _ = current()
	}
	net.Watch(func() { tell(nil) })
}

// tell tells groups what has changed. By is the request that changed it, nil if
// the kernel did.
func tell(by *request) {
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if !anyMember() {
		seen.state = nil
		return
	}
	old := seen.state
	now, all := current()
	seen.state = now
	interfaces := make(map[int]*net.Interface)
	for n := range all {
		interfaces[all[n].Index] = &all[n]
	}
	send := func(group4, group6, af int, kind uint16, write func(r *request)) {
		r := request{c: &socket.Caller{Caller: vfs.Kernel()}}
		if by != nil {
			r.seq, r.port = by.seq, by.port
		}
		write(&r)
		binary.LittleEndian.PutUint16(r.out[4:], kind)
		if af == unix.AF_INET6 {
			group4 = group6
		}
		multicast(group4, r.out)
	}
	addr := func(k addrKey, a net.Addr, kind uint16) {
		if i := interfaces[k.index]; i != nil {
			send(unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, a.Family(), kind, func(r *request) { r.addr(i, &a, 0) })
		}
	}
	route := func(e net.Route, kind uint16) {
		send(unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, e.Family(), kind, func(r *request) { r.routeMessage(&e, 0) })
	}
	for index, l := range now.links {
		if old.links[index] != l {
			send(unix.RTNLGRP_LINK, 0, unix.AF_UNSPEC, unix.RTM_NEWLINK, func(r *request) { r.link(interfaces[index], 0) })
		}
	}
	for k, e := range old.routes {
		if _, ok := now.routes[k]; !ok {
			route(e, unix.RTM_DELROUTE)
		}
	}
	for k, a := range old.addrs {
		if _, ok := now.addrs[k]; !ok {
			addr(k, a, unix.RTM_DELADDR)
		}
	}
	for k, a := range now.addrs {
		if _, ok := old.addrs[k]; !ok {
			addr(k, a, unix.RTM_NEWADDR)
		}
	}
	if !maps.Equal(old.routes, now.routes) {
		for k, e := range now.routes {
			if was, ok := old.routes[k]; !ok || was != e {
				route(e, unix.RTM_NEWROUTE)
			}
		}
	}
}
