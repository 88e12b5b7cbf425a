#!/bin/sh
# initqueue/settled hook of dracut, for an initramfs without systemd: udev has
# handled what is there, and the root is not. It is sourced at each turn of that
# loop, so it must not exit, and it must not fail. The binary speaks to the kernel
# log itself.
if ! [ -e /tmp/onecontext-early.done ]; then
    : > /tmp/onecontext-early.done
    /usr/lib/onecontext/onecontext apply --early > /dev/null 2>&1 || :
fi
