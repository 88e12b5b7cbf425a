#!/bin/sh
# setup.sh [SET...]: installs what these sets need and the machine lacks: "demo" for
# `make demo`, "tests" for the other boots and tests, "aarch64" for `make test-aarch64`,
# "matrix" for `make test-matrix`, "packages" for `make test-packages`. The default is
# the first two.
#
# It prints what it will do first, and does nothing if nothing is missing. It needs
# Debian 12 or later, and root or a user who may use sudo.
set -eu

sets=${*:-demo tests}
# One "program package set" a line.
missing=$(
	while read -r program package set; do
		case " $sets " in
		*" $set "*) ;;
		*) continue ;;
		esac
		command -v "$program" >/dev/null 2>&1 ||
			[ -x "/usr/sbin/$program" ] || [ -f "$program" ] || echo "$package"
	done <<-END
		cc gcc demo
		/usr/include/stdio.h libc6-dev demo
		genisoimage genisoimage demo
		debugfs e2fsprogs demo
		mmdebstrap mmdebstrap demo
		mount mount demo
		qemu-system-x86_64 qemu-system-x86 demo
		ssh openssh-client demo
		dhcpd isc-dhcp-server tests
		dnsmasq dnsmasq-base tests
		ifconfig net-tools tests
		ip iproute2 tests
		lvm lvm2 tests
		mandoc mandoc tests
		mkfs.btrfs btrfs-progs tests
		mkfs.erofs erofs-utils tests
		mkfs.xfs xfsprogs tests
		mksquashfs squashfs-tools tests
		/usr/share/ovmf/OVMF.fd ovmf tests
		ping iputils-ping tests
		prlimit util-linux tests
		qemu-storage-daemon qemu-utils tests
		shellcheck shellcheck tests
		strace strace tests
		systemd-analyze systemd tests
		valgrind valgrind tests
		xorriso xorriso tests
		aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu aarch64
		qemu-aarch64-static qemu-user-static matrix
		qemu-system-aarch64 qemu-system-arm matrix
		cpio cpio packages
		lintian lintian packages
		rpmbuild rpm packages
		rpmlint rpmlint packages
		zstd zstd packages
	END
)
if [ -z "$missing" ]; then
	exit 0
fi
missing=$(echo "$missing" | sort -u | tr '\n' ' ')

if ! command -v apt-get >/dev/null; then
	echo "setup: there is no apt-get. Please install, by Debian's names: $missing" >&2
	exit 1
fi
sudo=
if [ "$(id -u)" -ne 0 ]; then
	sudo=sudo
fi

# apt-get never asks, and installs no recommended packages.
apt() {
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 \
		"$@" </dev/null
}
install() {
	# shellcheck disable=SC2086 # $missing is a list
	apt "$@" install -y --no-remove --no-install-recommends $missing
}

echo "setup: installing ${missing% } with ${sudo:+sudo }apt-get (about a minute)"
apt update
if install; then
	exit 0
fi

# A machine may have part of QEMU from backports without that suite among its sources.
# Then the rest cannot come from the release, so add the suite from the machine's own
# mirror for this one installation.
sources=$(mktemp)
trap 'rm -f "$sources"' EXIT
chmod 644 "$sources" # for apt's own user
cat /etc/apt/sources.list >"$sources" 2>/dev/null || true
# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
site=$(apt-get indextargets --format "\$(SITE)" \
	"Codename: $suite" 'Created-By: Packages' | head -n 1)
echo "deb $site $suite-backports main" >>"$sources"

echo "setup: that failed; once more, with $suite-backports"
apt -o Dir::Etc::SourceList="$sources" update
install -o Dir::Etc::SourceList="$sources" -t "$suite-backports"
