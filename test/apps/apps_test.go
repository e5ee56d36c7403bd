// Package apps runs programs of Debian, unmodified, on this machine and in the guest, and compares.
package apps

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gosv/test/target"
)

// limit catches hangs; a full load may take long on a busy host.
var limit = map[bool]time.Duration{false: 4 * time.Minute, true: 15 * time.Minute}[full]

// app is one command line that runs on both targets.
type app struct {
	name    string
	argv    []string
	stdin   string
	flags   []string // of gosv run
	machine target.Machine
	// normal takes out what may differ between two machines; nil compares the bytes.
	normal func([]byte) []byte
}

const pythonModules = `
import json, hashlib, threading, ssl, sqlite3, sys
out = []
def work(i):
    out.append((i, hashlib.sha256(str(i).encode() * 1000).hexdigest()))
threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
print(json.dumps(sorted(out)))
db = sqlite3.connect(":memory:")
db.execute("create table t(a, b)")
db.executemany("insert into t values(?, ?)", [(i, i * i) for i in range(1000)])
print(db.execute("select sum(b) from t").fetchone())
print(ssl.create_default_context().verify_mode, ssl.OPENSSL_VERSION)
print(sys.version_info[:2], round(sum(1 / n ** 2 for n in range(1, 200000)), 9))
`

const sql = `
create table t(id integer primary key, word text, n integer);
with recursive c(i) as (select 1 union all select i + 1 from c where i < 20000)
insert into t(word, n) select printf('word%d', (i * 7919) % 1009), i from c;
create index w on t(word);
begin; update t set n = n * 2 where id % 3 = 0; commit;
begin; delete from t; rollback;
select count(*), sum(n), count(distinct word) from t;
select word, sum(n) from t group by word order by 2 desc, 1 limit 5;
pragma integrity_check;
`

