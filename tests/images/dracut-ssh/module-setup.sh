#!/bin/bash
# dracut module of the tests: an SSH server in the initramfs, as modules of image
# builders bring one. Sourced by dracut.

check() {
    require_binaries dropbear ip || return 1
    return 0
}

depends() {
    return 0
}

install() {
    # The tests use "ip" to look at the network.
    inst_multiple dropbear ip
    inst_simple /etc/dropbear/initramfs/dropbear_ed25519_host_key
    inst_simple /etc/dropbear/initramfs/authorized_keys /root/.ssh/authorized_keys
    # shellcheck disable=SC2154 # set by dracut
    chmod 700 "$initdir/root" "$initdir/root/.ssh"

    # shellcheck disable=SC2154 # set by dracut
    if dracut_module_included systemd; then
        inst_simple "$moddir/dropbear.service" \
            "$systemdsystemunitdir/dropbear.service"
        $SYSTEMCTL -q --root "$initdir" add-wants initrd.target dropbear.service
    else
        inst_hook pre-trigger 50 "$moddir/start.sh"
        inst_hook cleanup 50 "$moddir/stop.sh"
    fi
}
