package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gosv/abi/boot"
	"gosv/host/image"
	"gosv/host/rootfs"
	"gosv/host/vmm"
	"gosv/host/vmm/qemu"
	"gosv/test/debian"
)

// wire is a system's tap interface in the network namespace of the measurement, with the host's address on it and the guest's.
type wire struct{ tap, host, guest string }

// wires are those of the systems, in their order.
var wires = []wire{{"tap0", "10.9.0.1", "10.9.0.2"}, {"tap1", "10.9.1.1", "10.9.1.2"}}

// service is a server that both systems run, and what is measured of it.
type service struct {
	name  string
	argv  []string
	files map[string]string // what it reads, by path
	port  int
	hello string // a text that it answers
	loads []load
}

// load is one figure of a service: run gives it for the service at an address.
type load struct {
	name string
	run  func(s service, guest string) (float64, error)
}

var services = []service{
	{name: "redis", argv: []string{"/usr/bin/redis-server", "--port", "6379", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", "/tmp"},
		port: 6379, hello: "PING\r\n", loads: []load{redisLoad("get", 1, 12000), redisLoad("set", 1, 12000), redisLoad("get", 16, 100000), redisLoad("set", 16, 100000), {"connect", connectRate}}},
	{name: "nginx", argv: []string{"/usr/sbin/nginx", "-c", "/etc/bench.conf"}, files: map[string]string{"/etc/bench.conf": nginxConf, "/srv/index.html": strings.Repeat("gosv benchmark page\n", 30)},
		port: 8080, hello: "GET / HTTP/1.0\r\n\r\n", loads: []load{{"nginx", nginxRate}}},
	{name: "iperf3", argv: []string{"/usr/bin/iperf3", "-s"}, port: 5201, loads: []load{{"iperf_in", iperfRate()}, {"iperf_out", iperfRate("-R")}}},
}

const nginxConf = `daemon off; master_process off; user root; pid /tmp/pid; error_log stderr error;
events { worker_connections 4096; }
http { access_log off; sendfile on; keepalive_requests 100000000; client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c;
uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e; types { text/html html; } server { listen 8080 backlog=1024; root /srv; } }
`

// tree collects a service with its libraries.
func (s service) tree() (*rootfs.Tree, error) {
	if _, err := os.Stat(s.argv[0]); err != nil {
		return nil, fmt.Errorf("%w: sh test/setup.sh installs it", err)
	}
	r, err := rootfs.Collect(rootfs.Request{Program: s.argv[0], Cwd: "/", SearchPath: "/usr/sbin:/usr/bin:/sbin:/bin"})
	if err != nil {
		return nil, err
	}
	for path, text := range s.files {
		r.Tree.AddData(path, 0o644, []byte(text))
	}
	for _, dir := range []string{"/tmp", "/dev", "/proc", "/var/log/nginx", "/var/lib/nginx"} {
		r.Tree.AddDir(dir, 0o755)
	}
	return r.Tree, nil
}

// network is the device that both systems get.
func (o options) network(cpus int, w wire) vmm.Machine {
	return vmm.Machine{Type: "q35", Accel: o.accel, Memory: 512 << 20, CPUs: cpus, Networks: []vmm.Network{{Kind: vmm.NetworkTap, Device: w.tap, MAC: "52:54:00:12:34:56"}}}
}

func (g *gosv) serve(s service, cpus int, w wire) ([]string, error) {
	tree, err := s.tree()
	if err != nil {
		return nil, err
	}
	m := g.o.network(cpus, w)
	m.Kernel, m.Image = g.file, filepath.Join(g.o.work, s.name+".img")
	if _, err := image.WriteFile(m.Image, tree); err != nil {
		return nil, err
	}
	m.CommandLine = boot.Config{Args: s.argv, Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, Options: []string{"ip=eth0," + w.guest + "/24"}}.Format()
	return qemu.QEMU{}.Command(m)
}

func (l *linux) serve(s service, cpus int, w wire) ([]string, error) {
	tree, err := s.tree()
	if err != nil {
		return nil, err
	}
	if err := l.AddModules(tree, debian.VirtioNet...); err != nil {
		return nil, err
	}
	init, err := os.ReadFile(filepath.Join(l.o.work, "net"))
	if err != nil {
		return nil, err
	}
	tree.AddData("/init", 0o755, init)
	archive, err := debian.Archive(tree)
	if err != nil {
		return nil, err
	}
	l.initrd[s.name] = filepath.Join(l.o.work, s.name+".cpio")
	if err := os.WriteFile(l.initrd[s.name], archive, 0o644); err != nil {
		return nil, err
	}
	argv, err := l.command(machine{typ: "q35", memory: 512, program: s.name, args: append([]string{w.guest}, s.argv...)})
	if err != nil {
		return nil, err
	}
	for i := range argv {
		if argv[i] == "-smp" {
			argv[i+1] = strconv.Itoa(cpus)
		}
	}
	// The device is that of the other system, to the letter.
	m := l.o.network(cpus, w)
	m.Kernel = l.File
	other, err := qemu.QEMU{}.Command(m)
	if err != nil {
		return nil, err
	}
	for i, a := range other {
		if a == "-netdev" || a == "-device" && strings.HasPrefix(other[i+1], "virtio-net") {
			argv = append(argv, a, other[i+1])
		}
	}
	return argv, nil
}

// netChild is the variable that tells this program that it is in its network
// namespace, and where its results go.
const netChild = "GOSV_BENCH_NET"

// measureNet runs this program again in a network namespace, and adds what it measured.
func measureNet(o options, all []*results) {
	note := func(err error) { all[0].note("network: %v", err) }
	file := filepath.Join(o.work, "net.json")
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), netChild+"="+file)
	cmd.Stderr = os.Stderr
	a := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = a
	if err := cmd.Run(); err != nil {
		note(err)
		return
	}
	b, err := os.ReadFile(file)
	if err != nil {
		note(err)
		return
	}
	got := make([]measured, len(all))
	if err := json.Unmarshal(b, &got); err != nil {
		note(err)
		return
	}
	for i, r := range all {
		for name, v := range got[i].Values {
			r.values[name] = append(r.values[name], v...)
		}
		maps.Copy(r.notes, got[i].Notes)
	}
}

