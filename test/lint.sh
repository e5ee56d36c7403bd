#!/bin/sh
# Lints: gofmt, go vet and staticcheck of the host build, go vet and staticcheck
# of the kernel build (tag metal), recursion in the kernel (test/lint/recursion),
# sh -n of the scripts.
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
"$GO" vet ./... || failed=1

# The kernel build, tag metal. Tests belong to the host build, and go vet cannot
# leave them out: it looks at the packages without tests, staticcheck at all.
# Assembly of the kernel has no Go frames to describe, and the machine layer makes
# pointers of addresses: vet's analyses of these are off there.
metal='env GOOS=linux GOARCH=amd64 CGO_ENABLED=0'
kernel=$($metal "$GO" list -tags metal ./abi/... ./kernel/... ./cmd/gosv-kernel)
untested=$($metal "$GO" list -tags metal -f '{{if not (or .TestGoFiles .XTestGoFiles)}}{{.ImportPath}}{{end}}' ./abi/... ./kernel/... ./cmd/gosv-kernel)
say "go vet, kernel build"
# shellcheck disable=SC2086
$metal "$GO" vet -tags metal -asmdecl=false -framepointer=false -unsafeptr=false $untested || failed=1

say "staticcheck"
"$GO" run $staticcheck ./... || failed=1
say "staticcheck, kernel build"
# It does not see what only assembly uses: U1000 is left to the host build.
# shellcheck disable=SC2086
CGO_ENABLED=0 "$GO" run $staticcheck -tags metal -tests=false -checks inherit,-U1000 $kernel || failed=1

say "recursion in the kernel"
(cd test/lint/recursion && "$GO" vet . && "$GO" test . && "$GO" run . -C ../../..) || failed=1

for script in test/*.sh examples/*.sh .ci/run; do
	[ -f "$script" ] || continue
	sh -n "$script" || failed=1
done

[ "$failed" = 0 ] && say "nothing found"
exit $failed
