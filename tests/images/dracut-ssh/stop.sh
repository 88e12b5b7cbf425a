#!/bin/sh
# Hook of dracut without systemd. It is sourced.
kill "$(cat /run/dropbear.pid)"
