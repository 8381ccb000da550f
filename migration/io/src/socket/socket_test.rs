//! Sockets carry the marks that were asked for, on either family, and what cannot be is refused by name. What comes can
//! be placed.

use std::{
    io::Write,
    sync::atomic::{AtomicU8, Ordering},
};

use crate::{
    Listener,
    marks::{Congestion, Dscp, Marks, Priority, is_unset},
    protection::Protection,
    socket::Socket,
};

fn marks(dscp: &str, priority: Option<&str>) -> Marks {
    let priority = priority.map(|p| p.parse().unwrap());
    Marks { dscp: Some(dscp.parse().unwrap()), priority, congestion: None }
}

async fn dialled(address: &str, marks: &Marks) -> Socket {
    let listener = Listener::bind(&address.parse().unwrap()).await.unwrap();
    let (dialled, accepted) =
        tokio::join!(Socket::dial(listener.address(), marks, &Protection::Local, None), listener.accept());
    accepted.unwrap();
    dialled.unwrap()
}

#[tokio::test]
async fn marks_are_on_the_socket() {
    for (name, field) in [("cs1", 0x20), ("AF21", 0x48), ("ef", 0xb8), ("63", 0xfc)] {
        let marks = marks(name, Some("5"));
        let four = dialled("tcp:127.0.0.1:0", &marks).await;
        let (options, six) = (four.tcp().unwrap(), dialled("tcp:[::1]:0", &marks).await);
        assert_eq!((options.tos_v4().unwrap(), options.priority().unwrap()), (field, 5), "{name}");
        let options = six.tcp().unwrap();
        assert_eq!((options.tclass_v6().unwrap(), options.priority().unwrap()), (field, 5), "{name}");
    }
}

#[tokio::test]
async fn what_comes_fills_its_place_and_then_what_is_behind() {
    let directory = tempfile::tempdir().unwrap();
    for address in ["tcp:127.0.0.1:0".into(), format!("unix:{}", directory.path().join("s").display())] {
        let listener = Listener::bind(&address.parse().unwrap()).await.unwrap();
        let marks = Marks::default();
        let (out, into) = tokio::join!(
            Socket::dial(listener.address(), &marks, &Protection::Local, None),
            listener.accept()
        );
        let mut out = out.unwrap().into_blocking(None).unwrap();
        let into = Socket::admit(into.unwrap().0, &Protection::Local);
        out.write_all(b"pages.header").unwrap();
        let mut into = into.await.ok().unwrap().into_blocking(None).unwrap();
        assert!(into.places());
        let place: Vec<_> = (0..5).map(|_| AtomicU8::new(0)).collect();
        let mut behind = [0; 9];
        assert_eq!(into.read_placed(&place, &mut behind).unwrap(), 12);
        let placed: Vec<_> = place.iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
        assert_eq!((&placed[..], &behind), (&b"pages"[..], b".header\0\0"));
        drop(out);
        assert_eq!(into.read_placed(&place, &mut behind).unwrap(), 0, "the end");
    }
}

#[tokio::test]
async fn nothing_is_marked_that_was_not_asked_for() {
    let socket = dialled("tcp:127.0.0.1:0", &Marks::default()).await;
    let options = socket.tcp().unwrap();
    assert_eq!((options.tos_v4().unwrap(), options.priority().unwrap()), (0, 0));
    assert!(options.tcp_nodelay().unwrap());
}

/// The congestion control of a connection to `address`, by name.
async fn congestion_of(address: &str, asked: Option<&str>) -> String {
    let marks = Marks { congestion: asked.map(|name| name.parse().unwrap()), ..Marks::default() };
    let name = dialled(address, &marks).await.tcp().unwrap().tcp_congestion().unwrap();
    String::from_utf8(name.into_iter().take_while(|&byte| byte != 0).collect()).unwrap()
}

#[tokio::test]
async fn within_a_host_nothing_is_paced_unless_it_is_asked_for() {
    let of_host = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap();
    for address in ["tcp:127.0.0.1:0", "tcp:[::1]:0"] {
        assert_eq!(congestion_of(address, None).await, "reno");
        assert_eq!(congestion_of(address, Some(of_host.trim())).await, of_host.trim());
    }
}

#[tokio::test]
async fn a_congestion_control_that_is_not_there_is_named() {
    let listener = Listener::bind(&"tcp:127.0.0.1:0".parse().unwrap()).await.unwrap();
    let marks = Marks { congestion: Some("carrier-pigeon".parse().unwrap()), ..Marks::default() };
    let dialled = Socket::dial(listener.address(), &marks, &Protection::Local, None).await;
    let error = dialled.err().unwrap();
    assert!(is_unset(&error), "it is this host's");
    let said = error.to_string();
    for words in ["congestion control carrier-pigeon", "tcp_allowed_congestion_control"] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn what_is_no_mark_is_refused_with_what_is_one() {
    for bad in ["64", "-1", "af14", "", "0x10"] {
        let said = bad.parse::<Dscp>().unwrap_err();
        assert!(said.contains("0 to 63"), "{said}");
    }
    for bad in ["8", "-1", "high", ""] {
        let said = bad.parse::<Priority>().unwrap_err();
        assert!(said.contains("0 to 7") && said.contains("CAP_NET_ADMIN"), "{said}");
    }
    for bad in ["", "no name", "sixteen_letters_", "caf\u{e9}"] {
        let said = bad.parse::<Congestion>().unwrap_err();
        assert!(said.contains("1 to 15"), "{said}");
    }
    assert_eq!(("cs6".parse::<Dscp>().unwrap().number(), "7".parse::<Priority>().unwrap().number()), (48, 7));
}
