#!/bin/sh
# Runs every fuzz target of the module for a while, one after another. The time
# for each is FUZZTIME, a minute if that is not set.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}
failed=0
for file in $(grep -rl --include='*_test.go' '^func Fuzz' abi cmd host kernel test); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "fuzz: ./$(dirname "$file") $target"
		$GO test -run '^$' -fuzz "^$target\$" -fuzzminimizetime 100x -fuzztime "${FUZZTIME:-1m}" "./$(dirname "$file")" || failed=1
	done
done
# The system calls in the guest, and objects made without end, for an hour each on one CPU and on two.
GOSV_TEST_CALLS=${CALLSTIME:-1h} GOSV_TEST_EXHAUST=${CALLSTIME:-1h} "$GO" test -count=1 -timeout 6h -v -run 'TestCalls|TestLong' ./test/exhaust || failed=1
exit $failed
