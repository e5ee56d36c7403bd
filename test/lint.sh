#!/bin/sh
# Lints: gofmt, go vet and staticcheck of the host build, go vet and staticcheck
# of the kernel build (tag metal), sh -n of the scripts.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}
staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2
failed=0

say() { echo "lint: $*"; }

bad=$(gofmt -l -s abi bench cmd examples host kernel test 2>/dev/null || true)
if [ -n "$bad" ]; then
	say "gofmt -s -w these:"
	echo "$bad"
	failed=1
fi

say "go vet"
$GO vet ./... || failed=1

# Assembly of the kernel has no Go frames to describe, and the machine layer
# makes pointers of addresses: vet's two analyses of these are off there.
kernel=$(GOOS=linux GOARCH=amd64 CGO_ENABLED=0 $GO list -tags metal ./abi/... ./kernel/... ./cmd/gosv-kernel 2>/dev/null || true)
if [ -n "$kernel" ]; then
	say "go vet, kernel build"
	# shellcheck disable=SC2086
	GOOS=linux GOARCH=amd64 CGO_ENABLED=0 $GO vet -tags metal -asmdecl=false -framepointer=false -unsafeptr=false $kernel || failed=1
fi

say "staticcheck"
$GO run $staticcheck ./... || failed=1
if [ -n "$kernel" ]; then
	say "staticcheck, kernel build"
	# Which declarations are used only from assembly it cannot see: U1000 is the host build's.
	# shellcheck disable=SC2086
	GOFLAGS="${GOFLAGS:-} -tags=metal" $GO run $staticcheck -tests=false -checks inherit,-U1000 $kernel || failed=1
fi

for script in test/*.sh examples/*.sh .ci/run; do
	[ -f "$script" ] || continue
	sh -n "$script" || failed=1
done

[ "$failed" = 0 ] && say "nothing found"
exit $failed
