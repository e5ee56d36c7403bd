"""Runs tests of CPython's package test, and says what happens as Go's test programs do.

usage: run.py MODULE --list | --run=TEST,TEST...
"""
import faulthandler
import os
import re
import signal
import sys
import time
import traceback
import unittest

def say(text):
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(out, ("\x16" + text + "\n").encode("utf-8", "backslashreplace"))


def name(test):
    """test.test_os.FileTests.test_dup is FileTests.test_dup."""
    n = test.id()
    prefix = "test." + module + "."
    return n[len(prefix):] if n.startswith(prefix) else n


class Result(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        self.bad = self.why = None
        self.at = time.monotonic()
        say("=== RUN   " + name(test))

    def addError(self, test, err):
        self.bad = True  # of setUpClass and setUpModule: no test begins, and each is run again alone
        traceback.print_exception(*err)

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err:
            print(subtest)
            self.addError(test, err)

    def addSkip(self, test, reason):
        if not hasattr(test, "_testMethodName"):
            # A whole class: its tests are not begun.
            cls = re.search(r"\((.*)\)", str(test))
            for t in wanted:
                if cls and t.startswith(cls.group(1).removeprefix("test." + module + ".") + "."):
                    say("=== RUN   " + t)
                    print(reason)
                    say("--- SKIP: %s (0.00s)" % t)
            return
        self.why = reason
        if not hasattr(self, "at"):
            self.startTest(test)

    def addUnexpectedSuccess(self, test):
        self.bad = True
        print("unexpected success")

    def stopTest(self, test):
        super().stopTest(test)
        word = "PASS"
        if self.bad:
            word = "FAIL"
        elif self.why is not None:
            word = "SKIP"
            print(self.why)
        say("--- %s: %s (%.2fs)" % (word, name(test), time.monotonic() - self.at))


def flat(suite):
    for t in suite:
        if isinstance(t, unittest.TestSuite):
            yield from flat(t)
        else:
            yield t


def choose(suite):
    """Keeps the suite's structure: classes and modules have fixtures."""
    kept = suite.__class__()
    for t in suite:
        if isinstance(t, unittest.TestSuite):
            t = choose(t)
            if t.countTestCases():
                kept.addTest(t)
        elif name(t) in wanted:
            kept.addTest(t)
    return kept


# A test may start processes that import this file (multiprocessing, spawn).
if __name__ == "__main__":
    faulthandler.enable()
    faulthandler.register(signal.SIGQUIT)
    module, option = sys.argv[1:]
    sys.argv = [sys.argv[0]]

    out = os.dup(1)
    os.set_inheritable(out, False)

    from test import support

    support.verbose = False
    support.use_resources = ["subprocess", "walltime", "cpu"]  # no network beyond this machine
    if module == "test_socketserver":  # which stays on this machine
        support.use_resources.append("network")
    loader = unittest.defaultTestLoader
    full = "test." + module
    package = __import__(full, fromlist=["x"])
    if hasattr(package, "__path__"):  # test_asyncio is a package
        suite = loader.discover(package.__path__[0], top_level_dir=os.path.dirname(package.__path__[0].rsplit("/test/", 1)[0] + "/x"))
    else:
        suite = loader.loadTestsFromModule(package)

    if option == "--list":
        for t in flat(suite):
            if type(t).__name__ == "_FailedTest":
                raise SystemExit(str(getattr(t, "_exception", t)))
            print(name(t))
        os._exit(0)

    wanted = set(option.removeprefix("--run=").split(","))
    os.makedirs("/tmp/suites-python", exist_ok=True)
    os.chdir("/tmp/suites-python")
    result = Result()
    choose(suite).run(result)
    sys.stdout.flush()
    os._exit(0)
