//! Paths of the devices that a subject makes, one after the other, and who has connected to them.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
};

use vmm_sys_util::tempdir::TempDir;

use crate::fuzz_test::Mutator;

/// Most bytes that a client reads at a time.
const READ_BYTES: usize = 4000;

pub struct Sockets {
    folder: TempDir,
    /// Devices made so far; each has paths of its own.
    pub made: u32,
    pub clients: Vec<UnixStream>,
}

impl Sockets {
    pub fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), made: 0, clients: vec![] }
    }

    /// The path of the newest device with this end.
    pub fn path(&self, end: &str) -> PathBuf {
        self.folder.as_path().join(format!("{}{end}", self.made))
    }

    /// A client that is new, and says this.
    pub fn add(&mut self, mut client: UnixStream, says: &[u8]) {
        client.set_nonblocking(true).unwrap();
        let _ = client.write(says);
        self.clients.push(client);
    }

    /// One connects to the path with this end, if anybody listens there, and says this.
    pub fn connect(&mut self, end: &str, says: &[u8]) {
        if let Ok(client) = UnixStream::connect(self.path(end)) {
            self.add(client, says);
        }
    }

    /// One goes, or all of them read and write.
    pub fn go_or_talk(&mut self, goes: bool, byte: u8, mutator: &mut Mutator) {
        if goes && !self.clients.is_empty() {
            drop(self.clients.swap_remove(mutator.below(self.clients.len())));
            return;
        }
        for client in &mut self.clients {
            let _ = client.read(&mut [0; READ_BYTES]);
            let _ = client.write(&vec![byte; mutator.below(3000)]);
        }
    }
}
