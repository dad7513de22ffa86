# Everything that CI runs is a target here. `make demo` and `make test` need only Go.

GO ?= go
# The fuzz of `make check`: time for each target; how many at a time (empty: as many as there are
# CPUs); and which (empty: all), as in FUZZ='mux FuzzHello'.
FUZZTIME ?= 10s
FUZZJOBS ?=
FUZZ ?=
# The compiler of releases: the same commit and compiler make the same bytes.
RELEASE_GO = go1.26.8
# Flags for the packages: -version 1.2.0, -platforms linux/amd64, -formats deb,archive, -url URL
RELEASEFLAGS ?=
# Flags for the bench: --quick, --only throughput,latency, --json …
BENCHFLAGS ?=
# Flags for the load run: -n 200, --settle 1s …
LOADFLAGS ?=
PLATFORMS = linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

# The packages that prove rules of the protocol.
SUITES = ./sbrp/... ./config ./service

.PHONY: all build demo test test-fast race conformance check static fmt vet fix-check lint cross fuzz bench load man install release release-snapshot released test-release test-service vuln

all: build vet test-fast

build:
	$(GO) build ./...

demo: ## the main job: relay, daemon, client and a web page in one process, fetched through the tunnel
	$(GO) run ./cmd/culvert demo --once

test: ## all tests; at the end it names what was left out because this machine lacks a program
	@left=$$(mktemp); CULVERT_TEST_LEFT_OUT=$$left $(GO) test -timeout 15m ./...; code=$$?; \
	if [ -s "$$left" ]; then echo "left out:"; sort -u "$$left"; fi; rm -f "$$left"; exit $$code

test-fast: ## the tests that take seconds
	$(GO) test -short -timeout 5m ./...

race: ## the race detector over everything that shares memory
	$(GO) test -race -short -shuffle=on -timeout 15m ./...

conformance: ## the table of the protocol's rules, in our words, and of the cases that prove each
	@table=$$(mktemp); CULVERT_CONFORMANCE=$$table $(GO) test -count=1 -run '^TestConformance$$' $(SUITES) >"$$table.log" 2>&1; code=$$?; \
	LC_ALL=C sort -s -t"$$(printf '\t')" -k1,1 -k5,6 "$$table" | awk -F'\t' ' \
		$$2 != rule { rule = $$2; rules++; printf "\n%-5s %s (%s)\n", $$2, $$4, $$3 } \
		{ cases++; if ($$8 != "ok") bad++; printf "      %-9s %-7s %-6s  %s\n", $$5, $$6, $$8, $$7 } \
		END { printf "\n%d rules, %d cases, %d of them not ok\n", rules, cases, bad }'; \
	[ $$code = 0 ] || cat "$$table.log"; rm -f "$$table" "$$table.log"; exit $$code

check: static race fuzz ## every gate but `make test` and those of packages

static: fmt vet fix-check lint cross ## the gates that run nothing of ours

fmt:
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi

vet:
	$(GO) vet ./...

fix-check:
	@out=$$($(GO) fix -diff ./... 2>&1); if [ -n "$$out" ]; then echo "$$out"; echo "go fix would change the code: run 'go fix ./...'"; exit 1; fi

lint:
	$(GO) tool staticcheck ./...

# -trimpath shares what it compiles with the packages.
# What differs by platform in our code differs by the system: one architecture of each is vetted.
cross: ## culvert builds for every platform that it is made for
	@for p in $(PLATFORMS); do \
		echo "build $$p"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 $(GO) build -trimpath -o /dev/null ./cmd/culvert || exit 1; \
		case $$p in linux/*|*/arm64) continue;; esac; \
		GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 $(GO) vet -trimpath ./... || exit 1; \
	done

fuzz: ## each fuzz target for FUZZTIME, FUZZJOBS at a time, all or those that match FUZZ
	@GO="$(GO)" FUZZTIME="$(FUZZTIME)" FUZZJOBS="$(FUZZJOBS)" FUZZ="$(FUZZ)" .ci/fuzz.sh

bench: ## culvert beside a plain chain of proxies and what else is installed, then the micro-benchmarks
	$(GO) run ./cmd/bench $(BENCHFLAGS)
	$(GO) test -run '^$$' -bench . -benchmem ./...

load: ## what one relay carries, written into sbrp/relay/LOAD.md: 10,000 daemons and sessions, some minutes, Linux
	$(GO) run ./cmd/bench load --out sbrp/relay/LOAD.md $(LOADFLAGS)

man: ## the manual pages, in dist/man/man1
	$(GO) run ./cmd/culvert man dist/man/man1

install:
	$(GO) install ./cmd/culvert

release-snapshot: ## packages, archives, SBOMs, image, manifests and checksums of this commit, in dist; works offline
	$(GO) -C .packaging run . $(RELEASEFLAGS)

released: ## keeps what VERSION=v1.2.0 leaves behind on people's machines, for TestReleased: before it is tagged
	$(GO) test ./cmd/culvert -count=1 -run '^TestReleased$$' -release "$(VERSION)"

release: ## the same of a commit with a tag such as v1.2.0, by the Go that all releases of it are built with
	GOTOOLCHAIN=$(RELEASE_GO) $(GO) -C .packaging run . -release $(RELEASEFLAGS)

test-release: ## what is released: equal bytes of equal commits, contents, SBOM, image, manifests
	@left=$$(mktemp); cd .packaging && $(GO) vet . && $$($(GO) -C .. tool -n staticcheck) . && \
	CULVERT_TEST_LEFT_OUT=$$left $(GO) test -count=1 -timeout 15m .; code=$$?; \
	if [ -s "$$left" ]; then echo "left out:"; sort -u "$$left"; fi; rm -f "$$left"; exit $$code

vuln: ## known vulnerabilities in what culvert calls; names it where their database cannot be reached
	@.ci/vuln

test-service: ## the package on a real systemd in a container; names what it left out where there can be none
	.packaging/test-service.sh
