# onecontext: build, install, try and test. `make help` lists the targets.

PREFIX = /usr
DESTDIR =

CARGO = cargo
BINARY = target/release/onecontext
SHELL_SCRIPTS = dracut/50onecontext/*.sh \
	initramfs-tools/hooks/* initramfs-tools/scripts/*/* \
	tests/setup.sh tests/images/build tests/images/bake \
	tests/images/customize tests/images/manager tests/images/pack .ci/run

all: ## build the release binary (default)
	$(CARGO) build --release

# No prerequisite: root installs what its user has built.
install: ## install below DESTDIR, with PREFIX (/usr)
	@test -x $(BINARY) || { echo "run make first" >&2; exit 1; }
	install -D -m 755 $(BINARY) \
		$(DESTDIR)$(PREFIX)/lib/onecontext/onecontext
	install -d $(DESTDIR)$(PREFIX)/bin
	ln -sf ../lib/onecontext/onecontext $(DESTDIR)$(PREFIX)/bin/onecontext
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/lib/dracut/modules.d/50onecontext \
		dracut/50onecontext/module-setup.sh dracut/50onecontext/onecontext.sh
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/dracut/modules.d/50onecontext \
		dracut/50onecontext/onecontext.service
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/share/initramfs-tools/hooks \
		initramfs-tools/hooks/onecontext
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/share/initramfs-tools/scripts/init-bottom \
		initramfs-tools/scripts/init-bottom/onecontext

setup: ## install what the demo and the tests need
	@tests/setup.sh

demo: setup all ## boot an image with a context, log in, show the proof
	@CI=true $(CARGO) test -q --release --test boot -- --exact demo --nocapture

test: test-fast ## everything
	CI=true $(CARGO) test --release --no-fail-fast --test boot --test handover \
		-- --test-threads=2

test-fast: setup all lint ## all but the boots
	CI=true $(CARGO) test --release --lib
	CI=true $(CARGO) test --release --no-fail-fast $(FAST_TESTS:%=--test %)

# Every integration test but those that boot machines.
FAST_TESTS = $(filter-out boot handover,$(patsubst tests/%.rs,%, \
	$(patsubst %/main.rs,%.rs,$(wildcard tests/*.rs tests/*/main.rs))))

bench: setup all ## what it costs: instructions, CPU time, time to the login
	@$(CARGO) test -q --release --test scale -- --nocapture cost
	@$(CARGO) test -q --release --test namespace -- --nocapture recipe
	@CI=true $(CARGO) test -q --release --test handover -- --nocapture --ignored cost

lint: setup ## format, clippy, shellcheck
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	shellcheck $(SHELL_SCRIPTS)

# Seconds for each target; more by hand: make fuzz FUZZ_SECONDS=1200
FUZZ_SECONDS = 60

fuzz: ## fuzz each reader for FUZZ_SECONDS (needs nightly and cargo-fuzz)
	cd tests/fuzz; for target in assignments plan iso9660 netlink; do \
		mkdir -p corpus/$$target; \
		$(CARGO) +nightly fuzz run --fuzz-dir . $$target \
			corpus/$$target inputs/$$target \
			-- -max_total_time=$(FUZZ_SECONDS) -timeout=20 || exit 1; \
	done

clean: ## remove what was built
	$(CARGO) clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

.PHONY: all install setup demo test test-fast bench lint fuzz clean help
