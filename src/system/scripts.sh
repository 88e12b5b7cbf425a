#!/bin/sh
# Made by onecontext from the context of this machine: runs its scripts. They are listed
# at the end.
folder=/run/onecontext/scripts
failed=

# /run may be mounted noexec, since the initramfs already.
if [ ! -x $folder/run ]; then
	mount --bind $folder $folder
	mount -o remount,bind,exec,nosuid,nodev $folder
fi
# A Wants= of the unit would make other units of the boot wait for the network too.
if [ -d /run/systemd/system ]; then
	systemctl start network-online.target
fi
cd $folder/disk || exit

# Each script has a shell of its own, which reads a script without `#!`; its variables,
# which may have the names of ours, do not affect this one.
run() { # NAME [disk/]
	echo "run $1"
	# shellcheck source=/dev/null
	(. $folder/environment && exec "/run/onecontext/scripts/$2$1")
	status=$?
	if [ $status != 0 ]; then
		echo "$1: exit status $status" >&2
		failed="$failed $1"
	fi
}

finish() {
	if [ -n "$failed" ]; then
		echo "failed:$failed" >&2
		exit 1
	fi
}
