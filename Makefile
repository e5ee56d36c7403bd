# gosv: `make` shows what there is.

GO      ?= go
BIN     := bin
KERNEL  := $(BIN)/gosv-kernel.elf
MINIMAL := $(BIN)/gosv-kernel-minimal.elf
GOSV    := $(BIN)/gosv
# -race needs cgo: on a machine without a C compiler the unit tests run without it.
RACE    := $(shell command -v gcc >/dev/null 2>&1 && echo -race)
TOOLENV := CGO_ENABLED=0

.DEFAULT_GOAL := help
.PHONY: help build kernel demo test unit guest net apps soak suites lint bench docs clean setup fuzz

help: ## show the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

build: kernel ## build bin/gosv, with the kernel in it
	$(TOOLENV) $(GO) build -trimpath -ldflags "-s -w" -o $(GOSV) ./cmd/gosv

kernel: ## build the kernels, bin/gosv-kernel.elf and -minimal.elf
	@mkdir -p $(BIN)
	$(TOOLENV) $(GO) run ./host/mkkernel -o $(KERNEL)
	$(TOOLENV) $(GO) run ./host/mkkernel -profile minimal -o $(MINIMAL)
	$(TOOLENV) $(GO) run ./host/kernel/embed $(KERNEL) $(MINIMAL)

demo: ## install what is missing, build, and boot three programs
	@GO="$(GO)" sh examples/demo.sh

setup: ## install what the tests need (QEMU, compilers, Debian programs)
	@sh test/setup.sh

test: setup build unit guest ## all tests: unit tests with -race, then programs in the guest

unit: ## unit tests on this machine
	$(GO) test $(RACE) ./abi/... ./kernel/... ./host/... ./cmd/... ./bench/...

guest: build ## programs in the guest: conformance, boots, Debian's programs and servers
	$(GO) test -count=1 -timeout 80m ./test/...

net: build ## only the servers in the guest, with real clients and on a bad wire (minutes)
	@sh test/setup.sh $(if $(GOSV_TEST_FULL),full)
	$(GO) test -count=1 -timeout 90m -v ./test/net

soak: build ## redis under mixed load for 20 minutes, and what the kernel holds meanwhile
	@sh test/setup.sh
	GOSV_TEST_SOAK=20m $(GO) test -count=1 -timeout 60m -v -run TestSoak ./test/net

apps: build ## everything of the guest tests, with full loads (long), into docs/compatibility.md
	@sh test/setup.sh full
	@status=0; set -x; GOSV_TEST_FULL=1 $(GO) test -count=1 -timeout 120m -v ./test/apps ./test/net || status=$$?; \
	$(GO) run ./test/suites -run - -o docs/compatibility.md || status=$$?; exit $$status

suites: build ## the tests of Go and Python themselves, into docs/compatibility.md (an hour)
	@sh test/setup.sh
	$(GO) run ./test/suites -o docs/compatibility.md

lint: ## gofmt, go vet, staticcheck
	@sh test/lint.sh
	@$(TOOLENV) $(GO) run ./host/mkkernel -lint

bench: build ## measure gosv and Debian's cloud kernel side by side, into docs/benchmarks.md
	@sh test/setup.sh
	$(GO) run ./bench -o docs/benchmarks.md

docs: ## write the generated documents
	$(GO) run ./host/syscalldoc

fuzz: build ## run every fuzz target for a minute, random system calls and exhaustion for an hour each
	@sh test/fuzz.sh

clean: ## remove what was built
	rm -rf $(BIN) build
