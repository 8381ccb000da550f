//! The flags that say which devices a machine has, for `run` and for `receive`, which is given the target's own side of
//! each: paths, taps.

use clap::Args;
use godwit_devices::virtio::{BalloonConfig, DiskConfig, NetConfig, PortConfig, RngConfig, VsockConfig};

use crate::DeviceSet;

/// Devices, beside those that every machine has.
#[derive(Debug, Clone, Args)]
pub struct DeviceArgs {
    /// A disk, disk0 the first: path=F (a raw image or a block device), and as wanted readonly=on, direct=on (past the
    /// host's page cache), num_queues=N, queue_size=N, serial=TEXT, image_type=raw (whatever it looks like), and a limit by
    /// bw_size=BYTES,bw_refill_time=MS (also bw_one_time_burst) and ops_size=N,ops_refill_time=MS (also
    /// ops_one_time_burst)
    #[arg(long = "disk", value_name = "KEY=VALUE,...")]
    disks: Vec<DiskConfig>,
    /// A network card; may be given several times. Keys: tap=NAME (made where it is not there) or fd=N of an open tap,
    /// mac=M, mtu=BYTES, num_queues=N (two for each pair, 16 at most, and then fd=N:N), queue_size=N,
    /// offload_tso|offload_ufo|offload_csum=on|off, and limits in each direction (bw_size=BYTES,bw_refill_time=MS,
    /// ops_size=N,ops_refill_time=MS). A guest that arrives brings its mac and mtu along
    #[arg(long, value_name = "KEY=VALUE,...")]
    net: Vec<NetConfig>,
    /// A limit for the source of entropy that every machine has: bw_size=BYTES,bw_refill_time=MS (also bw_one_time_burst)
    /// and ops_size=N,ops_refill_time=MS (also ops_one_time_burst)
    #[arg(long = "rng", value_name = "KEY=VALUE,...")]
    rng: Option<RngConfig>,
    /// A memory balloon: size=BYTES that the guest is asked to give back, and as wanted deflate_on_oom=on,
    /// free_page_reporting=on (the guest gives back all the time what it has free), free_page_hinting=off (a migration
    /// does not ask the guest what it has free)
    #[arg(long = "balloon", value_name = "KEY=VALUE,...")]
    balloon: Option<BalloonConfig>,
    /// Sockets between host and guest: cid=N (the guest's address, from 3) and socket=F, a Unix socket where a client of
    /// the host writes 'CONNECT PORT' to reach a port of the guest. A guest that connects to port N of the host (address 2)
    /// is connected to the socket F_N
    #[arg(long = "vsock", value_name = "KEY=VALUE,...")]
    vsock: Option<VsockConfig>,
    /// A port of the console device, several times for several ports: tty (this terminal; it needs --serial null or another),
    /// file=F (output only), socket=F (one client at a time) or null. Without more it is a console, hvc0; with name=N, which
    /// needs a file, a socket or null, it is a port that the guest finds as /dev/virtio-ports/N
    #[arg(long = "console", value_name = "WHERE")]
    ports: Vec<PortConfig>,
    /// A port by which the guest tells that it panicked; godwit says so at once, shows it in 'info', and ends with status 70
    /// when the guest then ends
    #[arg(long)]
    pvpanic: bool,
}

impl From<DeviceArgs> for DeviceSet {
    /// Of several consoles all but the first are refused where the device is made.
    fn from(args: DeviceArgs) -> Self {
        let mut console_ports = args.ports;
        let console = console_ports.iter().position(|port| port.name.is_none());
        let console = console.map(|at| console_ports.remove(at));
        Self {
            disks: args.disks,
            net: args.net,
            rng: args.rng.unwrap_or_default(),
            balloon: args.balloon,
            vsock: args.vsock,
            console,
            console_ports,
            pvpanic: args.pvpanic,
        }
    }
}
