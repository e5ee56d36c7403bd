package boot

import (
	"strings"
	"testing"

	"gosv/test/target"
)

// orphans leaves orphans behind, and looks for zombies.
const orphans = `
echo $$ below $PPID $(busybox cat /proc/1/comm)
for i in 1 2 3; do busybox sh -c 'busybox sleep 0.1 & exit 0'; done
busybox sleep 0.5
busybox grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null
busybox sh -c 'kill -9 1; kill -STOP 1; kill -USR1 1'
busybox sleep 0.2
exit 7`

// TestInit runs programs below the kernel's own init.
func TestInit(t *testing.T) {
	target.Gosv(t)
	const busybox = "/usr/bin/busybox"
	for _, c := range []struct {
		name, script, want string
		flags              []string
		status             int
	}{
		{"orphans", `trap 'echo usr1' USR1` + orphans, "2 below 1 gosv-init\nusr1\n", []string{"--init"}, 7},
		{"signal", `kill -SEGV $$`, "", []string{"--init"}, 139},
		{"forwarded", `busybox sh -c 'kill -TERM 1'; busybox sleep 20`, "", []string{"--init"}, 143},
		{"user", `busybox id -u; busybox cat /proc/1/status | busybox grep Uid`, "5\nUid:\t0\t0\t0\t0\n", []string{"--init", "--boot-opts", "user=5"}, 0},
		// Without it the program is process 1, which others of its machine cannot end.
		{"alone", `echo $$ below $PPID; busybox sh -c 'kill -TERM 1; kill -9 1; kill -STOP 1'; echo alive; kill -TERM $$; busybox sleep 20`,
			"1 below 0\nalive\n", nil, 143},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := target.Run(t, target.Machine{CPUs: 2, Memory: 128}, limit, "", c.flags, busybox, "sh", "-c", c.script)
			if r.Status != c.status || strings.ReplaceAll(string(r.Stdout), "\r", "") != c.want || r.Trouble != "" {
				t.Errorf("status %d, want %d; %s\nstdout %q\nwant   %q\nstderr %s", r.Status, c.status, r.Trouble, r.Stdout, c.want, r.Stderr)
			}
		})
	}
}