// data makes the files that the programs read: 50 MB of lines, and a smaller
// file that compresses. They are the same every time.
func data(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(target.Root(), "build/test/data")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	lines, words := filepath.Join(dir, "lines"), filepath.Join(dir, "words")
	if st, err := os.Stat(lines); err == nil && st.Size() == 50_000_000 {
		return dir
	}
	var b bytes.Buffer
	x := uint64(88172645463325252)
	for b.Len() < 50_000_000 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		fmt.Fprintf(&b, "%016x %d\n", x, x%1000)
	}
	text := b.Bytes()[:50_000_000]
	var w bytes.Buffer
	for i := 0; w.Len() < 4_000_000; i++ {
		fmt.Fprintf(&w, "%s %s %x\n", []string{"alpha", "beta", "gamma", "delta"}[i*7%4], []string{"one", "two", "three"}[i*5%3], i/3)
	}
	for name, content := range map[string][]byte{words: w.Bytes(), lines: text} {
		temp := name + ".new"
		if err := os.WriteFile(temp, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temp, name); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func apps(dir string) []app {
	lines, words := filepath.Join(dir, "lines"), filepath.Join(dir, "words")
	with := []string{"-v", dir + ":" + dir + ":ro"}
	two := target.Machine{CPUs: 2, Memory: 512}
	list := []app{
		// With a network the guest's /etc/hosts and resolv.conf are its own, as in a container.
		{name: "ls", argv: []string{"/bin/ls", "-lR", "/etc"}, flags: []string{"--network", "none", "-v", "/etc:/etc"}, normal: listing},
		{name: "cat", argv: []string{"/bin/cat", words}, flags: with},
		{name: "cat-stdin", argv: []string{"/bin/cat", "-n"}, stdin: "one\ntwo\n\nlast"},
		{name: "sort", argv: []string{"/usr/bin/sort", lines}, flags: with, machine: two},
		{name: "sort-small-memory", argv: []string{"/usr/bin/sort", "-S", "8M", "-k2n", words}, flags: with, machine: two},
		{name: "sha256sum", argv: []string{"/usr/bin/sha256sum", lines, words}, flags: with, machine: two},
		{name: "wc", argv: []string{"/usr/bin/wc", lines}, flags: with, machine: two},
		{name: "openssl-speed", argv: []string{"/usr/bin/openssl", "speed", "-seconds", "1", "sha256"}, normal: speeds},
		{name: "openssl-dgst", argv: []string{"/usr/bin/openssl", "dgst", "-sha3-256", words}, flags: with},
		{name: "sqlite3-memory", argv: []string{"/usr/bin/sqlite3", ":memory:", sql}},
		{name: "sqlite3-tmpfs", argv: []string{"/usr/bin/sqlite3", "/tmp/gosv-test.db", "drop table if exists t;" + sql}},
		{name: "sqlite3-wal", argv: []string{"/usr/bin/sqlite3", "/tmp/gosv-test-wal.db", "pragma journal_mode=wal; drop table if exists t;" + sql}},
		{name: "lua", argv: []string{"/usr/bin/lua5.4", "-e", `local t = {} for i = 1, 200000 do t[i] = (i * 7919) % 100003 end
			table.sort(t) print(t[1], t[#t], string.rep("x", 10), math.pi, os.getenv("LANG"))
			local c = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) print(c(), c(), c())
			print(pcall(error, "caught"))`}},
		{name: "perl", argv: []string{"/usr/bin/perl", "-MPOSIX", "-MList::Util=sum", "-e",
			`my %h; $h{$_ % 97} += $_ for 1..100000; print join(",", map {"$_=$h{$_}"} (sort {$a <=> $b} keys %h)[0..5]), "\n";
			print sum(1..1000), " ", floor(3.7), " ", sprintf("%.3e", 12345.678), "\n"; print "matched $1\n" if "foo bar" =~ /(b\w+)/; exit 5`}},
		{name: "python3", argv: []string{"/usr/bin/python3", "-c", pythonModules}, machine: target.Machine{CPUs: 2, Memory: 256}},
		{name: "python3-exception", argv: []string{"/usr/bin/python3", "-c", "import sys; print('before'); sys.stdout.flush(); raise SystemExit(9)"}},
		{name: "gawk", argv: []string{"/usr/bin/gawk", `{ n[$1]++; s += length($0) } END { PROCINFO["sorted_in"] = "@ind_str_asc"; for (k in n) print k, n[k]; print s, strftime("%Y", 0, 1) }`, words}, flags: with},
		{name: "jq", argv: []string{"/usr/bin/jq", "-c", `[.[] | select(.n > 1) | {name, sq: (.n * .n)}] | sort_by(.sq)`}, stdin: `[{"name":"a","n":3},{"name":"b","n":1},{"name":"c","n":2.5}]`},
		{name: "xz", argv: []string{"/usr/bin/xz", "-T2", "-1", "--block-size=1MiB", "-c", words}, flags: with, machine: two},
		{name: "bc", argv: []string{"/usr/bin/bc", "-lq"}, stdin: "scale=60\n4*a(1)\n2^200\nsqrt(2)\n"},
	}
	for _, b := range []app{
		{name: "echo", argv: []string{"echo", "-e", `a\tb`, "c d"}},
		{name: "cat", argv: []string{"cat", words}, flags: with},
		{name: "ls", argv: []string{"ls", dir}, flags: with},
		{name: "sort", argv: []string{"sort", "-r", words}, flags: with},
		{name: "sha256sum", argv: []string{"sha256sum", words}, flags: with},
		{name: "md5sum", argv: []string{"md5sum", words}, flags: with},
		{name: "wc", argv: []string{"wc", words}, flags: with},
		{name: "seq", argv: []string{"seq", "1", "3", "20"}},
		{name: "awk", argv: []string{"awk", `BEGIN { for (i = 0; i < 5; i++) printf "%d %.3f\n", i, sqrt(i) }`}},
		{name: "sed", argv: []string{"sed", "-n", "s/alpha/ALPHA/p;5q", words}, flags: with},
		{name: "grep", argv: []string{"grep", "-c", "beta", words}, flags: with},
		{name: "head", argv: []string{"head", "-n", "3", words}, flags: with},
		{name: "tail", argv: []string{"tail", "-n", "3", words}, flags: with},
		{name: "tr", argv: []string{"tr", "a-z", "A-Z"}, stdin: "lower case\n"},
		{name: "gzip", argv: []string{"gzip", "-c", words}, flags: with},
		{name: "od", argv: []string{"od", "-c"}, stdin: "\x00\x01abc\xff"},
		{name: "tar", argv: []string{"tar", "-tvf", "/dev/stdin"}, stdin: tarball},
		{name: "sh", argv: []string{"sh", "-c", `i=0; while [ $i -lt 5 ]; do i=$((i+1)); echo "line $i"; done; case abc in a*) echo yes;; esac; cd /tmp && pwd; exit 3`}},
		{name: "false", argv: []string{"false"}},
		{name: "test", argv: []string{"test", "-e", "/no/such/file"}},
		{name: "expr", argv: []string{"expr", "6", "*", "7"}},
		{name: "uname", argv: []string{"uname", "-sm"}},
	} {
		b.argv = append([]string{"/usr/bin/busybox"}, b.argv...)
		b.name = "busybox-" + b.name
		list = append(list, b)
	}
	return list
}

// tarball is a tar file of one empty file, mode 0644, of 1970.
var tarball = func() string {
	h := make([]byte, 1536)
	copy(h, "name.txt")
	copy(h[100:], "0000644\x000000000\x000000000\x0000000000000\x0000000000000\x00        0")
	copy(h[257:], "ustar\x0000root")
	sum := 0
	for _, c := range h[:512] {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return string(h)
}()

var (
	blocks    = regexp.MustCompile(`(?m)^total \d+$`)
	directory = regexp.MustCompile(`(?m)^(d\S+ +)\d+( \S+ +\S+ +)\d+ `)
	columns   = regexp.MustCompile(`(?m) +(\d+) `)
	numbers   = regexp.MustCompile(`[\d.]+k?`)
	spaces    = regexp.MustCompile(` +`)
)

// listing takes out of `ls -l` what is the file system's own: the blocks that
// files take, and link count and size of directories. Column widths follow.
func listing(b []byte) []byte {
	b = blocks.ReplaceAll(b, []byte("total"))
	b = directory.ReplaceAll(b, []byte("$1 $2 "))
	b = columns.ReplaceAll(b, []byte(" $1 "))
	return spaces.ReplaceAll(b, []byte(" "))
}

// speeds takes the figures out of `openssl speed`, and the line about the CPU.
func speeds(b []byte) []byte {
	var out [][]byte
	for _, line := range bytes.Split(b, []byte("\n")) {
		if !bytes.HasPrefix(line, []byte("CPUINFO:")) {
			out = append(out, spaces.ReplaceAll(numbers.ReplaceAll(line, []byte("N")), []byte(" ")))
		}
	}
	return bytes.Join(out, []byte("\n"))
}

func TestApps(t *testing.T) {
	target.Gosv(t)
	dir := data(t)
	t.Cleanup(func() {
		for _, f := range []string{"/tmp/gosv-test.db", "/tmp/gosv-test-wal.db", "/tmp/gosv-test-wal.db-wal", "/tmp/gosv-test-wal.db-shm"} {
			os.Remove(f)
		}
	})
	var applets []string
	passed := true
	for _, a := range apps(dir) {
		applet, ok := strings.CutPrefix(a.name, "busybox-")
		good := t.Run(a.name, func(t *testing.T) {
			if ok {
				applets = append(applets, applet)
			} else {
				keep(t, a.argv[0], a.summary())
			}
			a.run(t)
		})
		passed = passed && (good || !ok)
	}
	if len(applets) > 0 {
		keepAs(t, t.Name()+"/busybox", "/usr/bin/busybox", "static, the applets "+strings.Join(applets, " "), passed)
	}
}

// run compares a program on both targets.
func (a *app) run(t *testing.T) {
	if _, err := os.Stat(a.argv[0]); err != nil {
		t.Skipf("no %s here: sh test/setup.sh installs it", a.argv[0])
	}
	host := target.Host(t, limit, a.stdin, a.argv...)
	start := time.Now()
	guest := target.Run(t, a.machine, limit, a.stdin, a.flags, a.argv...)
	t.Logf("%v in the guest", time.Since(start).Round(time.Millisecond))
	if a.normal != nil {
		host.Stdout, guest.Stdout = a.normal(host.Stdout), a.normal(guest.Stdout)
	}
	if len(host.Stdout) > 1<<20 && !bytes.Equal(host.Stdout, guest.Stdout) {
		t.Errorf("%d bytes on the host, %d in the guest, SHA-256 %x and %x", len(host.Stdout), len(guest.Stdout),
			sha256.Sum256(host.Stdout), sha256.Sum256(guest.Stdout))
	}
	target.Same(t, host, guest)
}

// TestOutOfMemory asks for more than there is: an error of the program's or a
// report that it was killed, but never a hang or a failure of the kernel.
func TestOutOfMemory(t *testing.T) {
	target.Gosv(t)
	if _, err := os.Stat("/usr/bin/python3"); err != nil {
		t.Skip("no /usr/bin/python3 here: sh test/setup.sh installs it")
	}
	r := target.Run(t, target.Machine{Memory: 256}, limit, "", nil, "/usr/bin/python3", "-c", `b"x"*(400<<20)`)
	stderr := string(r.Stderr)
	switch {
	case r.Trouble != "":
		t.Errorf("%s\n%s", r.Trouble, stderr)
	case r.Status == 1 && strings.Contains(stderr, "MemoryError"):
	case r.Status == 137 && strings.Contains(strings.ToLower(stderr), "memory"):
	default:
		t.Errorf("status %d, standard error:\n%s", r.Status, stderr)
	}
	t.Logf("status %d: %s", r.Status, stderr)
}

// TestGarbage has a Go program allocate and free 10 GB in all, in 128 MB.
func TestGarbage(t *testing.T) {
	target.Gosv(t)
	program := target.Build(t, target.Program{Source: "go/garbage", Linking: target.Go})
	host := target.Host(t, limit, "", program)
	start := time.Now()
	target.Same(t, host, target.Run(t, target.Machine{CPUs: 2, Memory: 128}, limit, "", nil, program))
	t.Logf("took %v", time.Since(start).Round(time.Millisecond))
}

// The process with the most memory is killed, not the one that asks for more; and /proc/PID/oom_score_adj shifts that.
const hogs = `
python3 -c 'x = bytearray(140 << 20); print("first", flush=True); import time; time.sleep(100)' & first=$!
while [ $(awk '/^MemFree/ {print $2}' /proc/meminfo) -gt 110000 ]; do sleep 0.1; done
python3 -c 'l = [bytearray(1 << 20) for i in range(120)]; print("second done")'
wait $first; echo "first $?"
(echo 1000 > /proc/self/oom_score_adj; exec sleep 40) & third=$!
while ! grep -q 1000 /proc/$third/oom_score_adj; do sleep 0.1; done
python3 -c 'l = [bytearray(1 << 20) for i in range(300)]; print("too much")'; echo "fourth $?"
wait $third; echo "third $?"
`

func TestOutOfMemoryVictim(t *testing.T) {
	target.Gosv(t)
	r := target.Run(t, target.Machine{CPUs: 2, Memory: 256}, limit, "", with("python3", "awk"), "/bin/bash", "-c", hogs)
	want := "first\nsecond done\nfirst 137\nfourth 137\nthird 137\n"
	if got := string(r.Stdout); got != want || r.Trouble != "" {
		t.Errorf("wrote %q, want %q; %s\n%s", got, want, r.Trouble, r.Stderr)
	}
}
