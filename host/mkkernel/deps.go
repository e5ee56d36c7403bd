package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// stackModule is the TCP/IP stack. It is written for a process that can be saved and restored on a host; what it brings
// for that is left out of the kernel: half of its size, and most of its start-up time.
const stackModule = "gvisor.dev/gvisor"

var (
	//go:embed deps/log.go.txt
	stackLog string
	//go:embed deps/rand.go.txt
	stackRand string
	//go:embed deps/delack.go.txt
	stackDelAck string
	//go:embed deps/timewait.go.txt
	stackTimeWait string
	//go:embed deps/fmt.go.txt
	stackFmt string
	//go:embed deps/rate.go.txt
	stackRate string
)

// ownImport are imports of packages for which the stack gets ones of its own: its last group is the package's name. With fmt
// packages os and internal/poll would come in, which open the standard streams at each boot.
var ownImport = regexp.MustCompile(`(?m)^(import |\t)"(?:golang\.org/x/time/|github\.com/google/)?(fmt|rate|btree)"$`)

// treeModule has the tree of what a peer has acknowledged selectively; treeFile is its only file that is needed.
const treeModule, treeFile = "github.com/google/btree", "btree_generic.go"

// packageClause is the head of a Go file, with its build constraints.
var packageClause = regexp.MustCompile(`(?s)\A.*?\npackage \w+\n`)

// sha is a hash without the standard library's FIPS 140 module.
const sha = "\"gosv/kernel/random/sha256\""

// edit is a change of single lines, which must be there exactly as often as said.
type edit struct {
	name, old, new string
	count          int
}

