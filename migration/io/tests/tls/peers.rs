//! Peers that are not godwit: rustls' own client and server, which do what they are told.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    thread::JoinHandle,
};

use godwit_migration::wire::{
    MAGIC, MESSAGE_HEADER_BYTES, MessageHeader, SourceMessage, TargetMessage, decode_message, encode_message,
};
use godwit_transport::address::Address;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::WebPkiClientVerifier,
    version::TLS13,
};

use crate::world::{Set, Target};

fn roots(set: &Set) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(set.folder().join("ca-cert.pem")).unwrap()).unwrap();
    Arc::new(roots)
}

fn own(folder: &Path, side: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let certificate = CertificateDer::from_pem_file(folder.join(format!("{side}-cert.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join(format!("{side}-key.pem"))).unwrap();
    (vec![certificate], key)
}

/// A client that knows the authority of one set, and shows the certificate of another, or none.
pub struct Peer(Arc<ClientConfig>);

impl Peer {
    pub fn client(believes: &Set, shows: Option<&Set>) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots(believes));
        let config = match shows {
            None => config.with_no_client_auth(),
            Some(set) => {
                let (certificate, key) = own(set.folder(), "client");
                config.with_client_auth_cert(certificate, key).unwrap()
            }
        };
        Self(Arc::new(config))
    }

    pub fn connect(&self, target: &Target) -> Link {
        let host = ServerName::try_from("127.0.0.1").unwrap();
        let client = ClientConnection::new(self.0.clone(), host).unwrap();
        Link(StreamOwned::new(client, target.socket()))
    }

    /// Does the handshake, and waits for the target's first word.
    pub fn says_to(&self, target: &Target) -> Heard {
        let mut link = self.connect(target);
        let heard = link.0.write_all(&[0; 32]).and_then(|()| link.0.read_exact(&mut [0; 32]));
        Heard(heard.err().map_or_else(String::new, |error| error.to_string()))
    }
}

/// What the target answered.
pub struct Heard(String);

impl Heard {
    pub fn hears(&self, words: &str) {
        assert!(self.0.contains(words), "{}", self.0);
    }
}

/// A connection of such a client.
pub struct Link(StreamOwned<ClientConnection, TcpStream>);

impl Link {
    /// The token that the target gives.
    pub fn token(&mut self) -> [u8; 32] {
        let mut token = [0; 32];
        self.0.read_exact(&mut token).unwrap();
        token
    }

    /// Begins with a token, and the first message.
    pub fn begin(&mut self, token: [u8; 32], message: &SourceMessage) {
        self.0.write_all(&token).unwrap();
        self.0.write_all(&MAGIC).unwrap();
        self.say(message);
    }

    pub fn say(&mut self, message: &SourceMessage) {
        self.0.write_all(&encode_message(message)).unwrap();
    }

    /// What the target says first.
    pub fn first_answer(&mut self) -> TargetMessage {
        let mut magic = [0; MAGIC.len()];
        self.0.read_exact(&mut magic).unwrap();
        assert_eq!(magic, MAGIC);
        self.answer()
    }

    pub fn answer(&mut self) -> TargetMessage {
        let mut header = [0; MESSAGE_HEADER_BYTES];
        self.0.read_exact(&mut header).unwrap();
        let header = MessageHeader::decode(header).unwrap();
        let mut body = vec![0; header.bytes];
        self.0.read_exact(&mut body).unwrap();
        decode_message(header, &body).unwrap()
    }
}

/// A server with the certificate of `set`, and what it says of the first who comes.
pub fn server(set: &Set) -> (Address, JoinHandle<String>) {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(set), Arc::new(default_provider()))
        .build()
        .unwrap();
    let (certificate, key) = own(set.folder(), "server");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificate, key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("tcp:{}", listener.local_addr().unwrap()).parse().unwrap();
    let thread = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let server = ServerConnection::new(Arc::new(config)).unwrap();
        let done: io::Result<()> = StreamOwned::new(server, socket).read_exact(&mut [0; 32]);
        done.map_or_else(|error| error.to_string(), |()| String::new())
    });
    (to, thread)
}
