package main

import (
	"fmt"
	"os"
	"path/filepath"

	"gosv/host/rootfs"
)

// measureProcesses runs the part of the micro benchmark that makes processes and reads files.
func measureProcesses(o options, all []*results) {
	for range o.rows {
		for _, r := range all {
			measureIn(r, machine{typ: "q35", memory: 512, program: "ubench", args: []string{"processes"}})
		}
	}
}

// starts are programs whose start is measured.
var starts = []struct {
	name string
	argv []string
}{
	{"python", []string{"/usr/bin/python3", "-c", "pass"}},
	{"node", []string{"/usr/bin/node", "-e", "0"}},
}

// measureStart takes how long programs take from fork to their end.
func measureStart(o options, all []*results) {
	for _, p := range starts {
		tree, err := startTree(o, p.argv[0])
		if err != nil {
			all[0].note("%s: %v", p.name, err)
			continue
		}
		for i := range o.rows {
			for _, r := range all {
				if i == 0 {
					if err := r.system.hold(p.name, tree); err != nil {
						r.note("%s: %v", p.name, err)
						continue
					}
				}
				measureIn(r, machine{typ: "q35", memory: 1024, program: p.name, args: append([]string{"start", p.name}, p.argv...),
					env: []string{"PATH=/usr/bin:/bin", "HOME=/"}})
			}
		}
	}
}

// startTree is a program with its libraries, and the micro benchmark as /init.
func startTree(o options, program string) (*rootfs.Tree, error) {
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("%w: sh test/setup.sh installs it", err)
	}
	r, err := rootfs.Collect(rootfs.Request{Program: program, Cwd: "/", SearchPath: "/usr/bin:/bin"})
	if err != nil {
		return nil, err
	}
	init, err := os.ReadFile(filepath.Join(o.work, "ubench"))
	if err != nil {
		return nil, err
	}
	r.Tree.AddData("/init", 0o755, init)
	for _, dir := range []string{"/tmp", "/dev", "/proc"} {
		r.Tree.AddDir(dir, 0o755)
	}
	return r.Tree, nil
}

// measureIn adds what the micro benchmark prints in a machine.
func measureIn(r *results, m machine) {
	for try := 1; try <= 3; try++ { // a boot under emulation may stall before the program starts
		_, out, err := start(r.system, m, "UB-END", costLimit/2, nil)
		if err != nil {
			r.note("%s %v, try %d: %v", m.program, m.args[:1], try, err)
		}
		for name, v := range parse(out) {
			r.add(name, v)
		}
		if len(out) > 0 {
			return
		}
	}
}