var edits = []edit{
	{"pkg/tcpip/tcpip.go", "\t\"net\"\n", "", 1},
	{"pkg/tcpip/tcpip.go", "make(net.HardwareAddr, ", "make([]byte, ", 1},
	{"pkg/tcpip/header/ipv6.go", "\"crypto/sha256\"", sha, 1},
	{"pkg/tcpip/transport/tcp/connect.go", "\"crypto/sha256\"", sha, 1},
	{"pkg/tcpip/transport/tcp/protocol.go", "\"crypto/sha256\"", sha, 1},
	{"pkg/tcpip/transport/tcp/accept.go", "\"crypto/sha1\"", "sha1 " + sha, 1}, // keys of SYN cookies
	// Reflection that can call methods.
	{"pkg/tcpip/stack/stack.go", "\t\tif err := binary.Read(opts.SecureRNG, binary.LittleEndian, &v); err != nil {\n\t\t\tpanic(err)\n\t\t}\n",
		"\t\tvar b [8]byte\n\t\tif _, err := io.ReadFull(opts.SecureRNG, b[:]); err != nil {\n\t\t\tpanic(err)\n\t\t}\n\t\tv = int64(binary.LittleEndian.Uint64(b[:]))\n", 1},
	{"pkg/tcpip/tcpip.go", "if s, ok := v.Addr().Interface().(**StatCounter); ok {", "if s := (**StatCounter)(unsafe.Pointer(v.UnsafeAddr())); v.Type() == reflect.TypeOf(*s) {", 1},
	{"pkg/tcpip/tcpip.go", "if s, ok := v.Addr().Interface().(**IntegralStatCounterMap); ok {",
		"if s := (**IntegralStatCounterMap)(unsafe.Pointer(v.UnsafeAddr())); v.Type() == reflect.TypeOf(*s) {", 1},
	{"pkg/tcpip/tcpip.go", "\t\"time\"\n", "\t\"time\"\n\t\"unsafe\"\n", 1},
	// There are no packet filters: the tables stay as they were made, which nobody looks at then. 90 KB are never linked.
	{"pkg/tcpip/stack/iptables.go", "\tif !it.modified {\n\t\t// Many users never", "\tif true {\n\t\t// Many users never", 1},
	{"pkg/tcpip/stack/iptables.go", "\tif !it.modified {\n\t\treturn tcpip.Address{}", "\tif true {\n\t\treturn tcpip.Address{}", 1},
	{"pkg/tcpip/stack/stack.go", "\t\t\topts.DefaultIPTables = DefaultTables\n",
		"\t\t\topts.DefaultIPTables = func(tcpip.Clock, *rand.Rand) *IPTables { return new(IPTables) }\n", 1},
	// Acknowledgements that data carries: deps/delack.go.txt.
	{"pkg/tcpip/transport/tcp/endpoint.go", "\tpendingProcessing bool `state:\"nosave\"`\n", "\tpendingProcessing bool `state:\"nosave\"`\n\n\tdelack delayedAck\n\n\tprocessor atomic.Pointer[processor]\n", 1},
	{"pkg/tcpip/transport/tcp/endpoint.go", "\t\"runtime\"\n", "\t\"runtime\"\n\t\"sync/atomic\"\n", 1},
	{"pkg/tcpip/transport/tcp/endpoint.go", "\tprocessor := e.protocol.dispatcher.selectProcessor(e.ID)\n", "\tprocessor := e.protocol.dispatcher.processorOf(e, e.ID)\n", 1},
	{"pkg/tcpip/transport/tcp/connect.go", "\t// Send an ACK for all processed packets if needed.\n\tif e.rcv.RcvNxt != e.snd.MaxSentAck {\n\t\te.snd.sendAck()\n",
		"\tif e.rcv.RcvNxt != e.snd.MaxSentAck {\n\t\te.ackData()\n", 1},
	{"pkg/tcpip/transport/tcp/snd.go", "\t// We need to clone the packet because sendRaw takes ownership of pkt,\n", "\ts.ep.sentData(s.LastSendTime)\n", 1},
	// Connections are accepted in the order of their last segment: deps/delack.go.txt.
	{"pkg/tcpip/transport/tcp/dispatcher.go", "\t\td.selectProcessor(id).queueEndpoint(ep)\n", "\t\td.processorOf(ep, id).queueEndpoint(ep)\n", 1},
	// A window that was offered is not taken back: what its scale cannot express is given, as Linux does (tcp_select_window).
	// Rounded down, it shrank by some bytes; a peer that had sent them had its acknowledgements refused from then on, and two
	// full windows stayed full.
	{"pkg/tcpip/transport/tcp/rcv.go", "\t// Apply silly-window avoidance when recovering from zero-window situation.\n",
		"\tunit := seqnum.Size(1) << r.RcvWndScale\n\tnewWnd = (newWnd + unit - 1) &^ (unit - 1)\n" +
			"\tif r.RcvAcc.LessThan(r.RcvNxt.Add(newWnd)) {\n\t\tr.RcvAcc = r.RcvNxt.Add(newWnd)\n\t}\n\n", 1},
	// A program that has shut down both directions, one after the other, has not closed: see Shutdown in kernel/net/inet.
	{"pkg/tcpip/transport/tcp/endpoint.go", "\t\t\tif e.shutdownFlags&tcpip.ShutdownWrite != 0 && rcvBufUsed > 0 {\n",
		"\t\t\tif flags == tcpip.ShutdownRead|tcpip.ShutdownWrite && rcvBufUsed > 0 {\n", 1},
	// TCP_MAXSEG of a connection.
	{"pkg/tcpip/transport/tcp/endpoint.go", "\t\t\tv = int(e.userMSS)\n\t\t}\n", "\t\t\tv = int(e.userMSS)\n\t\t} else if state.connected() {\n\t\t\tv = e.snd.MaxPayloadSize\n\t\t}\n", 1},
	// A queue of errors that nobody reads does not grow for ever.
	{"pkg/tcpip/socketops.go", "\tso.errQueue.PushBack(err)\n", "\tif so.errQueue.Len() < 64 {\n\t\tso.errQueue.PushBack(err)\n\t}\n", 1},
	// Readers are told that there is no more when the state says so, too: one on another CPU saw the end of the data and no
	// EPOLLRDHUP, of which nobody told it again.
	{"pkg/tcpip/transport/tcp/rcv.go", "\t\tr.closed = true\n\t\tr.ep.readyToRead(nil)\n", "\t\tr.closed = true\n", 1},
	{"pkg/tcpip/transport/tcp/rcv.go", "\t\tcase StateFinWait2:\n\t\t\tr.ep.setEndpointState(StateTimeWait)\n\t\t}\n", "\t\tcase StateFinWait2:\n\t\t\tr.ep.setEndpointState(StateTimeWait)\n\t\t}\n\t\tr.ep.readyToRead(nil)\n", 1},
	// A limit for TIME-WAIT: deps/timewait.go.txt.
	{"pkg/tcpip/transport/tcp/dispatcher.go", "\tep.timeWaitTimer = ep.stack.Clock().AfterFunc(timeWaitDuration, ep.timeWaitTimerExpired)\n",
		"\tep.timeWaitTimer = ep.stack.Clock().AfterFunc(timeWaitDuration, ep.timeWaitTimerExpired)\n\tenterTimeWait(ep)\n", 1},
	{"pkg/tcpip/transport/tcp/connect.go", "func (e *Endpoint) timeWaitTimerExpired() {\n\te.mu.Lock()\n", "func (e *Endpoint) timeWaitTimerExpired() {\n\tdefer leaveTimeWait()\n\te.mu.Lock()\n", 1},
	// A datagram's source may be an IPv4 address: see control.go in kernel/net/inet.
	{"pkg/tcpip/transport/internal/network/endpoint.go", "ipv6PktInfoValid := e.effectiveNetProto == header.IPv6ProtocolNumber && opts", "ipv6PktInfoValid := opts", 1},
	{"pkg/tcpip/transport/internal/network/endpoint.go", "if e.stack.CheckLocalAddress(nicID, header.IPv6ProtocolNumber, pktInfoAddr) == 0 {",
		"if pktInfoAddr.BitLen() != header.IPv4AddressSizeBits && e.stack.CheckLocalAddress(nicID, header.IPv6ProtocolNumber, pktInfoAddr) == 0 {", 1},
	// A processor's work is a batch: see hold in kernel/net.
	{"pkg/tcpip/transport/tcp/dispatcher.go", "\t\tcase w == &p.newEndpointWaker:\n\t\t\tfor {\n\t\t\t\tep := p.epQ.dequeue()\n\t\t\t\tif ep == nil {\n",
		"\t\tcase w == &p.newEndpointWaker:\n\t\t\tbeginBatch()\n\t\t\tfor {\n\t\t\t\tep := p.epQ.dequeue()\n\t\t\t\tif ep == nil {\n\t\t\t\t\tendBatch()\n", 1},
}

