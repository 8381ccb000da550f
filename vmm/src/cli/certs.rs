//! `godwit certs`: makes an authority and certificates, for trying TLS out.

use std::{io::Write, path::PathBuf, time::SystemTime};

use clap::Args;
use godwit_transport::tls::authority::{self, MOST_DAYS, Request};

use super::exit_status;

/// Make a test authority and certificates for --tls.
///
/// The authority in DIR is used where there is one, and its key is all that a stranger needs to make a certificate for
/// any name: keep ca-key.pem away from the hosts, and use an authority of your own for what matters.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit certs /tmp/tls --name localhost --name 127.0.0.1
  godwit certs /tmp/tls --name host-a.example --uri spiffe://prod.example/host/a --days 30")]
pub struct Certs {
    /// Where the files go: ca-cert.pem and ca-key.pem of the authority, server-cert.pem and server-key.pem of a target,
    /// client-cert.pem and client-key.pem of a source
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// A DNS name or an IP address of the host; there can be several
    #[arg(long, value_name = "NAME", required = true)]
    name: Vec<String>,
    /// A URI for the host, such as a SPIFFE id; there can be several
    #[arg(long, value_name = "URI")]
    uri: Vec<String>,
    /// The certificates are valid for so many days
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_DAYS)))]
    days: u32,
}

impl Certs {
    /// Makes the files, and names those that were written.
    pub fn execute(self) -> anyhow::Result<u8> {
        let request = Request { names: self.name, uris: self.uri, from: SystemTime::now(), days: self.days };
        let mut out = std::io::stdout().lock();
        for path in authority::make(&self.dir, &request)? {
            writeln!(out, "{}", path.display())?;
        }
        Ok(exit_status::OK)
    }
}
