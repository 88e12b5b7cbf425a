#!/bin/sh
# initqueue/settled hook of dracut, for an initramfs without systemd: udev has
# handled the present devices, and the root is not mounted. It is sourced in each
# turn of that loop, so it must not exit, and it must not fail.
if ! [ -e /tmp/onecontext-early.done ]; then
    : > /tmp/onecontext-early.done
    /usr/lib/onecontext/onecontext apply --early > /dev/null 2>&1 || :
fi
