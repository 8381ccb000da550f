//! What `vm.create` takes: what is served arrives, Cloud Hypervisor's defaults change nothing, and everything else is
//! refused by the path of its field.

use std::path::PathBuf;

use hyper::StatusCode;
use serde_json::{Value, json};

use super::{Cpus, VmConfig};
use crate::{ConfigError, DirtyKind, MachineConfig, SerialConfig, boot::Kernel};

fn parse(body: &Value) -> VmConfig {
    VmConfig::parse("vm.create", body.to_string().as_bytes()).unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

fn refused(body: &Value) -> String {
    let refusal = VmConfig::parse("vm.create", body.to_string().as_bytes()).unwrap_err();
    assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
    refusal.sentences.join(": ")
}

fn minimal() -> Value {
    json!({"payload": {"kernel": "builtin:load"}})
}

/// Puts `value` at `path`, whose parts are names and numbers.
fn with(path: &str, value: Value) -> Value {
    let mut body = minimal();
    let mut place = &mut body;
    for part in path.split('.') {
        place = match part.parse::<usize>() {
            Ok(index) => {
                if place.is_null() {
                    *place = json!([]);
                }
                let list = place.as_array_mut().unwrap();
                if list.len() <= index {
                    let fresh =
                        if path.starts_with("disks") { json!({"path": "/d"}) } else { json!({"tap": "t"}) };
                    list.push(fresh);
                }
                &mut list[index]
            }
            Err(_) => {
                if place.is_null() {
                    *place = json!({});
                }
                place.as_object_mut().unwrap().entry(part).or_insert(Value::Null)
            }
        };
    }
    *place = value;
    body
}

#[test]
fn a_kernel_is_all_that_must_be_said() {
    let config = parse(&minimal());
    assert!(matches!(config.payload.kernel, Some(Kernel::Builtin(_))));
    assert_eq!((config.cpus, config.memory.size), (Cpus::of(1), 512 << 20));
    assert_eq!(config.serial, SerialConfig::Null);
    let machine = MachineConfig::of(&config, DirtyKind::Ring).unwrap();
    assert_eq!((machine.memory_bytes, machine.cpus, machine.dirty), (512 << 20, 1, DirtyKind::Ring));
    assert!(machine.cmdline.is_empty());
    // And not even that, for a guest that will come from elsewhere.
    let config = parse(&json!({}));
    assert_eq!(MachineConfig::of(&config, DirtyKind::Log).unwrap_err(), ConfigError::NoKernel);
}

#[test]
fn what_is_served_arrives_at_the_machine() {
    let config = parse(&json!({
        "cpus": {"boot_vcpus": 3, "max_vcpus": 3},
        "memory": {"size": 128 << 20},
        "payload": {"kernel": "/boot/vmlinuz", "initramfs": "/boot/initrd", "cmdline": "console=ttyS0"},
        "serial": {"mode": "Socket", "socket": "/run/console"},
        "disks": [{"path": "/a", "readonly": true, "num_queues": 2, "id": "disk0"},
                  {"path": "/b", "serial": "s", "id": "disk1",
                   "rate_limiter_config": {"bandwidth": {"size": 5, "refill_time": 6}, "ops": null}}],
        "net": [{"tap": "tap7", "mac": "02:00:00:00:00:07", "mtu": 1400, "id": "net0"}],
        "rng": {"src": "/dev/random", "id": "rng0"},
        "balloon": {"size": 1 << 20, "deflate_on_oom": true, "free_page_reporting": true, "id": "balloon0"},
    }));
    let machine = MachineConfig::of(&config, DirtyKind::Log).unwrap();
    assert_eq!(machine.kernel, Kernel::File("/boot/vmlinuz".into()));
    assert_eq!(machine.initrd, Some(PathBuf::from("/boot/initrd")));
    assert_eq!((machine.cpus, machine.memory_bytes, &*machine.cmdline), (3, 128 << 20, "console=ttyS0"));
    assert_eq!(machine.serial, SerialConfig::Socket("/run/console".into()));
    let [a, b] = &machine.devices.disks[..] else { panic!("two disks: {machine:?}") };
    assert!(a.readonly && a.num_queues == 2 && a.rate_limiter_config.is_none());
    assert_eq!(b.serial.as_deref(), Some("s"));
    let bandwidth = b.rate_limiter_config.as_ref().and_then(|limit| limit.bandwidth.as_ref()).unwrap();
    assert_eq!((bandwidth.size, bandwidth.refill_time), (5, 6));
    let net = &machine.devices.net[0];
    assert_eq!((net.tap.as_deref(), net.mtu, net.queue_size), (Some("tap7"), Some(1400), 256));
    assert_eq!(machine.devices.rng.src, PathBuf::from("/dev/random"));
    let balloon = machine.devices.balloon.unwrap();
    assert!(balloon.size == 1 << 20 && balloon.deflate_on_oom && balloon.free_page_reporting);
}

#[test]
fn a_configuration_with_every_default_spelt_out_is_taken() {
    let disk = json!({
        "path": "/d", "readonly": false, "direct": false, "iommu": false, "num_queues": 1, "queue_size": 128,
        "vhost_user": false, "vhost_socket": null, "rate_limiter_config": null, "pci_segment": 0, "id": null,
        "serial": null, "rate_limit_group": null, "queue_affinity": null, "backing_files": false, "sparse": true,
        "lock_granularity": "ByteRange",
    });
    let net = json!({
        "tap": "t", "ip": null, "mask": null, "mac": null, "host_mac": null, "mtu": null, "iommu": false,
        "num_queues": 2, "queue_size": 256, "vhost_user": false, "vhost_socket": null, "vhost_mode": "Client",
        "id": null, "fds": null, "pci_segment": 0, "offload_tso": true, "offload_ufo": true, "offload_csum": true,
    });
    let body = json!({
        "cpus": {"boot_vcpus": 1, "max_vcpus": 1, "topology": null, "kvm_hyperv": false, "max_phys_bits": 46,
                 "affinity": null, "features": {"amx": false}, "nested": true},
        "memory": {"size": 512 << 20, "mergeable": false, "hotplug_method": "Acpi", "hotplug_size": null,
                   "hotplugged_size": null, "shared": false, "hugepages": false, "hugepage_size": null,
                   "prefault": false, "reserve": false, "thp": true, "zones": null},
        "payload": {"firmware": null, "kernel": "builtin:load", "cmdline": null, "initramfs": null, "igvm": null},
        "rate_limit_groups": null, "disks": [disk], "net": [net], "rng": {"src": "/dev/urandom", "iommu": false},
        "balloon": null, "fs": null, "pmem": null,
        "serial": {"file": null, "mode": "Null", "socket": null},
        "console": {"file": null, "mode": "Off", "iommu": false, "socket": null},
        "debug_console": {"file": null, "mode": "Off", "iobase": 233},
        "devices": null, "user_devices": null, "vdpa": null, "vsock": null, "pvpanic": false, "iommu": false,
        "numa": null, "watchdog": false, "pci_segments": null, "platform": null, "tpm": null, "preserved_fds": null,
        "landlock_enable": false, "landlock_rules": null,
    });
    let told = serde_json::to_value(parse(&body)).unwrap();
    assert_eq!(
        told,
        serde_json::to_value(parse(&with("disks", json!([{"path": "/d", "queue_size": 128}]))))
            .map(|mut plain| {
                plain["net"] = told["net"].clone();
                plain
            })
            .unwrap()
    );
    // And what vm.info tells can be created again.
    assert_eq!(serde_json::to_value(parse(&told)).unwrap(), told);
}

#[test]
fn every_field_that_cannot_be_honoured_is_refused_by_its_path() {
    for (path, value, words) in [
        ("cpus.boot_vcpus", json!("2"), "'cpus.boot_vcpus' of vm.create cannot be: invalid type: string"),
        ("cpus", json!({"boot_vcpus": 1, "max_vcpus": 4}), "'cpus.max_vcpus' of vm.create is 4 and"),
        ("cpus", json!({"boot_vcpus": 300, "max_vcpus": 300}), "'cpus.boot_vcpus'"),
        (
            "cpus",
            json!({"boot_vcpus": 1, "max_vcpus": 1, "kvm_hyperv": true}),
            "'cpus.kvm_hyperv' of vm.create is true; it must be false",
        ),
        ("cpus", json!({"boot_vcpus": 1, "max_vcpus": 1, "core_scheduling": "Vm"}), "'cpus.core_scheduling'"),
        ("cpus", json!({"boot_vcpus": 1}), "missing field `max_vcpus`"),
        ("memory", json!({"size": -1}), "'memory.size'"),
        ("memory", json!({"size": 64 << 20, "hugepages": true}), "'memory.hugepages'"),
        ("memory", json!({"size": 64 << 20, "shared": true}), "'memory.shared'"),
        ("memory", json!({"size": 64 << 20, "zones": [{"id": "z"}]}), "'memory.zones'"),
        ("memory", json!({"sise": 1}), "unknown field `sise`, expected `size`"),
        ("memory", json!(5), "'memory'"),
        ("payload.firmware", json!("/f"), "'payload.firmware' of vm.create is \"/f\"; it must be null"),
        ("payload.kernel", json!("builtin:x"), "no builtin guest 'x'; there is builtin:load"),
        ("payload", json!({"cmdline": "x"}), "'payload' of vm.create has no 'kernel'"),
        ("payload.cmdlin", json!("x"), "unknown field `cmdlin`"),
        ("disks.0.path", json!(5), "'disks[0].path'"),
        ("disks.0.path", json!(null), "missing field `path`"),
        ("disks.0.readonly", json!("yes"), "'disks[0].readonly'"),
        ("disks.0.image_type", json!("Qcow2"), "unknown variant `Qcow2`, expected `Raw`"),
        ("disks.0.vhost_user", json!(true), "'disks[0].vhost_user' of vm.create is true; it must be false"),
        ("disks.0.id", json!("root"), "'disks[0].id' of vm.create is \"root\"; it must be \"disk0\""),
        ("disks.0.iommu", json!(true), "'disks[0].iommu'"),
        ("disks.0.rate_limiter_config", json!({"bandwidth": {"size": 1}}), "missing field `refill_time`"),
        ("disks.0.frobnicate", json!(1), "unknown field `frobnicate`"),
        ("net.0.ip", json!("10.0.0.1"), "'net[0].ip'"),
        ("net.0.fds", json!([3]), "'net[0].fds' of vm.create is [3]; it must be null"),
        ("net.0.mac", json!("zz"), "'net[0].mac'"),
        ("net.0.mtu", json!(1 << 20), "'net[0].mtu'"),
        ("rng.src", json!(1), "'rng.src'"),
        ("balloon.size", json!("1G"), "'balloon.size'"),
        ("balloon.deflate", json!(true), "unknown field `deflate`"),
        (
            "serial.mode",
            json!("Pty"),
            "unknown variant `Pty`, expected one of `Tty`, `File`, `Socket`, `Null`",
        ),
        ("serial", json!({"mode": "File"}), "\"File\" goes with 'file'"),
        ("serial", json!({"mode": "Null", "file": "/f"}), "'serial'"),
        (
            "console.mode",
            json!("Pty"),
            "unknown variant `Pty`, expected one of `Off`, `Tty`, `File`, `Socket`, `Null`",
        ),
        ("console", json!({"mode": "Null", "name": "n"}), "unknown field `name`"),
        ("debug_console.mode", json!("Tty"), "'debug_console"),
        ("fs", json!([{"tag": "t", "socket": "/s"}]), "'fs' of vm.create is"),
        ("vsock", json!({"cid": 3}), "missing field `socket`"),
        ("vsock.iommu", json!(true), "'vsock.iommu'"),
        ("pvpanic", json!(1), "'pvpanic'"),
        ("devices", json!([{"path": "/sys"}]), "'devices'"),
        ("iommu", json!(true), "'iommu' of vm.create is true; it must be false"),
        ("watchdog", json!(true), "'watchdog'"),
        ("landlock_enable", json!(true), "'landlock_enable'"),
        ("numa", json!([{}]), "'numa'"),
        ("platform", json!({"tdx": true}), "'platform'"),
        ("paylod", json!({}), "\"paylod\" (did you mean 'payload'?)"),
    ] {
        let said = refused(&with(path, value));
        assert!(said.contains(words), "{path}: {said}");
    }
}

#[test]
fn numbers_that_no_machine_can_have_are_refused_before_it_is_made() {
    for (path, value, words) in [
        ("memory.size", json!(1 << 20), "the least is 32 MiB"),
        ("memory.size", json!((64 << 20) + 1), "the nearest is 64 MiB"),
        ("cpus", json!({"boot_vcpus": 0, "max_vcpus": 0}), "0 vCPUs cannot be"),
        ("cpus", json!({"boot_vcpus": 99, "max_vcpus": 99}), "99 vCPUs cannot be; a guest has 1 to 16"),
        ("disks.0.num_queues", json!(99), "device 'disk0' cannot be: 'num_queues' of a disk is 99"),
        ("disks.0.path", json!(""), "'path' of a disk is empty"),
        ("net.0.tap", json!(null), "device 'net0' cannot be: a network card needs its tap"),
        ("net.0.queue_size", json!(3), "'queue_size' of a network card is 3"),
        ("net.0.num_queues", json!(3), "'num_queues' of a network card is 3; it must be an even number"),
        ("rng.src", json!("/etc/passwd"), "'src' of a source of entropy is '/etc/passwd'"),
        (
            "vsock",
            json!({"cid": 2, "socket": "/s"}),
            "device 'vsock0' cannot be: 'cid' of a vsock device is 2",
        ),
        ("console", json!({"mode": "File"}), "a console port of mode 'file' needs its path as 'file'"),
        ("console_ports", json!([{"mode": "Null", "name": "a/b"}]), "'name' of a console port is 'a/b'"),
        ("balloon.size", json!(1_u64 << 40), "a balloon of 1099511627776 bytes cannot be"),
    ] {
        let said = parse(&with(path, value)).check().unwrap_err().to_string();
        assert!(said.contains(words), "{path}: {said}");
    }
}

#[test]
fn consoles_ports_and_sockets_are_taken_as_they_are_told() {
    let mut body = with("console", json!({"mode": "Socket", "socket": "/run/c"}));
    body["console_ports"] = json!([{"name": "agent", "mode": "Socket", "socket": "/run/a"}]);
    body["vsock"] = json!({"cid": 7, "socket": "/run/v", "id": "vsock0"});
    body["pvpanic"] = json!(true);
    let devices = parse(&body).devices;
    let names: Vec<_> = devices.ports().iter().map(|port| port.name.as_deref()).collect();
    assert_eq!(names, [None, Some("agent")]);
    assert_eq!((devices.vsock.map(|vsock| vsock.cid), devices.pvpanic), (Some(7), true));
    assert_eq!(parse(&with("console", json!({"mode": "Off"}))).devices.console, None);
}
