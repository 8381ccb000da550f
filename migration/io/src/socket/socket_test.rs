//! Sockets carry the marks that were asked for, on either family, and what cannot be is refused by name.

use crate::{
    Listener,
    marks::{Dscp, Marks, Priority},
    protection::Protection,
    socket::Socket,
};

fn marks(dscp: &str, priority: Option<&str>) -> Marks {
    Marks { dscp: Some(dscp.parse().unwrap()), priority: priority.map(|p| p.parse().unwrap()) }
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
async fn nothing_is_marked_that_was_not_asked_for() {
    let socket = dialled("tcp:127.0.0.1:0", &Marks::default()).await;
    let options = socket.tcp().unwrap();
    assert_eq!((options.tos_v4().unwrap(), options.priority().unwrap()), (0, 0));
    assert!(options.tcp_nodelay().unwrap());
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
    assert_eq!(("cs6".parse::<Dscp>().unwrap().number(), "7".parse::<Priority>().unwrap().number()), (48, 7));
}
