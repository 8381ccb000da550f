//! Deltas: against what was last sent, by whatever codec, and never against what has been displaced.

use super::{
    codec_test::{Holding, noise},
    xbzrle::Xbzrle,
    *,
};
use crate::limits::PAGE_BYTES;

const ID: u8 = 4;

fn written(old: &PageBytes, at: usize) -> PageBytes {
    let mut new = *old;
    new[at] ^= 0xff;
    new
}

#[test]
fn a_small_write_is_a_small_delta_against_what_was_last_sent() {
    let (mut coder, first) = (Xbzrle::new(1), noise(1));
    let mut out = vec![];
    assert_eq!(coder.encode(3, &first, &mut out), Coded::Declined, "nothing is known of it");
    coder.sent(3, &first, RAW, true);
    let second = written(&first, 4000);
    assert_eq!(coder.encode(3, &second, &mut out), Coded::Used(ID));
    assert!(out.len() <= 16, "{} bytes", out.len());
    let mut back = [0; PAGE_BYTES];
    coder.decode(3, &out, &Holding(first), &mut back).unwrap();
    assert!(back == second);
    // What another coder sends is what the next delta is against.
    coder.sent(3, &[0; PAGE_BYTES], ZERO, true);
    out.clear();
    assert_eq!(coder.encode(3, &second, &mut out), Coded::Declined, "all of it is new");
}

#[test]
fn a_sweep_over_more_than_fits_keeps_what_it_has_and_old_pages_give_way() {
    let mut coder = Xbzrle::new(1);
    let pages = 256;
    let sweep = |coder: &mut Xbzrle, round: u32, from: u32| {
        coder.begin_round(round);
        let mut hits = 0;
        for page in from..from + 2 * pages {
            let bytes = noise(u64::from(page) * 2);
            hits += u32::from(coder.encode(page, &bytes, &mut vec![]) != Coded::Declined);
            coder.sent(page, &bytes, RAW, true);
        }
        hits
    };
    assert_eq!(sweep(&mut coder, 1, 0), 0);
    let kept = sweep(&mut coder, 2, 0);
    assert!(kept > pages * 3 / 4 && kept <= pages, "{kept} of {pages}");
    assert_eq!(sweep(&mut coder, 3, 0), kept);
    assert_eq!(sweep(&mut coder, 4, 5000), 0, "others are not displaced yet");
    assert_eq!(sweep(&mut coder, 5, 5000), 0);
    assert!(sweep(&mut coder, 6, 5000) > 0);
}
