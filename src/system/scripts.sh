#!/bin/sh
# Made by onecontext from the context of this machine: runs its scripts. They are listed
# at the end.
folder=/run/onecontext/scripts
failed=

if [ ! -x $folder/run ]; then
	mount --bind $folder $folder
	mount -o remount,bind,exec,nosuid,nodev $folder
fi
if [ -d /run/systemd/system ]; then
	systemctl start network-online.target
fi
cd $folder/disk || exit

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
