//! cloud-init as Debian delivers it, at its first boot. It would set name, keys and
//! network from a data source of its own, or do DHCP without one.

use crate::support::image::Image;
use crate::support::machine::{Inside, Login};
use crate::two_nics::*;

boots! {
    on_networkd_with_the_same_disk = the_same_disk("cloud-init-networkd", NETWORKD);
    on_networkd_without_a_data_source = no_data_source("cloud-init-networkd", NETWORKD);
    on_ifupdown_with_the_same_disk = the_same_disk("cloud-init-ifupdown", IFUPDOWN);
    on_ifupdown_without_a_data_source = no_data_source("cloud-init-ifupdown", IFUPDOWN);
}

/// The unit that waits for the network.
const NETWORKD: &str = "systemd-networkd-wait-online.service";
const IFUPDOWN: &str = "networking.service";

/// cloud-init finds the context by the disk's label. Its user data contradict the plan,
/// and have another command besides.
fn the_same_disk(kind: &'static str, unit: &str) {
    const USER_DATA: &str = "#cloud-config\nhostname: other\npreserve_hostname: false\n\
        disable_root: true\nruncmd: [touch /run/user-data]\n";
    let mut variables = TWO_NICS.to_vec();
    variables.push(("USER_DATA", USER_DATA));
    let (machine, key) = machine(Image::With(kind), &variables);
    // It calls sudo, which looks up this name, and no name server answers here.
    let mut running = machine.write("/etc/hosts", "127.0.1.1 web1\n").start();
    let mut login = running.login("root", 1, &key);

    assert_done(&mut login, "OpenNebula");
    // The rest of its work is done.
    login.run("ls /run/user-data");
    assert_eq!(running.login("debian", 1, &key).run("id -un"), "debian\n");
    // A new login, after that work.
    drop(login);
    let mut login = running.login("root", 1, &key);
    assert_ours(&mut login, unit);
}

fn no_data_source(kind: &'static str, unit: &str) {
    let (machine, key) = machine(Image::With(kind), &TWO_NICS);
    let mut running = machine
        .write(
            "/etc/cloud/cloud.cfg.d/90_dpkg.cfg",
            "datasource_list: [ None ]\n",
        )
        .start();
    let mut login = running.login("root", 1, &key);

    assert_done(&mut login, "None");
    drop(login);
    let mut login = running.login("root", 1, &key);
    assert_ours(&mut login, unit);
    // An administrator can override it.
    let environment = "systemctl show -P Environment cloud-final.service";
    assert_eq!(
        login.run(environment),
        "CLOUD_CFG=/run/onecontext/cloud-init.cfg\n"
    );
    login.run(
        "mkdir /etc/systemd/system/cloud-.service.d && ln -s /dev/null \
         /etc/systemd/system/cloud-.service.d/50-onecontext.conf && systemctl daemon-reload",
    );
    assert_eq!(login.run(environment), "\n");
}

/// All its stages are over, with this data source and without an error.
fn assert_done(login: &mut Login, source: &str) {
    login.wait("cloud-init status --wait || true");
    let result = login.json("cat /run/cloud-init/result.json");
    let found = text(&result["v1"]["datasource"]);
    assert!(
        found.starts_with(&format!("DataSource{source}")),
        "{result}"
    );
    let log = login.run("grep -E 'WARNING|ERROR|Traceback' /var/log/cloud-init.log || true");
    assert_eq!(result["v1"]["errors"].as_array().unwrap().len(), 0, "{log}");
}

/// The machine is as it would be without cloud-init.
fn assert_ours(login: &mut Login, unit: &str) {
    assert_online(login, unit);
    assert_looks_now_and_later(login);
    assert_eq!(resolv_conf(login), RESOLV_CONF);
    assert_eq!(login.run("hostname; cat /etc/hostname"), "web1\nweb1\n");
    assert_eq!(login.run("pgrep -c dhclient || true"), "0\n");
    let made = login.run("ls /etc/systemd/network /etc/network/interfaces.d 2>/dev/null || true");
    assert!(!made.contains("cloud-init"), "{made}");
    let keys = login.run("cat /root/.ssh/authorized_keys");
    assert!(!keys.contains("command="), "{keys}");
    assert_quiet(login);
}
