package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// recipe is what a program or a library opens by name, beside the libraries
// that its ELF file tells: the modules of a language, tables, plug-ins.
type recipe struct {
	// Programs are patterns for the base name of the program's real file
	// (/usr/bin/python3 -> python3.11), or of the script that it runs, Libs for
	// the names of needed libraries.
	Programs, Libs []string
	// Paths are patterns (path.Match) of host files and directories to copy as
	// they are. What does not exist is left out.
	Paths []string
	// Home are the same, relative to the directory of the program's real file.
	Home []string
	// Runs are programs that the program starts, found in $PATH. They come with
	// their libraries and recipes.
	Runs []string
	// Dirs are directories that the program writes to. They are empty in the guest, with the owner and the permissions
	// that they have here.
	Dirs []string
	// Tmpfiles are patterns for files of tmpfilesDir, beyond the one that has the program's name.
	Tmpfiles []string
	// Skip are patterns for the base names of directories that are left out.
	Skip []string
	// Beside is what to copy relative to the directory of the program as it was
	// named: a Python virtual environment, a node_modules directory.
	Beside []string
	// BesideIf is a file, relative in the same way, that must exist for Beside.
	BesideIf string
}

const multiarch = "/usr/lib/x86_64-linux-gnu"

var recipes = []recipe{
	{
		Programs: []string{"python[0-9]*", "python", "pypy3*"}, Libs: []string{"libpython*.so*"},
		Paths: []string{"/usr/lib/python[0-9]*", "/usr/local/lib/python[0-9]*", "/etc/python[0-9]*",
			"/usr/lib64/python[0-9]*", "/usr/share/zoneinfo/tzdata.zi"},
		Home:   []string{"../lib/python[0-9]*"}, // an installation of its own: pyenv's, uv's
		Runs:   []string{"sh"},
		Skip:   []string{"test", "tests", "idlelib", "idle_test", "turtledemo", "ensurepip", "lib2to3", "config-[0-9]*-*"},
		Beside: []string{"../pyvenv.cfg", "../lib", "../lib64"}, BesideIf: "../pyvenv.cfg",
	},
	{
		Programs: []string{"perl", "perl5*"}, Libs: []string{"libperl.so*"},
		Paths: []string{"/etc/perl", "/usr/share/perl", "/usr/share/perl5", multiarch + "/perl", multiarch + "/perl5",
			multiarch + "/perl-base", "/usr/local/share/perl", "/usr/local/lib/x86_64-linux-gnu/perl", "/usr/lib64/perl5", "/usr/lib/perl5"},
		Runs: []string{"sh"},
		Skip: []string{"Unicode", "pod"},
	},
	{
		Programs: []string{"lua", "lua5.*", "luajit*"}, Libs: []string{"liblua*.so*"},
		Paths: []string{"/usr/share/lua", "/usr/local/share/lua", "/usr/local/lib/lua", multiarch + "/lua", "/usr/lib64/lua", "/usr/share/luajit-*"},
	},
	{
		Programs: []string{"ruby", "ruby[0-9]*"}, Libs: []string{"libruby*.so*"},
		Paths: []string{"/usr/lib/ruby", "/usr/share/ruby", multiarch + "/ruby", "/var/lib/gems", "/usr/share/rubygems-integration",
			multiarch + "/rubygems-integration", "/usr/local/lib/ruby"},
		Runs: []string{"sh"},
	},
	{
		Programs: []string{"node", "nodejs"}, Libs: []string{"libnode.so*"},
		Paths: []string{"/usr/share/nodejs", multiarch + "/nodejs", "/usr/share/node_modules", "/usr/lib/node_modules"},
		Runs:  []string{"sh"},
		Skip:  []string{"npm", "corepack"},
	},
	{
		Programs: []string{"php", "php[0-9]*", "php-cgi*", "php-fpm*"}, Libs: []string{"libphp*.so*"},
		Paths:    []string{"/etc/php", "/usr/lib/php", "/usr/share/php", "/usr/lib64/php", "/usr/share/zoneinfo/UTC"},
		Tmpfiles: []string{"php*-fpm.conf"},
		Runs:     []string{"sh"},
	},
	{
		Programs: []string{"java", "javac", "jshell", "jar"},
		Home:     []string{"../lib", "../conf", "../release"},
		Paths:    []string{"/etc/java-*"},
		Skip:     []string{"src.zip"},
	},
	{
		Programs: []string{"erl", "erlc", "escript", "elixir"},
		Paths:    []string{"/usr/lib/erlang", "/usr/lib/elixir"},
		Runs:     []string{"sh", "dirname", "basename", "readlink", "erl"},
		Skip:     []string{"examples", "src"},
	},
	{
		Programs: []string{"mono", "mono-sgen*"},
		Paths:    []string{"/usr/lib/mono", "/etc/mono", "/usr/lib/libmono-native.so*", "/usr/lib/libMonoPosixHelper.so*", "/usr/lib/libikvm-native.so*"},
		Skip:     []string{"*.pdb", "monodoc"},
	},
	{
		Programs: []string{"dotnet"},
		Home:     []string{"host", "shared"},
	},
	{
		Programs: []string{"gdb"},
		Paths: []string{"/usr/share/gdb", "/etc/gdb", multiarch + "/libthread_db.so*", multiarch + "/gconv/gconv-modules*",
			multiarch + "/gconv/UTF-32.so", "/usr/lib64/libthread_db.so*"},
		Runs: []string{"sh"},
	},
	{
		Programs: []string{"git"},
		Paths:    []string{"/usr/lib/git-core", "/usr/share/git-core", "/etc/gitconfig"},
		Runs:     []string{"sh", "sed", "basename"},
	},
	{
		Programs: []string{"make", "gmake"},
		Runs:     []string{"sh"},
	},
	{
		// The drivers of GCC: they start the compiler proper, the assembler and the linker.
		Programs: []string{"gcc-[0-9]*", "g++-[0-9]*", "cpp-[0-9]*", "*-gcc-[0-9]*", "*-g++-[0-9]*", "*-cpp-[0-9]*"},
		Paths: []string{"/usr/lib/gcc/*/*/cc1", "/usr/lib/gcc/*/*/cc1plus", "/usr/lib/gcc/*/*/collect2", "/usr/lib/gcc/*/*/lto-wrapper",
			"/usr/lib/gcc/*/*/liblto_plugin.so", "/usr/lib/gcc/*/*/*.o", "/usr/lib/gcc/*/*/libgcc*", "/usr/lib/gcc/*/*/libstdc++.*",
			"/usr/lib/gcc/*/*/include", "/usr/include/*.h", "/usr/include/linux", "/usr/include/asm-generic", "/usr/include/c++",
			"/usr/include/x86_64-linux-gnu/a*", "/usr/include/x86_64-linux-gnu/bits", "/usr/include/x86_64-linux-gnu/c++",
			"/usr/include/x86_64-linux-gnu/gnu", "/usr/include/x86_64-linux-gnu/sys",
			multiarch + "/*crt*.o", multiarch + "/libc.so", multiarch + "/libc.a", multiarch + "/libc_nonshared.a",
			multiarch + "/libm.so", multiarch + "/libm.a", multiarch + "/libm-*.a", multiarch + "/libmvec*", multiarch + "/libpthread.a", multiarch + "/libdl.a"},
		Runs: []string{"as", "ld"},
	},
	{
		Programs: []string{"postgres", "initdb", "pg_ctl", "psql", "pgbench"},
		Paths:    []string{"/usr/lib/postgresql/*/bin", "/usr/lib/postgresql/*/lib", "/usr/share/postgresql", "/usr/share/zoneinfo"},
		Runs:     []string{"sh", "locale"},
		Tmpfiles: []string{"postgresql*.conf"},
		Skip:     []string{"bitcode", "pgxs", "man"},
	},
	{
		Programs: []string{"mariadbd", "mysqld", "mariadb-install-db", "mysql_install_db"},
		Paths:    []string{"/usr/share/mysql", "/usr/share/mariadb", "/usr/lib/mysql", "/etc/mysql"},
		Runs:     []string{"sh", "mariadbd", "my_print_defaults", "resolveip"},
		Tmpfiles: []string{"mariadb.conf", "mysql*.conf"},
	},
	{
		Programs: []string{"gawk*"},
		Paths:    []string{"/usr/share/awk", multiarch + "/gawk", "/usr/lib64/gawk"},
	},
	{
		Programs: []string{"tclsh*", "wish*", "expect"}, Libs: []string{"libtcl*.so*"},
		Paths: []string{"/usr/share/tcltk", "/usr/lib/tcltk", multiarch + "/tcltk"},
	},
	{
		Programs: []string{"openssl"}, Libs: []string{"libcrypto.so*"},
		Paths: []string{multiarch + "/ossl-modules", multiarch + "/engines-*", "/usr/lib64/ossl-modules", "/usr/lib64/engines-*",
			"/etc/ssl/openssl.cnf", "/usr/lib/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf"},
	},
	{
		Libs: []string{"libssl.so*", "libgnutls.so*"},
		Paths: []string{"/etc/ssl/certs/ca-certificates.crt", "/usr/lib/ssl/certs", "/usr/lib/ssl/cert.pem",
			"/etc/pki/tls/certs/ca-bundle.crt"},
	},
	{
		Libs:  []string{"libtinfo.so*", "libncurses*.so*"},
		Paths: []string{"/lib/terminfo", "/etc/terminfo"},
	},
	{
		Libs:  []string{"libmagic.so*"},
		Paths: []string{"/etc/magic", "/usr/share/misc/magic.mgc", "/usr/share/file/magic.mgc", "/usr/lib/file"},
	},
	{
		Programs: []string{"iconv"}, Libs: []string{"libunistring-iconv.so*"},
		Paths: []string{multiarch + "/gconv", "/usr/lib64/gconv"},
	},
	{
		Programs: []string{"nginx"},
		Paths:    []string{"/etc/nginx", "/usr/share/nginx", "/usr/lib/nginx", "/var/www/html", "/etc/ssl/openssl.cnf"},
		Dirs:     []string{"/var/log/nginx", "/var/lib/nginx"},
	},
	{
		Programs: []string{"apachectl", "apache2ctl"}, // shell scripts that have the server's name in a variable
		Runs:     []string{"apache2"},
	},
	{
		Programs: []string{"apache2", "httpd"},
		Paths: []string{"/etc/apache2", "/usr/lib/apache2", "/usr/share/apache2", "/etc/httpd", "/usr/lib64/httpd", "/usr/share/httpd",
			"/var/www/html", "/etc/mime.types", "/etc/ssl/openssl.cnf"},
		Dirs: []string{"/var/log/apache2", "/run/apache2", "/run/lock/apache2"},
		Skip: []string{"build"},
	},
	{
		Programs: []string{"lighttpd"},
		Paths:    []string{"/etc/lighttpd", "/usr/lib/lighttpd", "/usr/share/lighttpd", "/var/www/html", "/etc/mime.types"},
		Runs:     []string{"sh", "perl"}, // of its configuration's include_shell
		Tmpfiles: []string{"lighttpd*.conf"},
	},
	{
		Programs: []string{"squid"},
		Paths:    []string{"/etc/squid", "/usr/share/squid", "/usr/share/squid-langpack", "/usr/lib/squid", "/usr/lib64/squid", "/etc/mime.types"},
		Dirs:     []string{"/var/log/squid", "/var/spool/squid"},
	},
	{
		// A configuration is compiled to a shared object at each start.
		Programs: []string{"varnishd"},
		Paths:    []string{"/etc/varnish", "/usr/share/varnish", multiarch + "/varnish", "/usr/lib64/varnish"},
		Dirs:     []string{"/var/lib/varnish"},
		Runs:     []string{"sh", "rm", "gcc", "x86_64-linux-gnu-gcc"},
	},
	{
		Programs: []string{"named"},
		Paths:    []string{"/etc/bind", multiarch + "/bind", "/usr/lib64/bind", "/usr/share/dns"},
		Dirs:     []string{"/var/cache/bind", "/var/lib/bind"},
	},
	{
		Programs: []string{"unbound"},
		Paths:    []string{"/etc/unbound", "/usr/share/dns", "/var/lib/unbound/root.key"},
		Dirs:     []string{"/var/lib/unbound"},
	},
	{
		Programs: []string{"haproxy"},
		Paths:    []string{"/etc/haproxy"},
		Dirs:     []string{"/var/lib/haproxy"},
	},
	{
		Programs: []string{"mosquitto"},
		Paths:    []string{"/etc/mosquitto"},
		Dirs:     []string{"/var/lib/mosquitto", "/var/log/mosquitto", "/run/mosquitto"},
	},
	{
		Programs: []string{"prometheus"},
		Paths:    []string{"/etc/prometheus", "/usr/share/prometheus"},
		Dirs:     []string{"/var/lib/prometheus"},
	},
	{
		Programs: []string{"uwsgi", "uwsgi-core"},
		Paths:    []string{"/usr/lib/uwsgi"},
	},
	{
		Programs: []string{"redis-server", "redis-check-rdb", "valkey-server"},
		Dirs:     []string{"/var/lib/redis", "/var/log/redis", "/run/redis"},
	},
	{
		Programs: []string{"vim*"},
		Paths:    []string{"/usr/share/vim", "/etc/vim"},
	},
}

