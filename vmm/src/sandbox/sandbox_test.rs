//! Each role really ends the process at a call outside its list, and says so; the confined work goes on.
//!
//! A filter cannot be taken off again, so each test is a process of its own: this program, with one test and a word
//! in its environment.

use std::{
    env, fs,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
};

use event_manager::{EventManager, SubscriberOps};
use godwit_devices::{
    Irq, Lifecycle, MmioDevice,
    virtio::{Block, DiskConfig, VirtioMmio},
};
use vm_memory::{Bytes, GuestAddress};

use crate::{boot::GuestMemory, event_loop::Subscriber};

use super::{EXIT_SANDBOX, Mode, Paths, ROLES, Role, Sandbox, enter_or_panic};

const WHAT: &str = "GODWIT_SANDBOX_TEST";
const FOLDER: &str = "GODWIT_SANDBOX_TEST_FOLDER";

/// More than one disk's.
const MANY_THREADS: usize = 40;

/// Runs [`in_a_child`] with that word.
fn child(what: &str) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "sandbox::sandbox_test::in_a_child", "--nocapture", "--test-threads=1"]);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ca-cert.pem"), "named").unwrap();
    command.env(WHAT, what).env(FOLDER, folder.path()).output().unwrap()
}

/// Confines itself as a VMM process does, and does what it was told to in a thread of the role.
#[test]
fn in_a_child() {
    let Ok(what) = env::var(WHAT) else { return };
    let (role, deed) = what.split_once(' ').unwrap();
    let role = *ROLES.iter().find(|r| r.name() == role).unwrap();
    let mode = if deed == "off" { Mode::Off } else { Mode::On };
    // Made and removed by the parent: this process will not be able to.
    let folder = PathBuf::from(env::var_os(FOLDER).unwrap());
    let file = folder.join("ca-cert.pem");
    let mut disk = (deed == "disk").then(|| UnalignedWrite::new(&folder));
    let beside = folder.join("vsock_1");
    let _listener = UnixListener::bind(&beside).unwrap();
    let paths = Paths { requests: vec![folder], ..Paths::default() };
    Sandbox { mode, ..Sandbox::default() }.enter(&paths).unwrap();
    let deed = deed.to_owned();
    let thread = thread::spawn(move || {
        if role != Role::Control {
            enter_or_panic(role);
        }
        match deed.as_str() {
            // `chdir`: in no list. `listen`, `socket`: in control's alone.
            "chdir" | "off" => drop(env::set_current_dir("/")),
            "socket" => drop(std::net::TcpListener::bind("127.0.0.1:0")),
            "connect" => println!("connected: {}", UnixStream::connect(&beside).is_ok()),
            "open" => println!("opened: {}", fs::read("/etc/passwd").is_ok() || fs::read_dir("/").is_ok()),
            "named" => {
                let read = fs::read(&file).is_ok();
                let heard = UnixListener::bind(file.with_extension("sock")).is_ok();
                println!("named: {read} {heard} {}", fs::write(&file, "changed").is_ok());
            }
            "disk" => println!("disk: {:?}", disk.take().map(UnalignedWrite::answer)),
            "advice" => {
                let file = super::advice_on(Path::new("/etc/passwd"), Path::new("/etc"));
                println!("{file}{}", super::advice_on_socket(Path::new("/srv/b.sock")));
            }
            "panic" => panic!("said all the same"),
            "threads" => {
                // Each has memory of its own from the allocator as long as all of them live.
                let all = std::sync::Barrier::new(MANY_THREADS);
                let work = || {
                    // More than the allocator keeps when they are given back, in pieces that it does not map apart.
                    let blocks: Vec<_> = (0..10).map(|_| std::hint::black_box(vec![1_u8; 100_000])).collect();
                    all.wait();
                    blocks.len()
                };
                let sum: usize = thread::scope(|scope| {
                    let threads: Vec<_> = (0..MANY_THREADS).map(|_| scope.spawn(work)).collect();
                    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
                });
                println!("threads: {sum}");
            }
            "work" => {
                let block = vec![1_u8; 8 << 20];
                println!("worked: {}", block.iter().map(|&b| u64::from(b)).sum::<u64>());
            }
            other => panic!("no deed '{other}'"),
        }
    });
    thread.join().unwrap();
}

/// A driver's write to a disk past the page cache, from memory that is not aligned for it.
struct UnalignedWrite {
    events: EventManager<Subscriber>,
    memory: GuestMemory,
}

impl UnalignedWrite {
    const STATUS: GuestAddress = GuestAddress(0x6000);

