# onecontext: build, install, try and test. `make help` lists the targets.

DESTDIR =

CARGO = cargo
BINARIES = target/release
# A cargo that builds for this machine.
NATIVE_CARGO := $(CARGO)

# `make AARCH64=1`, `make AARCH64=1 install`, `make AARCH64=1 packages`: the same for
# aarch64, on this machine.
ifdef AARCH64
CARGO = tests/support/cargo-aarch64
TARGET = aarch64-unknown-linux-gnu
BINARIES = target/$(TARGET)/release
endif

all: rust-version ## build the release binaries (default)
	$(CARGO) build --release

# First of all, before anything is installed.
rust-version:
	@CARGO="$(NATIVE_CARGO)" packaging/rust-version

# No prerequisite: root installs what its user has built.
install: ## install below DESTDIR
	@SOURCE=. BINARIES=$(BINARIES) DESTDIR="$(DESTDIR)" packaging/install.sh

make_packages = TARGET="$(TARGET)" packaging/build

packages: all ## target/packages: .deb and .rpm
	@$(make_packages) deb rpm

dist: all ## target/packages: a tarball with install.sh
	@$(make_packages) tar

setup: rust-version ## install what the demo and the tests need
	@tests/run/setup.sh

demo: rust-version ## boot an image with a context, log in, show the proof
	@tests/run/setup.sh demo
	@CARGO="$(NATIVE_CARGO)" tests/run/demo

# Boots have targets of their own, so that they run with --keep-going after a failure of
# the others.
test: test-fast test-first ## lint, tests, the main boots: at most 12 minutes

test-fast: lint test-programs ## the same without boots

# A test that needs root is #[ignore]d, in the library and in these programs. So are
# boots, and what the targets below run, which has one of the names in `later`.
as_root = check contexts faults logins namespace release
later = ::all:: powercut:: hang:: suites:: packages:: bench:: scale::cost
no_vlans = $(if $(shell modprobe -n 8021q 2>/dev/null || echo no),a_vlan_device_that_was_made)

test-programs: setup all
	status=0; \
	$(CARGO) test --no-fail-fast --lib -- --include-ignored || status=1; \
	$(CARGO) test --no-fail-fast --test '*' || status=1; \
	$(CARGO) test --no-fail-fast $(addprefix --test ,$(as_root)) -- --ignored \
		$(addprefix --skip ,$(later) $(no_vlans)) || status=1; \
	exit $$status

# `make test-boots` runs each boot that tests/run/tiers does not name.
tier = $(shell sed -n 's/^$(1) //p' tests/run/tiers)
others = $(addprefix --skip ,$(shell sed -n 's/^[a-z0-9]* //p' tests/run/tiers))

test-first: setup all
	@CARGO="$(CARGO)" tests/run/boots first $(call tier,first)

test-boots: test-packages test-second test-others ## every other boot, hangs, faults, power cuts

# Tests without boots; one sleeps for a minute, one waits for its disks.
test-others: setup all
	@$(MAKE) --jobs=2 --output-sync=target \
		test-hang test-cost test-logins test-aarch64 faults powercut

test-second: setup all
	@CARGO="$(CARGO)" tests/run/boots others $(others)

test-packages: setup all ## the packages: contents, lintian, rpmlint, same bytes twice
	@tests/run/setup.sh aarch64 packages
	$(CARGO) test --test release packages:: -- --include-ignored

test-hang: setup all ## file systems that never answer
	$(CARGO) test --test namespace hang:: -- --ignored

test-cost: setup all ## cost grows linearly with each input, by callgrind
	$(CARGO) test --test release scale::cost -- --ignored --nocapture

test-logins: setup all ## log in at the sshd of Debian 12, 13 and sid, as check says
	$(CARGO) test --test logins suites:: -- --ignored

test-aarch64: setup ## build it for aarch64, and look at what that has given
	@tests/run/setup.sh aarch64
	@CARGO="$(CARGO)" tests/run/aarch64

faults: setup all ## let each system call fail, with seven errors; kill at each that changes something
	$(CARGO) test --test faults ::all:: -- --ignored --nocapture

powercut: setup all ## cut the power while it writes, on ext4, xfs and btrfs
	$(CARGO) test --test faults powercut:: -- --ignored --nocapture

# Takes hours: the emulated tests of aarch64, and every boot of every tier, or only those
# boots whose names contain one of BOOTS. For half of several TIMES the processors are
# kept busy.
# make test-matrix BOOTS="squashfs pairs::row_07" TIMES=10
BOOTS =
TIMES = 1

test-matrix: setup all ## each boot, with a tally; BOOTS=, TIMES=
	@tests/run/setup.sh aarch64 matrix
	$(if $(BOOTS),,@CARGO="$(CARGO)" tests/run/aarch64 run)
	@CARGO="$(CARGO)" tests/run/matrix $(TIMES) $(BOOTS)

# Boots of each kind, of which the fastest counts; 0: no boots.
BENCH_BOOTS = 3

bench: setup all ## what it costs beside others; a table and a chart in docs
	@rm -f target/bench/figures
	@$(CARGO) test -q --test release scale::cost -- --nocapture --ignored
	@BENCH=1 $(CARGO) test -q --test namespace -- --nocapture --include-ignored ends_the_same
	@mkdir -p target/bench
	@for generator in initramfs-tools dracut; do \
		tests/images/growth $$generator | while read -r kind before after; do \
			printf '%s\t%s\t%s\n' \
				$$generator "$$kind before" "$$before" \
				$$generator "$$kind after" "$$after"; \
		done >>target/bench/figures; \
	done
	@test "$(BENCH_BOOTS)" = 0 || \
		BENCH=1 BENCH_BOOTS=$(BENCH_BOOTS) $(CARGO) test -q \
			--test machines -- --nocapture --ignored cost::
	@$(CARGO) test -q --test release bench:: -- --nocapture --ignored

# Every shell script in git, or in a source tree without it. Those in tests/contexts/fixtures
# belong to contexts.
lint: setup ## format, clippy, shape, shell scripts, units, man page
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) test -q --test shape -- --nocapture
	{ git ls-files 2>/dev/null || find . -path ./target -prune -o -type f -print; } | \
		grep -v tests/contexts/fixtures/ | \
		xargs grep -lIs '^#!/bin/\|^# shellcheck shell=' | xargs shellcheck -x
	tests/run/units dracut/*/*.service src/*/*.service src/*/*.conf
	mandoc -T lint -W warning man/onecontext.8

# Seconds for each target; for a longer run:
# make fuzz FUZZ_SECONDS=1200
FUZZ_SECONDS = 60

fuzz: ## fuzz each reader for FUZZ_SECONDS (needs nightly and cargo-fuzz)
	cd tests/fuzz; for target in assignments plan iso9660 netlink dhcp; do \
		mkdir -p corpus/$$target; \
		$(CARGO) +nightly fuzz run --fuzz-dir . $$target \
			corpus/$$target inputs/$$target \
			-- -max_total_time=$(FUZZ_SECONDS) -timeout=20 \
			-rss_limit_mb=512 || exit 1; \
	done

clean: ## remove what was built
	$(CARGO) clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

.PHONY: all rust-version install packages dist setup demo test test-fast \
	test-programs test-first test-boots test-packages test-second test-others \
	test-hang test-cost test-logins test-aarch64 faults powercut test-matrix bench lint fuzz \
	clean help
