//! What moves the transport from outside: the event loop, and the machine that pauses and resumes it.
//!
//! A child of the transport, for its fields.

use event_manager::{EventOps, Events, MutEventSubscriber};
use vmm_sys_util::epoll::EventSet;

use super::VirtioMmio;
use crate::{Counters, Lifecycle, virtio::VirtioDevice};

impl<D: VirtioDevice> MutEventSubscriber for VirtioMmio<D> {
    fn init(&mut self, ops: &mut EventOps) {
        for (index, notifier) in self.notifiers() {
            if let Err(error) = ops.add(Events::with_data(notifier, index, EventSet::IN)) {
                tracing::warn!("{}: queue {index} cannot be watched: {error}", self.instance);
            }
        }
        let sources = self.device.sources();
        for (data, source) in (self.notifiers.len() as u32..).zip(&sources) {
            let events = source.events | EventSet::EDGE_TRIGGERED;
            if let Err(error) = ops.add(Events::with_data_raw(source.fd, data, events)) {
                let first = source.queues.start;
                tracing::warn!("{}: a source of queue {first} cannot be watched: {error}", self.instance);
            }
        }
        self.source_queues = sources.into_iter().map(|source| source.queues).collect();
    }

    fn process(&mut self, events: Events, _: &mut EventOps) {
        let index = events.data() as usize;
        if let Some(notifier) = self.notifiers.get(index) {
            // Only clears the counter; what there is to do stands in the queue.
            let _ = notifier.read();
            self.serve(index);
        } else if let Some(queues) = self.source_queues.get(index - self.notifiers.len()) {
            queues.clone().for_each(|queue| self.serve(queue));
        }
    }
}

impl<D: VirtioDevice> Lifecycle for VirtioMmio<D> {
    fn instance(&self) -> &str {
        &self.instance
    }

    fn pause(&mut self) {
        if std::mem::replace(&mut self.paused, true) {
            return;
        }
        self.device.pause();
        (0..self.queues.len()).for_each(|index| self.work(index, D::drain));
    }

    fn resume(&mut self) {
        self.paused = false;
        let generation = self.device.config_generation();
        self.device.resume();
        self.tell_of_config(generation);
        if self.interrupt_status != 0 {
            self.irq.raise();
        }
        self.notify_all();
    }

    fn queue_sizes(&self) -> &[u16] {
        self.device.queue_sizes()
    }

    fn counters(&self) -> Counters {
        self.device.counters()
    }

    fn claim(&mut self) -> Result<(), String> {
        self.device.claim()
    }

    fn release(&mut self) {
        self.device.release();
    }
}
