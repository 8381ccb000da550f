//! Saving the transport, and taking a saved one over only if a driver could have brought it there.
//!
//! A child of the transport, for its fields. Neighbour: [`crate::virtio::state`] has the typed state.

use godwit_state::{Save, StateError};

use super::VirtioMmio;
use crate::virtio::{
    VirtioDevice,
    queue::QueueSlot,
    registers::*,
    state::{TransportState, VirtioState},
};

impl<D: VirtioDevice> VirtioMmio<D> {
    /// The transport as it is now.
    pub(in crate::virtio) fn transport(&self) -> TransportState {
        TransportState {
            status: self.status,
            device_features_select: self.device_features_select,
            driver_features_select: self.driver_features_select,
            driver_features: self.driver_features,
            queue_select: self.queue_select,
            interrupt_status: self.interrupt_status,
            queues: self.queues.iter().map(QueueSlot::save).collect(),
        }
    }

    /// What is wrong with a saved transport, or the transport taken over.
    fn restore_transport(&mut self, saved: &TransportState) -> Result<(), String> {
        let status = saved.status;
        let agreed = status & FEATURES_OK != 0;
        if status & !STATUS_BITS != 0 || (status & DRIVER_OK != 0 && !agreed) {
            return Err(format!("device status {status:#x} does not exist"));
        }
        if agreed && !self.features_fit(saved.driver_features) {
            let (agreed, offered) = (saved.driver_features, self.offered_features());
            return Err(format!("the driver uses features {agreed:#x}, this build offers {offered:#x}"));
        }
        if saved.interrupt_status & !(INTERRUPT_USED | INTERRUPT_CONFIG) != 0 {
            return Err(format!("interrupt status {:#x} does not exist", saved.interrupt_status));
        }
        if saved.queues.len() != self.queues.len() {
            let (there, here) = (saved.queues.len(), self.queues.len());
            return Err(format!(
                "it has {there} queues where it comes from and {here} here; give it as many ('num_queues', or ports of a console)"
            ));
        }
        let event_idx = saved.driver_features & F_EVENT_IDX != 0;
        for (index, (slot, queue)) in self.queues.iter_mut().zip(&saved.queues).enumerate() {
            if queue.ready && !agreed {
                return Err(format!("queue {index} is ready before features were agreed on"));
            }
            slot.restore(queue, &self.memory, event_idx)
                .map_err(|wrong| format!("queue {index}: {wrong}"))?;
        }
        self.status = status;
        self.device_features_select = saved.device_features_select;
        self.driver_features_select = saved.driver_features_select;
        self.driver_features = saved.driver_features;
        self.queue_select = saved.queue_select;
        self.interrupt_status = saved.interrupt_status;
        Ok(())
    }
}

impl<D: VirtioDevice> Save for VirtioMmio<D> {
    type State = VirtioState<D::State>;

    fn save(&self) -> Result<Self::State, StateError> {
        Ok(VirtioState { transport: self.transport(), device: self.device.save()? })
    }

    fn restore(&mut self, state: &Self::State) -> Result<(), StateError> {
        self.restore_transport(&state.transport)
            .map_err(|reason| StateError::Invalid { instance: self.instance.clone(), reason })?;
        if self.status & DRIVER_OK != 0 {
            self.device.activate(self.driver_features);
        }
        self.device.restore(&state.device)
    }
}
