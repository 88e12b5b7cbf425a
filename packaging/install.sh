#!/bin/sh
# install.sh: installs onecontext below DESTDIR (default: this machine), in /usr:
# the generators of an initramfs look there alone.
#
# The one list of what is installed: `make install`, the packages and whoever has
# unpacked the tarball run it. There the programs and the folders are beside this
# script; BINARIES and SOURCE name other folders.
set -eu
umask 022
source=${SOURCE:-$(dirname "$0")}
binaries=${BINARIES:-$source}
to=${DESTDIR:-}/usr

if ! [ -x "$binaries/onecontext-initramfs" ]; then
	echo "install: there is no $binaries/onecontext-initramfs: run make first" >&2
	exit 1
fi

# tree FROM TO: each file below FROM. Scripts are those that are in the source.
tree() {
	files=$(cd "$source/$1" && find . -type f)
	for file in $files; do
		mode=644
		if [ -x "$source/$1/$file" ]; then
			mode=755
		fi
		install -D -m "$mode" "$source/$1/$file" "$to/$2/${file#./}"
	done
}

# The program of the initramfs, and the one that people call.
install -D -m 755 "$binaries/onecontext-initramfs" "$to/lib/onecontext/onecontext"
install -D -m 755 -t "$to/bin" "$binaries/onecontext"
install -D -m 644 -t "$to/share/man/man8" "$source"/man/*.8
tree dracut lib/dracut/modules.d
tree initramfs-tools share/initramfs-tools