    fn new(folder: &Path) -> Self {
        let path = folder.join("image");
        fs::write(&path, [0; 4096]).unwrap();
        let mut config = DiskConfig { direct: true, ..DiskConfig::new(&path) };
        // Not every file system of temporary files knows direct I/O; the calls without it are others' too.
        let block = Block::open(&config).or_else(|_| {
            config.direct = false;
            Block::open(&config)
        });
        let memory = GuestMemory::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
        let irq = Irq::new().unwrap();
        let mut device = VirtioMmio::new("disk0", block.unwrap(), memory.clone(), irq).unwrap();
        device.resume();
        // From reset to a queue of 16 (virtio 1.2 §4.2.2); the driver's part stands in memory before it is ready.
        let descriptors =
            [(0x4000_u64, 16_u32, 1_u16, 1_u16), (0x5001, 512, 1, 2), (Self::STATUS.0, 1, 2, 0)];
        for (at, (address, len, flags, next)) in (0x1000..).step_by(16).zip(descriptors) {
            memory.write_obj(address, GuestAddress(at)).unwrap();
            memory.write_obj(len, GuestAddress(at + 8)).unwrap();
            memory.write_obj([flags, next], GuestAddress(at + 12)).unwrap();
        }
        memory.write_obj([0_u16, 1, 0], GuestAddress(0x2000)).unwrap();
        memory.write_obj([1_u32, 0, 0, 0], GuestAddress(0x4000)).unwrap();
        memory.write_obj(0xff_u8, Self::STATUS).unwrap();
        let registers = [(0x70, 1), (0x70, 3), (0x24, 1), (0x20, 1), (0x70, 11), (0x38, 16), (0x80, 0x1000)];
        let queue = [(0x90, 0x2000), (0xa0, 0x3000), (0x44, 1), (0x70, 15)];
        for (offset, value) in registers.into_iter().chain(queue) {
            device.write(offset, &u32::to_le_bytes(value));
        }
        let mut events = EventManager::<Subscriber>::new().unwrap();
        events.add_subscriber(Box::new(device));
        Self { events, memory }
    }

    /// Serves it; its status.
    fn answer(mut self) -> u8 {
        while self.memory.read_obj::<u16>(GuestAddress(0x3002)).unwrap() == 0 {
            self.events.run_with_timeout(1_000).unwrap();
        }
        self.memory.read_obj(Self::STATUS).unwrap()
    }
}

#[test]
fn the_threads_of_a_disk_may_do_what_an_unaligned_driver_makes_them_do() {
    let ended = child("events disk");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(
        ended.status.success() && said.contains("disk: Some(0)"),
        "{said}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

#[test]
fn many_threads_of_disks_may_have_memory_and_give_it_back() {
    let ended = child("events threads");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(
        ended.status.success() && said.contains("threads: 400"),
        "{said}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

#[test]
fn a_call_outside_the_list_ends_the_process_in_every_role() {
    for role in ROLES {
        let ended = child(&format!("{} chdir", role.name()));
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(EXIT_SANDBOX.into()), "{role:?}: {said}");
        // Of a thread that has not narrowed it is not known who made it.
        let name = if role == Role::Control { "control or events" } else { role.name() };
        let wanted = format!("refused system call {} of a thread of role {name};", libc::SYS_chdir);
        assert!(said.contains(&wanted), "{said}");
    }
}

#[test]
fn roles_are_narrower_than_control() {
    for role in ROLES {
        let ended = child(&format!("{} socket", role.name()));
        let wanted = if role == Role::Control { 0 } else { EXIT_SANDBOX.into() };
        assert_eq!(ended.status.code(), Some(wanted), "{role:?}: {}", String::from_utf8_lossy(&ended.stderr));
    }
}

#[test]
fn who_serves_queues_reaches_sockets_of_this_host_and_of_no_other() {
    let ended = child("events connect");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success() && said.contains("connected: true"), "{said}");
    assert_eq!(child("events socket").status.code(), Some(EXIT_SANDBOX.into()));
    assert_eq!(child("vcpu connect").status.code(), Some(EXIT_SANDBOX.into()));
}

#[test]
fn a_confined_thread_works_and_ends() {
    for role in ROLES {
        let ended = child(&format!("{} work", role.name()));
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert!(ended.status.success() && said.contains("worked: 8388608"), "{role:?}: {said}");
    }
}

#[test]
fn a_panic_is_said_in_every_role() {
    for role in ROLES {
        let ended = child(&format!("{} panic", role.name()));
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        let status = ended.status.code();
        assert!(
            status.is_some_and(|status| status != i32::from(EXIT_SANDBOX)),
            "{role:?}: {status:?} {said}"
        );
        assert!(said.contains("said all the same"), "{role:?}: {said}");
    }
}

#[test]
fn without_the_sandbox_the_same_call_goes_on() {
    let ended = child("vcpu off");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn a_folder_of_requests_is_read_and_has_sockets_and_nothing_else() {
    let ended = child("control named");
    let said = [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(said.contains(&format!("named: true true {}", !landlock_is_here())), "{said}");
}

#[test]
fn what_a_confined_process_cannot_open_is_told_with_the_way_out() {
    let said = String::from_utf8(child("control advice").stdout).unwrap();
    for words in ["start it with --api-dir /etc, or hand over", "start it with --api-dir /srv\n"] {
        assert_eq!(said.contains(words), landlock_is_here(), "{said}");
    }
}

/// Whether this kernel confines files. A thread of its own asks it, and takes the confinement with it.
fn landlock_is_here() -> bool {
    !matches!(
        thread::spawn(|| super::paths::confine(&Paths::default())).join().unwrap(),
        Ok(landlock::RulesetStatus::NotEnforced) | Err(_)
    )
}

#[test]
fn files_that_were_not_named_are_closed_where_the_kernel_has_landlock() {
    let ended = child("control open");
    let said = [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    let confined = landlock_is_here();
    assert!(said.contains(&format!("opened: {}", !confined)), "landlock here: {confined}; {said}");
}
