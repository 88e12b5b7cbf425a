#!/bin/sh
# install.sh: installs onecontext below DESTDIR (default: this machine), in /usr,
# the only place where the generators of an initramfs look.
#
# This is the only list of installed files: `make install`, the packages and users
# of the tarball run it. In the tarball the programs and the directories are beside
# this script; BINARIES and SOURCE name other directories.
set -eu
umask 022
source=${SOURCE:-$(dirname "$0")}
binaries=${BINARIES:-$source}
to=${DESTDIR:-}/usr

if ! [ -x "$binaries/onecontext-initramfs" ]; then
	echo "install: there is no $binaries/onecontext-initramfs: run make first" >&2
	exit 1
fi

# tree FROM TO: installs each file below FROM. A script is what is executable in the
# source.
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

# The program of the initramfs, and the one for the command line.
install -D -m 755 "$binaries/onecontext-initramfs" "$to/lib/onecontext/onecontext"
install -D -m 755 -t "$to/bin" "$binaries/onecontext"
install -D -m 644 -t "$to/share/man/man8" "$source"/man/*.8
tree dracut lib/dracut/modules.d
tree initramfs-tools share/initramfs-tools