// lockClass registers a type of lock with gVisor's checker of lock orders, which is not compiled in. There are some 60, and
// under emulation that is half a millisecond of each boot. A function named _ is checked and not compiled.
var (
	lockClass  = regexp.MustCompile(`(?m)^func init\(\) (\{\n\t\w*initLockNames\(\)\n)`)
	noRegister = "func _() $1"
)

// stackParts are the folders of the module that are taken.
var stackParts = []string{"atomicbitops", "bits", "buffer", "context", "gohacks", "linewriter", "log", "rand", "refs", "sleep",
	"state", "sync", "tcpip", "waiter"}

// download returns the folder of a module and its go.mod. On a machine that has never built gosv the module is not in
// the cache yet: go list would name no folder then, where go mod download fetches it.
func download(name string) (dir, gomod string, err error) {
	out, err := exec.Command("go", "mod", "download", "-json", name).Output()
	var module struct{ Dir, GoMod, Error string }
	if jsonErr := json.Unmarshal(out, &module); jsonErr == nil && module.Error != "" {
		err = errors.New(module.Error) // what went wrong is in the answer, not in standard error
	}
	if err != nil {
		return "", "", fmt.Errorf("go mod download %s: %w", name, err)
	}
	if module.Dir == "" || module.GoMod == "" {
		return "", "", fmt.Errorf("go mod download %s: it names no folder: %s", name, out)
	}
	return module.Dir, module.GoMod, nil
}

