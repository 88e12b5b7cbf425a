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

# tree FROM TO [TEST...]: installs each file and link below FROM that passes these tests
# of find(1). A script is what is executable in the source.
tree() {
	from=$source/$1 below=$to/$2
	shift 2
	files=$(cd "$from" && find . ! -type d "$@")
	for file in $files; do
		file=${file#./}
		if [ -L "$from/$file" ]; then
			mkdir -p "$(dirname "$below/$file")"
			ln -sfn "$(readlink "$from/$file")" "$below/$file"
		elif [ -x "$from/$file" ]; then
			install -D -m 755 "$from/$file" "$below/$file"
		else
			install -D -m 644 "$from/$file" "$below/$file"
		fi
	done
}

# The program of the initramfs, and the one for the command line.
install -D -m 755 "$binaries/onecontext-initramfs" "$to/lib/onecontext/onecontext"
install -D -m 755 -t "$to/bin" "$binaries/onecontext"
install -D -m 644 -t "$to/share/man/man8" "$source"/man/*.8
tree dracut lib/dracut/modules.d
tree initramfs-tools share/initramfs-tools
# The units and udev rules of the booted system, with the links that enable units. None
# has an [Install] section: systemd calls such units "static", as its own.
if [ -d "$source/systemd" ]; then
	tree systemd lib/systemd/system ! -name '*.rules'
	tree systemd lib/udev/rules.d -name '*.rules'
fi
