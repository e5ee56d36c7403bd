#!/bin/sh
# make demo: installs what is missing, builds gosv, and boots a C, a Go and a
# dynamically linked C++ program.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}

missing=""
command -v qemu-system-x86_64 >/dev/null 2>&1 || missing="$missing qemu-system-x86"
command -v gcc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
command -v g++ >/dev/null 2>&1 || missing="$missing g++"
if [ -n "$missing" ]; then
	if [ "$(id -u)" = 0 ]; then
		echo "demo: installing$missing"
		export DEBIAN_FRONTEND=noninteractive
		apt-get update -q >/dev/null
		# shellcheck disable=SC2086 # one word per package
		apt-get install -y -q --no-install-recommends $missing >/dev/null
	else
		echo "demo: please install what is missing: sudo apt-get install -y$missing" >&2
		exit 1
	fi
fi

make --no-print-directory build
mkdir -p build/examples
gcc -O2 -static -o build/examples/hello-c examples/hello-c/hello.c
g++ -O2 -pthread -o build/examples/threads-cpp examples/threads-cpp/threads.cpp
CGO_ENABLED=0 "$GO" build -trimpath -ldflags "-s -w" -o build/examples/hello-go ./examples/hello-go

run() {
	echo
	echo "\$ bin/gosv run $*"
	bin/gosv run "$@"
}
run build/examples/hello-c one two
run -c 2 build/examples/hello-go
run -c 2 build/examples/threads-cpp
