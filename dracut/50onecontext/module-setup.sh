#!/bin/bash
# dracut module: applies the machine's OpenNebula or StratusLab context just
# before the switch to the real root. Sourced by dracut (059 and later).

# Part of every initramfs that will boot a machine. Never a reason for dracut
# to fail: without the binary the module is left out, which dracut tells nobody
# but its debug log (since 106).
check() {
    if ! require_binaries /usr/lib/onecontext/onecontext; then
        dwarn "onecontext: /usr/lib/onecontext/onecontext is missing"
        return 1
    fi

    # Not when only the drivers of a mounted file system are asked for, nor in
    # the initramfs of a crash kernel.
    # shellcheck disable=SC2154 # set by dracut
    [[ $mount_needs || $IN_KDUMP == 1 ]] && return 1
    return 0
}

# Needs only what dracut's base always brings. An unmet dependency would drop
# the whole module.
depends() {
    return 0
}

# Where the machine will run is not known where its image is made, so these
# drivers come along even if this host has no use for them (hostonly='').
installkernel() {
    # the context disk: IDE, SATA, USB, virtio, SCSI (the LSI controller is what
    # libvirt takes where nobody names one), Xen, VMware, Hyper-V
    hostonly='' instmods cdrom sr_mod sd_mod \
        ata_piix ata_generic pata_acpi ahci \
        virtio_pci virtio_mmio virtio_blk virtio_scsi \
        sym53c8xx xen-blkfront vmw_pvscsi hv_storvsc usb-storage uas
    # the NICs that hypervisors emulate
    hostonly='' instmods virtio_net e1000 e1000e 8139cp 8139too \
        vmxnet3 xen-netfront hv_netvsc ne2k-pci pcnet32
    # the VLAN devices of PCIn_VLAN_ID; the kernel asks for it by itself
    hostonly='' instmods 8021q
    # packet sockets, for DHCP, where the kernel has them as a module; it asks for
    # that by itself, too
    hostonly='' instmods af_packet
}

install() {
    # Static: it brings no library.
    inst_simple /usr/lib/onecontext/onecontext

    # A NIC keeps the name it has when it is raised, so udev must have given
    # it its final one: the rules and the .link files that dracut otherwise
    # brings only with its own network modules. The administrator's too, and
    # links to /dev/null that switch one off: dracut has these rules only in the
    # initramfs of a single host (hostonly), which one made in a chroot is not.
    local file top=${dracutsysrootdir-}
    local rules=(75-net-description.rules 80-net-setup-link.rules)
    for file in "$top"/etc/udev/rules.d/*.rules; do
        grep -qs '"net"' "$file" && grep -q NAME "$file" &&
            rules+=("${file##*/}")
    done
    hostonly=1 inst_rules "${rules[@]}"
    for file in "$top"{/usr{,/local}/lib,/etc}/systemd/network/*.link{,.d/*.conf}; do
        [[ -e $file ]] && inst_simple "${file#"$top"}"
    done

    # shellcheck disable=SC2154 # set by dracut
    if dracut_module_included systemd; then
        inst_simple "$moddir/onecontext.service" \
            "$systemdsystemunitdir/onecontext.service"
        $SYSTEMCTL -q --root "$initdir" \
            add-wants initrd.target onecontext.service
    else
        # Below 50, where the selinux module loads the policy.
        inst_hook pre-pivot 20 "$moddir/onecontext.sh"
    fi
}
