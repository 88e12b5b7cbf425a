#!/bin/sh
# Made by onecontext: the user of the context, its keys, sudo and password. The calls of
# these functions are at the end.
PATH=/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/sbin:/bin
folder=/run/onecontext
passwords=$folder/passwords # a line for chpasswd(8)
failed=0
unfinished=/etc/.onecontext-user

complete_user() {
	if half=$(cat $unfinished 2>/dev/null) && gid=$(id -g "$half" 2>/dev/null); then
		cut -d : -f 1 /etc/shadow | grep -qxF -e "$half" ||
			{ pwconv && usermod --password '*' "$half"; } || failed=1
		getent group "$gid" >/dev/null || groupadd --gid "$gid" "$half" || failed=1
		grpconv || failed=1
	fi
	rm -f $unfinished
}

make_user_by_useradd() { # NAME HOME SHELL [OPTION...]
	name=$1 home=$2 shell=$3
	shift 3
	complete_user
	id "$name" >/dev/null 2>&1 && return
	echo "$name" >$unfinished && sync
	useradd --create-home --home-dir "$home" --shell "$shell" --password '*' \
		"$@" "$name" && sync && rm -f $unfinished ||
		failed=1
}

make_user_by_adduser() { # NAME HOME SHELL [OPTION...]
	name=$1 home=$2 shell=$3
	shift 3
	id "$name" >/dev/null 2>&1 ||
		adduser -D -h "$home" -s "$shell" "$@" "$name" ||
		failed=1
}

give_keys_by_tmpfiles() {
	systemd-tmpfiles --create $folder/users.conf || failed=1
}

give_keys_by_install() { # NAME HOME
	install -d -m 0700 -o "$1" -g "$1" "$2/.ssh" &&
		install -m 0600 -o "$1" -g "$1" $folder/users.keys "$2/.ssh/authorized_keys" ||
		failed=1
}

place_sudo_rule() {
	rule=/etc/sudoers.d/zz-onecontext
	visudo -c -f $folder/sudoers >/dev/null &&
		install -m 0440 $folder/sudoers $rule.new && mv -f $rule.new $rule || failed=1
}

set_password_hash() {
	cat $passwords | chpasswd -e || failed=1
}

set_password() { # NAME
	command -v unix_chkpwd >/dev/null &&
		cut -d : -f 2- $passwords | tr '\n' '\0' | unix_chkpwd "$1" nonull 2>/dev/null ||
		cat $passwords | chpasswd || failed=1
}

finish() {
	rm -f $passwords
	exit $failed
}
