//! A balloon as the API sees it, before and after a move. The guest here has no driver for it: what a driver makes of it is
//! shown where Linux runs.

use hyper::StatusCode;

use super::service_test::{Subject, booted_with, empty_with, file, to, waiting};
use crate::{
    DeviceSet,
    api::{Answer, Call, Resize},
};

fn balloon(options: &str) -> DeviceSet {
    DeviceSet { balloon: Some(options.parse().unwrap()), ..DeviceSet::default() }
}

fn size(bytes: u64) -> Call {
    Call::Resize(Resize { desired_balloon: Some(bytes) })
}

async fn target_of(subject: &Subject) -> u64 {
    let Answer::Document(counters) = subject.call(Call::Counters).await.unwrap() else {
        panic!("no document")
    };
    assert_eq!(counters["balloon0"]["actual"], 0);
    counters["balloon0"]["target"].as_u64().unwrap()
}

#[tokio::test]
async fn a_balloon_is_resized_and_its_size_moves_with_the_guest() {
    let source = booted_with("balloon-there", balloon("size=8M"));
    let target = empty_with("balloon-back", balloon("size=0"));
    source.hear(1).await;
    assert_eq!(target_of(&source).await, 8 << 20);
    source.call(size(16 << 20)).await.unwrap();
    source.call(Call::Resize(Resize { desired_balloon: None })).await.unwrap();
    assert_eq!(target_of(&source).await, 16 << 20);
    let Answer::Document(info) = source.call(Call::Info).await.unwrap() else { panic!("no document") };
    assert_eq!(info["config"]["balloon"]["size"], 16 << 20);
    assert_eq!(info["memory_actual_size"], 64 << 20);

    let path = file("balloon-socket");
    let receiving = waiting(&target, &path).await;
    source.call(Call::Send(Box::new(to(&path)))).await.unwrap();
    receiving.await.unwrap().unwrap();
    target.hear(1).await;
    assert_eq!(target_of(&target).await, 16 << 20);
}

#[tokio::test]
async fn what_cannot_be_is_said() {
    let subject = booted_with("balloon-words", balloon("size=0"));
    let (status, words) = subject.refused(size(1 << 40)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        words.contains("a balloon of 1099511627776 bytes cannot be; it may have 0 to 67108864"),
        "{words}"
    );
    let (status, words) = booted_with("balloon-none", DeviceSet::default()).refused(size(0)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(words.contains("this machine has no balloon"), "{words}");
    let nobody = empty_with("balloon-nobody", balloon("size=0"));
    assert_eq!(nobody.refused(size(0)).await.0, StatusCode::NOT_FOUND);
    assert_eq!(nobody.refused(Call::Counters).await.0, StatusCode::NOT_FOUND);
}