// replaceStack makes a copy of the module in dir, with its files changed as above, and a copy of go.mod that replaces the
// original by it: the go command lets no overlay change its module cache. It returns the copy's name, for go build -modfile.
func replaceStack(dir string) (modfile string, err error) {
	from, gomod, err := download(stackModule)
	if err != nil {
		return "", err
	}
	tree, _, err := download(treeModule)
	if err != nil {
		return "", err
	}
	btree, err := os.ReadFile(filepath.Join(tree, treeFile))
	if err != nil {
		return "", err
	}
	to := filepath.Join(dir, "stack")
	put := func(rel, text string) error {
		text = ownImport.ReplaceAllString(text, `$1"`+stackModule+`/pkg/$2"`)
		return os.WriteFile(filepath.Join(to, rel), []byte(text), 0o644)
	}
	for name, text := range map[string]string{"fmt": stackFmt, "rate": stackRate, "btree": string(btree)} {
		if err := os.MkdirAll(filepath.Join(to, "pkg", name), 0o755); err != nil {
			return "", err
		}
		if err := put("pkg/"+name+"/"+name+".go", text); err != nil {
			return "", err
		}
	}
	if err := os.Symlink(gomod, filepath.Join(to, "go.mod")); err != nil {
		return "", err
	}

	all := slices.Concat(edits, speedups)
	saved, edited := 0, 0
	for _, part := range stackParts {
		err := filepath.WalkDir(filepath.Join(from, "pkg", part), func(name string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(from, name)
			if err != nil || strings.HasSuffix(name, "_test.go") {
				return err
			}
			if d.IsDir() {
				return os.Mkdir(filepath.Join(to, rel), 0o755)
			}
			read := func() (string, error) {
				b, err := os.ReadFile(name)
				return string(b), err
			}
			switch {
			case strings.HasSuffix(rel, "_state_autogen.go"):
				// Methods and registrations of every type, which a generator wrote.
				saved++
				text, err := read()
				if err != nil {
					return err
				}
				return put(rel, packageClause.FindString(text))
			case rel == "pkg/sync/mutex_unsafe.go":
				return put(rel, stackMutex)
			case strings.HasSuffix(rel, "_mutex.go"):
				text, err := read()
				if err != nil {
					return err
				}
				return put(rel, lockClass.ReplaceAllString(text, noRegister))
			case rel == "pkg/log/log.go":
				return put(rel, stackLog)
			case filepath.Dir(rel) == "pkg/log":
				return nil
			case rel == "pkg/rand/rand_linux.go":
				return put(rel, stackRand)
			}
			text, err := read()
			if err != nil {
				return err
			}
			changed := ownImport.MatchString(text)
			for _, e := range all {
				if e.name != rel {
					continue
				}
				if n := strings.Count(text, e.old); n != e.count {
					return fmt.Errorf("%s has %q %d times, want %d: this release needs a look at mkkernel", name, e.old, n, e.count)
				}
				text = strings.ReplaceAll(text, e.old, e.new)
				edited++
				changed = true
			}
			if changed {
				return put(rel, text)
			}
			return os.Symlink(name, filepath.Join(to, rel))
		})
		if err != nil {
			return "", err
		}
	}
	for rel, text := range map[string]string{
		"pkg/sync/pool.go":                    stackPool,
		"pkg/tcpip/stack/flow.go":             stackFlow,
		"pkg/tcpip/stack/shortcut.go":         stackShortcut,
		"pkg/tcpip/transport/tcp/head.go":     stackHead,
		"pkg/tcpip/transport/tcp/turn.go":     stackTurn,
		"pkg/tcpip/transport/tcp/delack.go":   stackDelAck,
		"pkg/tcpip/transport/tcp/timewait.go": stackTimeWait,
	} {
		if err := put(rel, text); err != nil {
			return "", err
		}
	}
	if saved < 20 || edited != len(all) {
		return "", fmt.Errorf("%s has %d files for save and restore, and %d of %d edits: this release needs a look at mkkernel",
			stackModule, saved, edited, len(all))
	}

	modfile = filepath.Join(dir, "go.mod")
	for name, extra := range map[string]string{"go.mod": "\nreplace " + stackModule + " => " + to + "\n", "go.sum": ""} {
		b, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(b, extra...), 0o644); err != nil {
			return "", err
		}
	}
	return modfile, nil
}
