# make             format, vet, staticcheck, tests: before every commit
# make race fuzz   the slower half; .ci/run does it all

FUZZTIME ?= 20000x
SOAK_ROUNDS ?= 300
GOFMT    := $(shell go env GOROOT)/bin/gofmt

.PHONY: all check test race fuzz soak bench bench-peers build test-build

all: check test

check:
	@bad="$$($(GOFMT) -l .)"; [ -z "$$bad" ] || { echo "not in gofmt's form:" $$bad; exit 1; }
	go vet ./...
	go vet -tags build ./test/build
	go tool staticcheck ./...
	go tool staticcheck -tags build ./test/build

test:
	go test ./...

# Go's race detector needs a C compiler. The end-to-end tests come by themselves: they start
# servers, and what else runs meanwhile only makes them wait.
race:
	CGO_ENABLED=1 go test -race $$(go list ./... | grep -v '/test$$')
	CGO_ENABLED=1 go test -race -timeout=15m ./test

# Every fuzz target there is, one after the other: Go fuzzes only one at a time. The budget is
# a count, since a span of time now and then ends in "context deadline exceeded" (golang/go#75804).
fuzz:
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | while IFS=: read -r file func; do \
		echo "fuzz $${func#func } in $${file%/*} $(FUZZTIME)"; \
		go test -run='^$$' -fuzz="^$${func#func }$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=100x "$${file%/*}" || exit 1; \
	done

# The real binary killed, stopped, reloaded and restored again and again: about ten minutes,
# most of them in TestAcknowledgedSurvivesKill.
soak:
	SOAK_ROUNDS=$(SOAK_ROUNDS) go test -count=1 -timeout=2h -v -run='Kill|Restart|NotReady|Pause|Starved|Silent|Silence|Reload|Storm|SIGTERM|Disk' ./test

bench:
	go test -run='^$$' -bench=. -benchmem ./...

# Side by side with other servers, on a machine that has nothing else to do; the tables go to
# bench/RESULTS.md. PEERS are flags and modes: make bench-peers PEERS='-rounds 9 peers'.
# nsd and knotd are measured too where they are installed.
bench-peers:
	@command -v dnsperf >/dev/null && command -v taskset >/dev/null || { \
		[ "$$(id -u)" = 0 ] || { echo "as root: apt-get install dnsperf util-linux"; exit 1; }; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends dnsperf util-linux >/dev/null; }
	go run ./bench/peers $(PEERS)

build:
	go build -o coredns ./cmd/coredns

# Compiles all of CoreDNS: minutes the first time. Its sources are no input
# that Go's test cache knows of.
test-build:
	go test -tags build -count=1 -timeout=20m ./test/build
