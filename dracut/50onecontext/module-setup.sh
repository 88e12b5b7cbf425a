#!/bin/bash
# dracut module: applies the machine's OpenNebula or StratusLab context just before
# the switch to the real root. Sourced by dracut (059 and later).

# In every initramfs that will boot a machine. It must never make dracut fail:
# without the binary the module is left out, which dracut mentions only in its debug
# log (since 106).
check() {
    if ! require_binaries /usr/lib/onecontext/onecontext; then
        dwarn "onecontext: /usr/lib/onecontext/onecontext is missing"
        return 1
    fi

    # Left out if only the drivers of a mounted file system are asked for, and from
    # the initramfs of a crash kernel.
    # shellcheck disable=SC2154 # set by dracut
    [[ $mount_needs || $IN_KDUMP == 1 ]] && return 1
    return 0
}

# No dependencies: dracut's base brings all it needs. An unmet dependency would drop
# the whole module.
depends() {
    return 0
}

# The host that makes the image is not the one that will run it, so these drivers
# are included even if this host has no use for them (hostonly='').
installkernel() {
    # the context disk: IDE, SATA, USB, virtio, SCSI (libvirt's default model is the
    # LSI controller), Xen, VMware, Hyper-V
    hostonly='' instmods cdrom sr_mod sd_mod \
        ata_piix ata_generic pata_acpi ahci \
        virtio_pci virtio_mmio virtio_blk virtio_scsi \
        sym53c8xx xen-blkfront vmw_pvscsi hv_storvsc usb-storage uas
    # the NICs that hypervisors emulate
    hostonly='' instmods virtio_net e1000 e1000e 8139cp 8139too \
        vmxnet3 xen-netfront hv_netvsc ne2k-pci pcnet32
    # the VLAN devices of PCIn_VLAN_ID; the kernel loads it on demand
    hostonly='' instmods 8021q
    # packet sockets, for DHCP, if the kernel has them as a module; the kernel loads
    # it on demand, too
    hostonly='' instmods af_packet
}

install() {
    # A static binary, without libraries.
    inst_simple /usr/lib/onecontext/onecontext

    # A NIC cannot be renamed once it is up, so udev must have given it its final
    # name by then. This needs the rules and the .link files that dracut otherwise
    # brings only with its own network modules. It also needs the administrator's,
    # and links to /dev/null that switch one off: dracut includes these rules only
    # for a single host (hostonly), not in an initramfs made in a chroot.
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
