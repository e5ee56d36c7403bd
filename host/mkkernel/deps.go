package main

import (
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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
	//go:embed deps/pool.go.txt
	stackPool string
	//go:embed deps/memory.go.txt
	stackMemory string
	//go:embed deps/memory_tcp.go.txt
	stackMemoryTCP string
	//go:embed deps/memory_udp.go.txt
	stackMemoryUDP string
	//go:embed deps/flow.go.txt
	stackFlow string
	//go:embed deps/shortcut.go.txt
	stackShortcut string
	//go:embed deps/head.go.txt
	stackHead string
	//go:embed deps/turn.go.txt
	stackTurn string
)

// ownImport are imports of packages for which the stack gets ones of its own: its last group is the package's name. With fmt
// packages os and internal/poll would come in, which open the standard streams at each boot.
var ownImport = regexp.MustCompile(`(?m)^(import |\t)"(?:golang\.org/x/time/|github\.com/google/)?(fmt|rate|btree)"$`)

// treeModule has the tree of what a peer has acknowledged selectively; treeFile is its only file that is needed.
const treeModule, treeFile = "github.com/google/btree", "btree_generic.go"

// packageClause is the head of a Go file, with its build constraints.
var packageClause = regexp.MustCompile(`(?s)\A.*?\npackage \w+\n`)

// stackMutex leaves out the functions around a mutex that note for a checker, which is not compiled in, who holds it.
const stackMutex = `package sync

import "sync"

type (
	Mutex               = sync.Mutex
	CrossGoroutineMutex = sync.Mutex
)
`

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

// replaceStack makes a copy of the module with the changes above, and in dir a copy of go.mod that replaces the original by it: the go
// command lets no overlay change its module cache. It returns that copy's name, for go build -modfile. The folder of the module's
// copy is in the kernel, as go version -m shows; so that a build gives the same kernel everywhere, it is one of this
// repository, and named after its contents.
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
	if err := os.MkdirAll("build", 0o755); err != nil {
		return "", err
	}
	to, err := os.MkdirTemp("build", "new-stack-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(to) // it is called something else in the end
	if err := os.Chmod(to, 0o755); err != nil {
		return "", err
	}
	contents := []string{filepath.Base(from)}
	put := func(rel, text string) error {
		text = ownImport.ReplaceAllString(text, `$1"`+stackModule+`/pkg/$2"`)
		contents = append(contents, fmt.Sprintf("%s %x", rel, sha256.Sum256([]byte(text))))
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

	patches, err := readPatches()
	if err != nil {
		return "", err
	}
	saved := 0
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
			for _, h := range patches[rel] {
				if text, err = h.apply(text); err != nil {
					return err
				}
				changed = true
			}
			delete(patches, rel)
			if changed {
				return put(rel, text)
			}
			contents = append(contents, rel)
			return os.Symlink(name, filepath.Join(to, rel))
		})
		if err != nil {
			return "", err
		}
	}
	for rel, text := range map[string]string{
		"pkg/sync/pool.go":                    stackPool,
		"pkg/tcpip/memory.go":                 stackMemory,
		"pkg/tcpip/transport/tcp/memory.go":   stackMemoryTCP,
		"pkg/tcpip/transport/udp/memory.go":   stackMemoryUDP,
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
	if saved < 20 || len(patches) > 0 {
		return "", fmt.Errorf("%s has %d files for save and restore, and lacks %v, which patches change: this release needs a look at mkkernel",
			stackModule, saved, slices.Sorted(maps.Keys(patches)))
	}

	slices.Sort(contents)
	final := fmt.Sprintf("./build/stack-%x", sha256.Sum256([]byte(strings.Join(contents, "\n"))))[:len("./build/stack-")+16]
	err = os.Rename(to, final)
	if old, _ := os.Readlink(filepath.Join(final, "go.mod")); errors.Is(err, fs.ErrExist) && old != gomod { // its links lead to another module cache
		if err = os.RemoveAll(final); err == nil {
			err = os.Rename(to, final)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}

	modfile = filepath.Join(dir, "go.mod")
	for name, extra := range map[string]string{"go.mod": "\nreplace " + stackModule + " => " + final + "\n", "go.sum": ""} {
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
