#!/bin/sh
# setup.sh [SET...]: installs what the tests and the demo need and the machine lacks.
# Sets add more: "aarch64" for `make test-aarch64`, "matrix" for `make test-matrix`,
# "packages" for `make test-packages`.
#
# It prints what it will do first, and does nothing if nothing is missing. It needs
# Debian 12 or later, and root or a user who may use sudo.
set -eu

# One "program package" a line; a third word is its set.
missing=$(
	while read -r program package set; do
		case " all $* " in
		*" ${set:-all} "*) ;;
		*) continue ;;
		esac
		command -v "$program" >/dev/null 2>&1 ||
			[ -x "/usr/sbin/$program" ] || [ -f "$program" ] || echo "$package"
	done <<-END
		cc gcc
		ifconfig net-tools
		ip iproute2
		ssh openssh-client
		debugfs e2fsprogs
		dhcpd isc-dhcp-server
		dnsmasq dnsmasq-base
		genisoimage genisoimage
		lvm lvm2
		mandoc mandoc
		mkfs.btrfs btrfs-progs
		mkfs.erofs erofs-utils
		mkfs.xfs xfsprogs
		mksquashfs squashfs-tools
		mmdebstrap mmdebstrap
		ping iputils-ping
		qemu-storage-daemon qemu-utils
		qemu-system-x86_64 qemu-system-x86
		shellcheck shellcheck
		strace strace
		systemd-analyze systemd
		prlimit util-linux
		valgrind valgrind
		xorriso xorriso
		aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu aarch64
		/usr/share/ovmf/OVMF.fd ovmf matrix
		qemu-aarch64-static qemu-user-static matrix
		qemu-system-aarch64 qemu-system-arm matrix
		cpio cpio packages
		lintian lintian packages
		rpm rpm packages
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

echo "setup: installing ${missing% } with ${sudo:+sudo }apt-get"
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
