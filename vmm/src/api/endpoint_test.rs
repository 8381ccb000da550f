//! Paths, methods and bodies that are no call are refused with the way out.

use hyper::{Method, StatusCode};

use super::{
    Call, ENDPOINTS,
    endpoint::{ROOT, route},
};

#[test]
fn every_endpoint_is_found_by_its_own_method_only() {
    for endpoint in &ENDPOINTS {
        let path = format!("{ROOT}{}", endpoint.name);
        assert_eq!(route(&endpoint.method, &path).unwrap().name, endpoint.name);
        let refusal = route(&Method::POST, &path).map(|_| ()).unwrap_err();
        assert_eq!(refusal.status, StatusCode::METHOD_NOT_ALLOWED);
        assert!(refusal.sentences[0].contains(endpoint.method.as_str()), "{refusal:?}");
    }
}

#[test]
fn an_unknown_path_gets_the_list() {
    for path in ["/", "/api/v1/vm.inf", "/vm.info", "/api/v1/"] {
        let refusal = route(&Method::GET, path).map(|_| ()).unwrap_err();
        assert_eq!(refusal.status, StatusCode::NOT_FOUND);
        assert!(refusal.sentences[0].contains("GET /api/v1/vm.info"), "{refusal:?}");
    }
}

#[test]
fn an_endpoint_without_a_body_refuses_one() {
    let pause = route(&Method::PUT, "/api/v1/vm.pause").unwrap();
    assert_eq!(pause.call(b"\n"), Ok(Call::Pause));
    assert_eq!(pause.call(b"{}"), Ok(Call::Pause));
    assert_eq!(pause.call(b"{\"force\": true}").unwrap_err().sentences, ["vm.pause takes no body"]);
}
