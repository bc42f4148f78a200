# Fanlight: the verbs. `make run` and `make test` are all a newcomer needs; both install and build what is missing.

.PHONY: run test lint web unit browser e2e rules rules-results bench bench-limits bench-peers loadtest target fuzz package clean help

CARGO ?= cargo
BIN := target/release/fanlight
WEB_SOURCES := $(shell find web -type f -not -path '*/node_modules/*' -not -path 'web/dist/*' 2>/dev/null)
RUST_SOURCES := $(shell find wire engine control relay -name '*.rs' -o -name Cargo.toml 2>/dev/null) Cargo.toml Cargo.lock

# What the runner prints, and besides a report for `rules`.
REPORT := --test-reporter=spec --test-reporter-destination=stdout --test-reporter=junit --test-reporter-destination

BENCH := target/release/fanlight-bench
BENCH_SOURCES := $(shell find wire loadtest bench -name '*.rs' -o -name Cargo.toml 2>/dev/null) Cargo.toml Cargo.lock

## run: start the relay with its demo on the embedded defaults and print the URLs
run: $(BIN)
	$(BIN) run

## test: install what tests need and run every suite
test: lint rules unit browser e2e
	@echo "all suites passed"

## lint: formatting and clippy
lint: web/node_modules/.built
	scripts/need cargo cc
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings

## web: build the browser clients into web/dist
web: web/node_modules/.built

web/node_modules/.installed: web/package.json web/package-lock.json
	scripts/need node npm
	cd web && npm ci --no-audit --no-fund
	@touch $@

web/node_modules/.built: web/node_modules/.installed $(WEB_SOURCES)
	cd web && npm run --silent build
	@touch $@

$(BIN): web/node_modules/.built $(RUST_SOURCES)
	scripts/need cargo cc
	$(CARGO) build --release -p fanlight
	@touch $@

## unit: unit, property, vector, simulation and tidy tests in Rust, protocol and scrubber tests in TypeScript
unit: web/node_modules/.built
	scripts/need nextest
	$(CARGO) nextest run --workspace
	@mkdir -p target/reports
	cd web && npm run --silent check && npm test

## browser: real Chromium against the release binary
browser: $(BIN)
	scripts/need chromium python3 openssl
	@mkdir -p target/reports
	node --test --test-concurrency=1 $(REPORT)=target/reports/browser.xml tests/browser/

## e2e: the release binary over real sockets: both backends, both carriers, hostile input, foreign WebRTC stacks
e2e: $(BIN)
	scripts/need nextest
	FANLIGHT_BIN=$(abspath $(BIN)) $(CARGO) nextest run --profile e2e -p fanlight-tests --features e2e --test e2e

## rules: the table of rules and their tests is what the sources say, and every rule that is built has a test
rules:
	node scripts/rules.mjs --check

## rules-results: besides, each of these tests passed in the last `make test`, by the reports it left
rules-results:
	node scripts/rules.mjs --results

## bench: micro benches, then the relay beside the floor; fails when a ratio is a tenth above bench/baseline.json
bench: $(BIN) $(BENCH)
	$(CARGO) bench -p fanlight-bench --bench micro -- --quick --noplot
	$(BENCH) fanout

## bench-limits: most packets per second, latency at half a core, many sessions, memory, a storm of joins
bench-limits: $(BIN) $(BENCH)
	$(BENCH) limits

## bench-peers: the relay beside Janus VideoRoom, in one run
bench-peers: $(BIN) $(BENCH)
	$(BENCH) peers

$(BENCH): $(BENCH_SOURCES)
	scripts/need cargo cc
	$(CARGO) build --release -p fanlight-bench --bin fanlight-bench
	@touch $@

## loadtest: a relay of its own on one core, a thousand subscribers on another
loadtest: $(BIN)
	scripts/need cargo cc
	$(CARGO) build --release -p fanlight-loadtest
	scripts/loadtest --subscribers 1000 --joins 200 --seconds 20 --max-loss 0.1%

## target: a release relay with one open session for load generators by WHIP and WHEP; CPU=0 keeps it on a core
target:
	@$(MAKE) --no-print-directory $(BIN) >&2
	@exec env BIN="$(abspath $(BIN))" CPU="$(CPU)" scripts/target

## fuzz: mutate every decoder's corpus for SECONDS (default 60) each, with progress
fuzz:
	FUZZ_SECONDS=$(or $(SECONDS),60) $(CARGO) test --release -p fanlight-tests --test fuzz -- --nocapture

## package: the container image (needs a container engine)
package:
	docker build -t fanlight:dev .

clean:
	$(CARGO) clean
	rm -rf web/dist web/node_modules

help:
	@grep -E '^## ' Makefile | sed 's/^## //'
