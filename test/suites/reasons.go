package main

import "path"

// reason says why tests pass on the host and not in the guest.
type reason struct {
	suite string // patterns of path.Match
	test  string
	why   string
}

// reasons are all that are known. A test that fails without a reason is a new failure.
var reasons = []reason{
	{"syscall", "TestAmbientCapsUserns", noNamespaces},
	{"syscall", "TestClone*Namespace", noNamespaces},
	{"syscall", "TestEmptyCredGroupsDisableSetgroups", noNamespaces},
	{"syscall", "TestGroupCleanupUserNamespace", noNamespaces},
	{"syscall", "TestPidFDWithUserNS", noNamespaces},
	{"syscall", "TestUnshare*", noNamespaces},
	{"net*", "TestMultiPathTCP", "there is no multipath TCP"},
	{"time", "TestLongAdjustTimers", "not done within the minute that it gives itself, emulated on a host with other work: 25 s where there is less"},
	{"python test_socket", "*UDPLITE*", "there is no UDP-Lite"},
	{"python test_socket", "BasicVSOCKTest.*", "there is no VSOCK"},
}

const noNamespaces = "there are no namespaces"

func reasonFor(suite, test string) string {
	for _, r := range reasons {
		s, _ := path.Match(r.suite, suite)
		t, _ := path.Match(r.test, test)
		if (s || r.suite == suite) && t {
			return r.why
		}
	}
	return ""
}
