//! A balloon gets its size in Cloud Hypervisor's words, and what cannot be resized is named.

use super::Resize;

fn parse(body: &str) -> Result<Resize, String> {
    Resize::parse("vm.resize", body.as_bytes()).map_err(|refusal| refusal.sentences.join(": "))
}

#[test]
fn the_balloon_is_read() {
    assert_eq!(parse(r#"{"desired_balloon": 1048576}"#), Ok(Resize { desired_balloon: Some(1 << 20) }));
    let of_a_client = r#"{"desired_vcpus": null, "desired_ram": null, "desired_balloon": 0}"#;
    assert_eq!(parse(of_a_client), Ok(Resize { desired_balloon: Some(0) }));
    let request = Resize { desired_balloon: Some(7) };
    assert_eq!(parse(&request.body().to_string()), Ok(request));
}

#[test]
fn what_is_wrong_is_named() {
    for (body, words) in [
        (r#"{"desired_vcpus": 2}"#, "the field 'desired_vcpus' of vm.resize is 2"),
        (r#"{"desired_ram": 2}"#, "the field 'desired_ram' of vm.resize is 2"),
        (
            r#"{"desired_balloon": -1}"#,
            "the field 'desired_balloon' of vm.resize is -1; it must be a size in bytes",
        ),
        (r#"{"desired_baloon": 1}"#, "did you mean 'desired_balloon'"),
    ] {
        let error = parse(body).unwrap_err();
        assert!(error.contains(words), "{body}: {error}");
    }
}