// Tables is a text of the tables that decide what comes into an image: another release of this tool may have others.
func Tables() string { return fmt.Sprint(recipes, hostFiles, glibcFiles, glibcLibs, made, dirs, links) }

func matchAny(patterns []string, name string) bool {
	for _, p := range patterns {
		if ok, _ := filepath.Match(p, name); ok {
			return true
		}
	}
	return false
}

// applies tells whether a recipe is for a program with these names and libraries.
func (r *recipe) applies(names, libs []string) bool {
	for _, n := range names {
		if matchAny(r.Programs, filepath.Base(n)) {
			return true
		}
	}
	for _, l := range libs {
		if matchAny(r.Libs, filepath.Base(l)) {
			return true
		}
	}
	return false
}

// files lists the host files that a recipe names and that exist. As is the
// program as it was named, links not followed, and real its file.
func (r *recipe) files(as, real string) []string {
	var list []string
	for _, p := range r.Paths {
		m, _ := filepath.Glob(p)
		list = append(list, m...)
	}
	for _, p := range r.Home {
		m, _ := filepath.Glob(filepath.Join(filepath.Dir(real), p))
		list = append(list, m...)
	}
	dir := filepath.Dir(as)
	if r.BesideIf != "" {
		if _, err := os.Stat(filepath.Join(dir, r.BesideIf)); err != nil {
			return list
		}
	}
	for _, p := range r.Beside {
		p = filepath.Join(dir, p)
		if _, err := os.Stat(p); err == nil {
			list = append(list, p)
		}
	}
	return list
}

// sharedObject tells a file that is opened with dlopen(3), so that its own
// libraries are needed too.
func sharedObject(name string) bool {
	base := filepath.Base(name)
	return strings.HasSuffix(base, ".so") || strings.Contains(base, ".so.") || strings.HasSuffix(base, ".node")
}
