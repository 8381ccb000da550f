//! Who gives up says why, and lets the other side read it: a connection that is closed with words unread in it is reset, and
//! that can take back what was said. Who has been told knows it also where it finds out first that it can say no more.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::channel,
    time::Duration,
};

use godwit_migration::{
    host::HostError,
    wire::{MESSAGE_HEADER_BYTES, MessageHeader, Prepare, decode_message},
};
use socket2::{SockRef, Socket, Type};

use super::*;

/// The next word on a control link.
pub(crate) fn hear<M: serde::de::DeserializeOwned>(control: &mut TcpStream) -> M {
    let mut header = [0; MESSAGE_HEADER_BYTES];
    control.read_exact(&mut header).unwrap();
    let header = MessageHeader::decode(header).unwrap();
    let mut body = vec![0; header.bytes];
    control.read_exact(&mut body).unwrap();
    decode_message(header, &body).unwrap()
}

pub(crate) fn say(control: &mut TcpStream, message: &TargetMessage) {
    control.write_all(&encode_message(message)).unwrap();
}

/// A target's control link to the first source that comes, as far as lanes are open.
pub(crate) fn open_for_pages(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let (mut control, _) = listener.accept().unwrap();
    control.read_exact(&mut [0; MAGIC.len()]).unwrap();
    assert!(matches!(hear(&mut control), SourceMessage::Hello(_)));
    control.write_all(&MAGIC).unwrap();
    say(
        &mut control,
        &TargetMessage::Hello(HelloReply { version: 1, capabilities: 0, software: "x".into() }),
    );
    say(&mut control, &TargetMessage::Prepared);
    let (lane, _) = listener.accept().unwrap();
    say(&mut control, &TargetMessage::LanesOpen);
    (control, lane)
}

pub(crate) fn address_of(listener: &TcpListener) -> Address {
    format!("tcp:{}", listener.local_addr().unwrap()).parse().unwrap()
}

/// A source's first words, up to `Prepare`.
fn first_words() -> Vec<u8> {
    let hello =
        Hello { oldest: 1, newest: 1, capabilities: 0, session: 5, replaces: 0, software: "x".into() };
    let prepare = Prepare { shape: shape(PAGES), lanes: 1 };
    [
        MAGIC.as_slice(),
        &encode_message(&SourceMessage::Hello(hello)),
        &encode_message(&SourceMessage::Prepare(Box::new(prepare))),
    ]
    .concat()
}

fn connect(to: &Address) -> TcpStream {
    TcpStream::connect(to.to_string().strip_prefix("tcp:").unwrap()).unwrap()
}

#[test]
fn a_source_that_gives_up_with_words_unread_does_not_reset_the_link() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = address_of(&listener);
    let ((pausing, paused), (written, unread)) = (channel(), channel());
    let target = std::thread::spawn(move || {
        let (mut control, _lane) = open_for_pages(&listener);
        paused.recv().unwrap();
        control.write_all(&encode_message(&TargetMessage::Beat).repeat(1000)).unwrap();
        written.send(()).unwrap();
        let reason = loop {
            if let SourceMessage::Abort(reason) = hear(&mut control) {
                break reason;
            }
        };
        (reason, control.read(&mut [0]).map_err(|error| error.kind()))
    });
    let mut guest = Guest::new(PAGES, PACE);
    guest.before_pause = Some(Box::new(move || {
        pausing.send(()).unwrap();
        unread.recv().unwrap();
        Err(HostError("KVM says no".into()))
    }));
    guest.start();
    let report = migrate(&options(&to, "non-live", 1), &mut guest, &Handle::default());
    assert_eq!(reason(&report).0, Class::Local);
    let (told, end) = target.join().unwrap();
    assert!(told.contains("KVM says no"), "{told}");
    assert_eq!(end, Ok(0), "the source has said all that it will");
    guest.before_pause = None;
    still_here(&mut guest);
}

/// Also with more than sockets hold.
#[test]
fn a_target_that_refuses_with_words_unread_does_not_reset_the_link() {
    let refusals = vec!["no avx2".to_owned()];
    let (to, thread) = target(Place { refusals, ..Place::default() }, Handle::default());
    let mut control = connect(&to);
    control.write_all(&first_words()).unwrap();
    let mut talking = control.try_clone().unwrap();
    let talker = std::thread::spawn(move || {
        talking.write_all(&encode_message(&SourceMessage::Beat).repeat(400_000))?;
        talking.shutdown(std::net::Shutdown::Write)
    });
    talker.join().unwrap().unwrap();
    let mut heard = vec![];
    control.read_to_end(&mut heard).unwrap();
    assert!(heard.windows(7).any(|bytes| bytes == b"no avx2"), "{heard:?}");
    assert_eq!(thread.join().unwrap().0.unwrap_err().class, Class::Incompatible);
}

#[test]
fn a_source_knows_the_reason_of_a_target_that_takes_no_more_of_its_state() {
    // So small that the state cannot be under way as a whole.
    let socket = Socket::new(socket2::Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(8).unwrap();
    let listener = TcpListener::from(socket);
    let to = address_of(&listener);
    let target = std::thread::spawn(move || {
        let (mut control, mut lane) = open_for_pages(&listener);
        std::thread::spawn(move || std::io::copy(&mut lane, &mut std::io::sink()));
        let mut header = [0; MESSAGE_HEADER_BYTES];
        loop {
            control.read_exact(&mut header).unwrap();
            let bytes = MessageHeader::decode(header).unwrap().bytes;
            if bytes > 1 << 20 {
                break; // The state, of which the rest stays unread.
            }
            control.read_exact(&mut vec![0; bytes]).unwrap();
        }
        // Until the source stands in the middle of it.
        while SockRef::from(&control).peek(&mut [std::mem::MaybeUninit::uninit()]).unwrap() == 0 {}
        say(&mut control, &TargetMessage::Abort("this host is on fire".into()));
    });
    let mut guest = Guest::new(64, PACE);
    guest.ballast = 7;
    guest.start();
    let report = migrate(&options(&to, "non-live", 1), &mut guest, &Handle::default());
    target.join().unwrap();
    let (class, words) = reason(&report);
    assert!(class == Class::Peer && words.contains("this host is on fire"), "{class:?}: {words}");
    guest.ballast = 0;
    still_here(&mut guest);
}

#[test]
fn a_target_knows_the_reason_of_a_source_to_which_it_can_say_no_more() {
    let ((preparing, begun), (gone, parted)) = (channel(), channel());
    let before_prepare = move || {
        preparing.send(()).unwrap();
        parted.recv().unwrap();
    };
    let place = Place { before_prepare: Some(Box::new(before_prepare)), ..Place::default() };
    let (to, thread) = target(place, Handle::default());
    let mut control = connect(&to);
    control.write_all(&first_words()).unwrap();
    begun.recv().unwrap();
    control.write_all(&encode_message(&SourceMessage::Abort("the operator slept badly".into()))).unwrap();
    // With the target's words unread: the link is reset.
    drop(control);
    std::thread::sleep(Duration::from_millis(50));
    gone.send(()).unwrap();
    let (received, place) = thread.join().unwrap();
    let error = received.unwrap_err();
    assert!(error.class == Class::Peer && error.reason.contains("the operator slept badly"), "{error:?}");
    assert!(place.discarded && !place.runs);
}
