#!/bin/sh
# Hook of dracut without systemd. It is sourced.
dropbear -s -r /etc/dropbear/initramfs/dropbear_ed25519_host_key -P /run/dropbear.pid