// runNet is this program in the namespace.
func runNet(o options, all []*results, file string) error {
	commands := [][]string{{"link", "set", "lo", "up"}}
	for _, w := range wires {
		commands = append(commands, []string{"tuntap", "add", "dev", w.tap, "mode", "tap"}, []string{"addr", "add", w.host + "/24", "dev", w.tap}, []string{"link", "set", w.tap, "up"})
	}
	for _, c := range commands {
		if out, err := exec.Command("ip", c...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(c, " "), err, out)
		}
	}
	for _, cpus := range []int{1, 2} {
		if !strings.Contains(o.cpus, strconv.Itoa(cpus)) {
			continue
		}
		for _, s := range services {
			if o.load.MatchString(s.name) {
				measureService(o, all, s, cpus)
			}
		}
	}
	var out []measured
	for _, r := range all {
		out = append(out, measured{r.values, r.notes})
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o644)
}

// measureService has both systems up at once, and each load on them in turn, in several rounds: what the host does beside it
// changes from minute to minute, and is then the same for both. A machine that waits for its turn takes half a percent of a CPU.
func measureService(o options, all []*results, s service, cpus int) {
	type up struct {
		*results
		wire wire
	}
	var systems []up
	for i, r := range all {
		r.begin(fmt.Sprintf("net%d/%s", cpus, s.name))
		end, err := serve(o, r, s, cpus, wires[i])
		if err != nil {
			r.note("%s on %d CPUs: %v", s.name, cpus, err)
			continue
		}
		defer end()
		systems = append(systems, up{r, wires[i]})
	}
	time.Sleep(time.Second) // what the start left to do
	for round := range o.net {
		for _, l := range s.loads {
			for _, u := range systems {
				v, err := l.run(s, u.wire.guest)
				if err != nil {
					u.note("%s on %d CPUs, round %d: %v", l.name, cpus, round+1, err)
					continue
				}
				u.add(fmt.Sprintf("%s_%dcpu", l.name, cpus), v)
			}
		}
	}
}

// serve boots a system with a server. end ends it.
func serve(o options, r *results, s service, cpus int, w wire) (end func(), err error) {
	argv, err := r.system.serve(s, cpus, w)
	if err != nil {
		return nil, err
	}
	sig := os.Kill
	if _, ok := r.system.(*gosv); ok && o.plugin != "" {
		argv = append(argv, "-plugin", o.plugin+",out="+filepath.Join(o.work, "calls-"+s.name))
		sig = syscall.SIGTERM // it writes then
	}
	log, err := os.Create(filepath.Join(o.work, "net-"+r.system.name()+"-"+s.name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	over := make(chan struct{})
	go func() { cmd.Wait(); close(over) }() //nolint:errcheck // it is killed
	end = func() {
		cmd.Process.Signal(sig) //nolint:errcheck // it may have ended
		<-over
	}
	for until := time.Now().Add(bootLimit); ; time.Sleep(100 * time.Millisecond) {
		select {
		case <-over:
			b, _ := os.ReadFile(log.Name())
			return nil, errors.New("the machine ended: " + lastLine(b))
		default:
		}
		if err = s.answers(w.guest); err == nil {
			return end, nil
		}
		if time.Now().After(until) {
			end()
			b, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("no answer: %w; output: %s", err, lastLine(b))
		}
	}
}
