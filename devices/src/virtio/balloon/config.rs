//! What the user says of a balloon, in Cloud Hypervisor's words.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::options::{OptionError, Options};

/// To give, to take back, statistics, hints, reports. The queue of hints takes a block of free memory a descriptor, 4 MiB from
/// Linux, so it is long.
const QUEUE_SIZES: [u16; 5] = [128, 128, 128, 1024, 128];

/// Most entries of each of its queues. Reporting has the last one, so the others have the same numbers with and without it.
pub fn queue_sizes(reporting: bool) -> &'static [u16] {
    let [without @ .., _] = &QUEUE_SIZES;
    if reporting { &QUEUE_SIZES } else { without }
}

/// A balloon. On the command line `size=128M,deflate_on_oom=on,free_page_reporting=on`, each part optional.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BalloonConfig {
    /// Memory that the guest is asked to give, in bytes.
    pub size: u64,
    /// Whether the guest may take memory back, before it kills a process for want of memory.
    pub deflate_on_oom: bool,
    /// Whether the guest reports free pages all the time, whose memory this host then uses for others.
    pub free_page_reporting: bool,
    /// Whether a migration asks the guest for its free pages, in order not to send them. This field is godwit's own. The
    /// guest takes the pages out of its free memory to name them; a kernel that zeroes what it takes (`init_on_alloc`)
    /// writes to all of them for it.
    pub free_page_hinting: bool,
}

impl BalloonConfig {
    /// Most entries of each of its queues.
    #[must_use]
    pub fn queue_sizes(&self) -> Vec<u16> {
        queue_sizes(self.free_page_reporting).to_vec()
    }
}

impl Default for BalloonConfig {
    fn default() -> Self {
        Self { size: 0, deflate_on_oom: false, free_page_reporting: false, free_page_hinting: true }
    }
}

impl FromStr for BalloonConfig {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let known = ["size", "deflate_on_oom", "free_page_reporting", "free_page_hinting"];
        let mut options = Options::parse("a balloon", &known, text)?;
        Ok(Self {
            size: options.size("size")?.unwrap_or(0),
            deflate_on_oom: options.switch("deflate_on_oom")?,
            free_page_reporting: options.switch("free_page_reporting")?,
            free_page_hinting: options.switch_or("free_page_hinting", true)?,
        })
    }
}
