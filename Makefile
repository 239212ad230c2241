# make             format, vet, staticcheck, tests: before every commit
# make race fuzz   the slower half; .ci/run does it all

FUZZTIME ?= 20000x
SOAK_ROUNDS ?= 300
# What only comparisons with other software need is no requirement of the plugin.
MODULES := . test/clients bench/peers
GOFMT    := $(shell go env GOROOT)/bin/gofmt

.PHONY: all check test race race-inside fuzz soak bench bench-peers build test-build

all: check test

check:
	@bad="$$($(GOFMT) -l .)"; [ -z "$$bad" ] || { echo "not in gofmt's form:" $$bad; exit 1; }
	for module in $(MODULES); do go -C $$module vet -tags build ./... || exit 1; done
	for module in $(MODULES); do (staticcheck=$$(go tool -n staticcheck) && cd $$module && $$staticcheck -tags build ./...) || exit 1; done

test:
	for module in $(MODULES); do go -C $$module test ./... || exit 1; done

# Go's race detector needs a C compiler. The end-to-end tests come by themselves: they start
# servers, and what else runs meanwhile only makes them wait.
race: race-inside
	CGO_ENABLED=1 go test -race -timeout=15m ./test

race-inside:
	CGO_ENABLED=1 go test -race $$(go list ./... | grep -v '/test$$')
	CGO_ENABLED=1 go -C test/clients test -race ./...
	CGO_ENABLED=1 go -C bench/peers test -race ./...

# Every fuzz target there is, one after the other: Go fuzzes only one at a time. The budget is
# a count, since a span of time now and then ends in "context deadline exceeded" (golang/go#75804).
# A target whose seeds are gone would pass and find little, so each must run at least one first.
fuzz:
	@grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u | while read -r package; do \
		seeds=$$(go test -v -run='^Fuzz' "$$package") || { printf '%s\n' "$$seeds"; exit 1; }; \
		for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' "$$package"/*_test.go | cut -d ' ' -f 2); do \
			printf '%s\n' "$$seeds" | grep -q "^=== RUN  *$$target/" || { echo "$$target in $$package has no seeds"; exit 1; }; \
			echo "fuzz $$target in $$package $(FUZZTIME)"; \
			go test -run='^$$' -fuzz="^$$target$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=100x "$$package" || exit 1; \
		done || exit 1; \
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
	go -C bench/peers run . $(PEERS)

build:
	go build -o coredns ./cmd/coredns

# Compiles all of CoreDNS: minutes the first time. Its sources are no input
# that Go's test cache knows of.
test-build:
	go test -tags build -count=1 -timeout=20m ./test/build
