//! The lock of a disk's image is with whoever has the right to run its guest, at each step of a hand-over; and a target is
//! only a target with the guest's own devices.
//!
//! These need /dev/kvm. The guest has a driver for no disk: what a driver makes of a move is shown where Linux runs.

use godwit_devices::virtio::{Block, DiskConfig, VirtioDevice};
use hyper::StatusCode;
use vmm_sys_util::tempfile::TempFile;

use super::{
    Guest,
    service_test::{booted_with, empty_with, file, to, waiting},
};
use crate::{
    DeviceSet,
    api::{Answer, Call, ResizeDisk, VmState},
};

fn image(bytes: u64) -> TempFile {
    let image = TempFile::new().unwrap();
    image.as_file().set_len(bytes).unwrap();
    image
}

fn disks(images: &[&TempFile]) -> DeviceSet {
    DeviceSet {
        disks: images.iter().map(|image| DiskConfig::new(image.as_path())).collect(),
        ..DeviceSet::default()
    }
}

/// Somebody else with that image.
fn other(image: &TempFile) -> Block {
    Block::open(&DiskConfig::new(image.as_path())).unwrap()
}

fn is_locked(image: &TempFile) -> bool {
    other(image).claim().is_err()
}

#[tokio::test]
async fn the_lock_follows_the_right_to_run_step_by_step() {
    let image = image(1 << 20);
    let subject = booted_with("lock-steps", disks(&[&image]));
    let with = |step: &dyn Fn(&mut Guest)| step(&mut subject.vmm.now().guest);
    assert!(is_locked(&image));
    with(&|guest| guest.pause().unwrap());
    assert!(is_locked(&image), "a pause gives nothing away");
    with(&|guest| drop(guest.save().unwrap()));
    assert!(is_locked(&image), "nor does saving the state");
    with(&Guest::give_up);
    assert!(!is_locked(&image), "the target may have it");
    with(&|guest| {
        guest.take_back();
        guest.resume().unwrap();
    });
    assert!(is_locked(&image));

    // A target that has the lock, though its answer never came: the guest does not run twice.
    with(&|guest| {
        guest.pause().unwrap();
        guest.give_up();
    });
    let mut target = other(&image);
    target.claim().unwrap();
    with(&|guest| {
        guest.take_back();
        let words = format!("{:?}", anyhow::Error::from(guest.resume().unwrap_err()));
        assert!(words.contains(&format!("is locked by process {}", std::process::id())), "{words}");
        assert_eq!(guest.state(), VmState::Paused);
    });
    drop(target);
    with(&|guest| guest.resume().unwrap());
    assert!(is_locked(&image));
}

#[tokio::test]
async fn a_guest_takes_its_disk_along() {
    let image = image(1 << 20);
    let source = booted_with("disk-there", disks(&[&image]));
    let target = empty_with("disk-back", disks(&[&image]));
    source.hear(1).await;
    let path = file("disk-there-socket");
    let receiving = waiting(&target, &path).await;
    source.call(Call::Send(to(&path).into())).await.unwrap();
    receiving.await.unwrap().unwrap();
    target.hear(2).await;
    drop(source);
    assert!(is_locked(&image), "the target has it");
    let resize = |size| Call::ResizeDisk(ResizeDisk { id: "disk0".into(), desired_size: Some(size) });
    target.call(resize(2 << 20)).await.unwrap();
    assert_eq!(image.as_file().metadata().unwrap().len(), 2 << 20);
    let (status, words) = target.refused(resize(1 << 20)).await;
    assert!(status == StatusCode::BAD_REQUEST && words.contains("can only grow"), "{words}");
    let (status, words) =
        target.refused(Call::ResizeDisk(ResizeDisk { id: "disk7".into(), desired_size: None })).await;
    assert_eq!(
        (status, &*words),
        (StatusCode::NOT_FOUND, "there is no disk 'disk7'; this machine has 1, counted from disk0")
    );
    let Answer::Document(info) = target.call(Call::Info).await.unwrap() else { panic!("a document") };
    assert_eq!(info["config"]["disks"][0]["path"], image.as_path().to_str().unwrap());
    // As at the end of the process.
    target.vmm.now().guest = Guest::Gone;
    assert!(!is_locked(&image));
}

#[tokio::test]
async fn a_target_without_the_guests_devices_is_told_everything_and_the_guest_goes_on() {
    let images = [image(1 << 20), image(1 << 20)];
    let source = booted_with("disk-missing", disks(&[&images[0], &images[1]]));
    let target = empty_with("disk-missing-target", DeviceSet::default());
    let path = file("disk-missing-socket");
    let receiving = waiting(&target, &path).await;
    let (_, words) = source.refused(Call::Send(to(&path).into())).await;
    for disk in ["disk0", "disk1"] {
        let reason =
            format!("the guest has '{disk}' ('virtio-blk'), this side was given none; start it with --disk");
        assert!(words.contains(&reason), "{words}");
    }
    assert!(receiving.await.unwrap().is_err());
    source.hear(2).await;
    assert!(images.iter().all(is_locked));
}

#[tokio::test]
async fn a_target_that_cannot_have_its_image_never_runs_the_guest_which_goes_on_with_its_own() {
    let images = [image(1 << 20), image(1 << 20)];
    let source = booted_with("disk-taken", disks(&[&images[0]]));
    let target = empty_with("disk-taken-target", disks(&[&images[1]]));
    let mut third = other(&images[1]);
    third.claim().unwrap();
    let path = file("disk-taken-socket");
    let receiving = waiting(&target, &path).await;
    let (_, words) = source.refused(Call::Send(to(&path).into())).await;
    assert!(words.contains("the guest goes on here") && words.contains("is locked by process"), "{words}");
    assert!(receiving.await.unwrap().is_err());
    source.hear(2).await;
    assert!(is_locked(&images[0]));
}

#[tokio::test]
async fn a_target_whose_disk_is_another_says_how() {
    let images = [image(1 << 20), image(2 << 20)];
    let source = booted_with("disk-other", disks(&[&images[0]]));
    let target = empty_with("disk-other-target", disks(&[&images[1]]));
    let path = file("disk-other-socket");
    let receiving = waiting(&target, &path).await;
    let (_, words) = source.refused(Call::Send(to(&path).into())).await;
    assert!(words.contains("the guest's disk has 2048 sectors, this has 4096"), "{words}");
    assert!(receiving.await.unwrap().is_err());
    source.hear(2).await;
    assert!(is_locked(&images[0]) && !is_locked(&images[1]));
}
