//! Bodies of requests, mutated: each is a call, or a refusal that says in a few words what is wrong.

use godwit_migration::{convergence::ladder::Escalation, preset::Scheme};
use godwit_transport::address::Address;
use hyper::{Method, StatusCode};

use super::{Call, ENDPOINTS, ROOT, VmConfig, endpoint::route};
use crate::fuzz_test::each;

/// Longest refusal: the fields of an endpoint, and what a client is shown of its own words.
const MOST_WORDS_BYTES: usize = 4096;

const BODIES: [&str; 11] = [
    "",
    "{}",
    r#"{"destination_url":"tcp:10.0.0.2:4000","local":false,"preserve_source":false,"downtime_ms":300,
        "timeout_s":3600,"timeout_strategy":"Ignore","connections":2,"tls_dir":null,"memory_mode":"Precopy"}"#,
    r#"{"destination_url":"unix:/t","preset":"multistage,history=2","select":"midrange","order":"address",
        "stop":"xen,rounds=9,growth","slow":"none","encode":"zero,xbzrle,cache=8","escalate":"budget,ceiling=1s,cancel",
        "bandwidth":12500000,"dscp":46,"priority":3,"congestion":"reno","send_buffer":"8M,low=5,high=70","dry_run":true}"#,
    r#"{"destination_url":"tcp:[::1]:1","tls":{"ca_cert":"a","cert":"b","key":"c"},"peers":["a.example","spiffe://a/*"]}"#,
    r#"{"receiver_url":"tcp:0.0.0.0:4000","memory_mode":"Precopy","zone_updates":[],"vfio_fds":[],"insecure":true}"#,
    r#"{"bandwidth":null}"#,
    r#"{"reason":"Interrupt"}"#,
    r#"{"rounds":10,"interval_ms":100}"#,
    r#"{"cpus":{"boot_vcpus":2,"max_vcpus":2,"topology":null,"features":{"amx":false}},"memory":{"size":134217728,
        "shared":false,"zones":null},"payload":{"kernel":"/boot/vmlinuz","initramfs":"/i","cmdline":"console=ttyS0"},
        "disks":[{"path":"/a","readonly":true,"id":"disk0","rate_limiter_config":{"ops":{"size":1,"refill_time":2}}}],
        "net":[{"tap":"t0","mac":"02:00:00:00:00:01","mtu":1400}],"rng":{"src":"/dev/urandom"},
        "balloon":{"size":1048576,"deflate_on_oom":true},"serial":{"mode":"File","file":"/l"},"console":{"mode":"Off"}}"#,
    r#"{"payload":{"kernel":"builtin:load"},"serial":{"mode":"Tty"},"fs":[],"vsock":null,"iommu":false}"#,
];

#[test]
fn a_body_is_a_call_or_refused_in_a_few_words() {
    let seeds = BODIES.map(|body| body.as_bytes().to_vec());
    let (mut calls, mut refused, mut created) = (0, 0, 0);
    each(11, 20_000, &seeds, |mutator, body| {
        let endpoint = &ENDPOINTS[mutator.below(ENDPOINTS.len())];
        match endpoint.call(&body) {
            Ok(call) => {
                calls += 1;
                if let Call::Create(config) = &call {
                    created += 1;
                    // What it says it is can be created again; what cannot be is refused in a few words.
                    let told = serde_json::to_vec(config).expect("a configuration is JSON");
                    let again = VmConfig::parse(endpoint.name, &told);
                    assert_eq!(again.as_ref().map(|again| again == &**config), Ok(true), "{config:?}");
                    if let Err(error) = config.check() {
                        let words = error.to_string();
                        assert!(words.len() < MOST_WORDS_BYTES + body.len(), "{}: {words}", words.len());
                    }
                }
                if let Call::Send(request) = call {
                    // What its fields hold as text is read by others.
                    let _ = request.destination_url.parse::<Address>();
                    let _ = Scheme::parse(request.preset.as_deref().unwrap_or("auto"), &request.parts);
                    let _ = request.escalate.as_deref().map(Escalation::parse);
                    let _ = request.security.of_source();
                }
            }
            Err(refusal) => {
                refused += 1;
                assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
                let words = refusal.sentences.join(": ");
                assert!(!words.is_empty() && words.len() < MOST_WORDS_BYTES, "{}: {words}", words.len());
            }
        }
    });
    assert!(calls > 0 && refused > 0 && created > 0, "{calls} calls, {refused} refused, {created} created");
}

#[test]
fn a_path_is_an_endpoint_or_refused_in_a_few_words() {
    let seeds = ENDPOINTS.each_ref().map(|endpoint| format!("{ROOT}{}", endpoint.name).into_bytes());
    each(12, 5_000, &seeds, |mutator, path| {
        let method = [Method::GET, Method::PUT, Method::POST][mutator.below(3)].clone();
        if let Err(refusal) = route(&method, &String::from_utf8_lossy(&path)) {
            assert!(refusal.sentences.join(": ").len() < MOST_WORDS_BYTES);
        }
    });
}
