#!/bin/sh
# pre-pivot hook of dracut, for an initramfs without systemd. It is sourced, so it
# must not exit; and it must not fail, even if the context is not applied.
/usr/lib/onecontext/onecontext apply --root "${NEWROOT:-/sysroot}" \
    > /dev/null 2>&1 || :
