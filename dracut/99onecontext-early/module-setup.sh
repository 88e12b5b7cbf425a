#!/bin/bash
# dracut module: sets the initramfs itself up from the machine's context, so that
# it answers by SSH before there is a root. Sourced by dracut (059 and later).
#
# The last module, so that an SSH server is there already, whichever module of the
# image's builder has brought it.

# A part of onecontext, wherever that is.
check() {
    require_binaries /usr/lib/onecontext/onecontext || return 1

    # shellcheck disable=SC2154 # set by dracut
    [[ $mount_needs || $IN_KDUMP == 1 ]] && return 1
    return 0
}

depends() {
    echo onecontext
}

install() {
    is_wanted || return 0
    # shellcheck disable=SC2154 # set by dracut
    if dracut_module_included systemd; then
        inst_simple "$moddir/onecontext-early.service" \
            "$systemdsystemunitdir/onecontext-early.service"
        $SYSTEMCTL -q --root "$initdir" \
            add-wants sysinit.target onecontext-early.service
    else
        # The first of those that may wait for a passphrase.
        inst_hook initqueue/settled 01 "$moddir/onecontext-early.sh"
    fi
}

# Only where there is an SSH server, or the command line asks for it: that of
# dracut (kernel_cmdline=), and those that the image's boot loaders are given.
is_wanted() {
    local server
    # shellcheck disable=SC2154 # set by dracut
    for server in "$initdir"/{usr{,/local}/,}{sbin,bin}/{sshd,dropbear,tinysshd}; do
        [[ -e $server || -L $server ]] && return 0
    done
    # shellcheck disable=SC2154 # set by dracut
    [[ " $kernel_cmdline" == *" onecontext.early="* ]] && return 0
    # shellcheck disable=SC2154
    grep -qs '\bonecontext\.early=' "$initdir"/etc/cmdline.d/*.conf \
        "$dracutsysrootdir"/etc/kernel/cmdline \
        "$dracutsysrootdir"/etc/default/grub \
        "$dracutsysrootdir"/etc/default/grub.d/*.cfg
}
