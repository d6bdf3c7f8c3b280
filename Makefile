# The commands of a developer and of a newcomer. `make demo` and `make test` need a Rust toolchain, and Java 17 with Maven for Apache Kafka; `make test` also Python with pip, for an object store.

# Outside the checkout: RocksDB and librdkafka take 20 minutes to build, once for all clones.
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/motif/target
# One profile for everything, for the same reason.
CARGO := cargo
MOTIF := $(CARGO_TARGET_DIR)/release/motif

.PHONY: help demo demo-kafka test torture bench profile lint fmt build fuzz install-missing

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 18

demo: build ## Run real rules on real logs and sample payments, with local state and a subscriber
	tests/demo/run $(MOTIF)

demo-kafka: build ## The same rules through a real Apache Kafka, fetched and started for it
	tests/demo/kafka $(MOTIF)

test: build ## Run all tests, those on a real Apache Kafka included
	$(CARGO) test --release
	$(MOTIF) fmt --check patterns
	$(MOTIF) test patterns

fuzz: build ## Search for differences between the engine and its brute-force reading, for long
	MOTIF_TEST_CASES=$(or $(CASES),200000) $(CARGO) test --release --test all -- --nocapture oracle laws parser printer

torture: build ## Kill, freeze and end processes on Kafka for minutes, then simulate failures at every step for SEEDS seeds: each match must come out once
	$(CARGO) test --release --test all -- --ignored --nocapture --test-threads 1 torture
	MOTIF_SIMULATION_SEEDS=$(or $(SEEDS),100000) $(CARGO) test --release --lib -- --nocapture simulation

bench: install-missing ## Measure, and print one table. Less: ONLY=engine (a section, or a part of rows' names), RUNS=1, PEERS=no, PART=10 (a tenth)
	MOTIF_BENCH_ONLY="$(ONLY)" MOTIF_BENCH_RUNS="$(RUNS)" MOTIF_BENCH_PEERS="$(PEERS)" MOTIF_BENCH_PART="$(PART)" $(CARGO) bench --profile release

profile: install-missing ## Count anew what runs most, for the compiler to lay the code out by; after large changes of what is in the way of each event
	profile/collect

lint: install-missing ## What CI asks of the code
	$(CARGO) fmt --check
	$(CARGO) clippy --release --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --no-deps --document-private-items --quiet

fmt: ## Format code and patterns
	$(CARGO) fmt
	$(MOTIF) fmt patterns

build: install-missing ## Build the program
	$(CARGO) build --release

# What RocksDB and librdkafka are built with, from Debian's packages.
install-missing:
	@tests/demo/install-missing
