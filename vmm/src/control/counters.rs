//! Serves `vm.counters`: what the devices count. A balloon asks the guest first, and does not wait for it long.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Guest, Vmm, service::document};
use crate::api::{Answer, Refusal};

/// How long a guest may take to tell of its memory; what it told before is answered then.
const STATISTICS_WAIT: Duration = Duration::from_millis(500);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(5);

/// The counters.
///
/// # Errors
/// 404 without a guest, 405 where it does not stand.
pub(super) async fn read(vmm: &Arc<Vmm>) -> Result<Answer, Refusal> {
    let asked = match &vmm.now().guest {
        Guest::Running(machine) => machine.ask_statistics(),
        _ => false,
    };
    let began = Instant::now();
    while asked && began.elapsed() < STATISTICS_WAIT {
        let awaits = vmm.now().guest.machine().is_some_and(|machine| machine.awaits_statistics());
        if !awaits {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    let now = vmm.now();
    let machine = now.guest.present("counting")?;
    document(&machine.counters())
}
