#!/bin/bash
# dracut module: configures the initramfs itself from the machine's context, so that
# SSH logins are possible before there is a root. Sourced by dracut (059 and later).
#
# It is the last module, so that the SSH server of any module of the image's builder
# is already there.

# Included together with the module onecontext.
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
        # The first of the hooks that may wait for a passphrase.
        inst_hook initqueue/settled 01 "$moddir/onecontext-early.sh"
    fi
}

# Only if there is an SSH server, or a command line asks for it: dracut's own
# (kernel_cmdline=), or those in the configuration of the image's boot loaders.
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
