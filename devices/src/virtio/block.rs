//! The disk (virtio 1.2 §5.2): a raw image or a block device.
//!
//! The event loop reads requests from the queues and puts answers there; `engine` serves them on threads of its own. What the
//! host has in its page cache is read at once: to hand it to a thread and back would cost more than the read.
//! What is in flight ends before a pause does, and is answered, so nothing is lost or done twice when the guest moves;
//! before the state is saved everything written is durable, for whoever reads the image next. `config` is what is asked
//! for, `request` reads a descriptor chain, `work` does what it asks for, `tally` counts that, `image` and `lock` have the
//! file.

#[cfg(test)]
mod block_test;
mod config;
#[cfg(test)]
mod config_test;
mod engine;
mod image;
#[cfg(test)]
mod image_test;
mod lock;
#[cfg(test)]
mod lock_test;
mod request;
mod space;
mod state;
mod sys;
mod tally;
#[cfg(test)]
mod test_disk;
mod work;
#[cfg(test)]
mod work_test;

use std::{io, sync::Arc};

use godwit_state::{Save, StateError};
use thiserror::Error;
use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_MQ, VIRTIO_BLK_F_RO,
    VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_WRITE_ZEROES,
};
use virtio_queue::{Queue, QueueT};

pub use self::{
    config::{DiskConfig, ImageType, MAX_DISK_QUEUE_SIZE, MAX_DISK_QUEUES, SERIAL_BYTES},
    image::ImageError,
    state::BlockState,
};
use self::{
    engine::{Engine, Threads},
    image::{Image, SECTOR_BYTES},
    request::Request,
    tally::Tally,
    work::{AT_ONCE_BYTES, Done, MAX_SEGMENTS, Manner},
};
use super::{
    ServeError, Served, Source, VirtioDevice,
    queue::{Offered, Taken, serve_each},
    used::{publish, wants_interrupt},
};
use crate::{Counters, GuestMemory, options::OptionError, rate_limiter::RateLimiter};

/// Device type of a block device.
const DEVICE_TYPE: u32 = 2;

/// Why a disk cannot be made.
#[derive(Debug, Error)]
pub enum DiskError {
    /// Values that cannot be.
    #[error(transparent)]
    Config(#[from] OptionError),
    /// The image cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Out of descriptors or memory.
    #[error("the host cannot give what it needs: {0}")]
    Host(#[from] io::Error),
}

/// A disk.
pub struct Block {
    image: Arc<Image>,
    engine: Box<dyn Engine>,
    queue_sizes: Vec<u16>,
    limiter: Option<RateLimiter>,
    /// Requests in flight, of each queue.
    in_flight: Vec<u16>,
    /// Bytes that may still be read at once, before the event loop looks after others.
    at_once_left: u64,
    manner: Manner,
    tally: Tally,
    /// The serial number was asked for here; otherwise a guest that comes from elsewhere brings its own.
    serial_is_given: bool,
    generation: u32,
}

impl Block {
    /// Opens the image of `config`. It is locked when the machine is about to run.
    ///
    /// # Errors
    /// [`DiskError`], which names the image or the option.
    pub fn open(config: &DiskConfig) -> Result<Self, DiskError> {
        config.check()?;
        let image = Arc::new(Image::open(config)?);
        let queues = usize::from(config.num_queues);
        let mut manner = Manner::default();
        let serial = config.serial.as_deref().unwrap_or_default().bytes();
        manner.serial.iter_mut().zip(serial).for_each(|(to, byte)| *to = byte);
        Ok(Self {
            engine: Box::new(Threads::new(Arc::clone(&image), queues)?),
            image,
            queue_sizes: config.queue_sizes(),
            limiter: config.rate_limiter_config.as_ref().map(RateLimiter::new).transpose()?,
            in_flight: vec![0; queues],
            at_once_left: 0,
            manner,
            tally: Tally::default(),
            serial_is_given: config.serial.is_some(),
            generation: 0,
        })
    }

    /// Whether somebody else has the image of `config`: asked by a process that is about to give up the right to look
    /// at others, and then could not tell who it is. An image that cannot be opened is told of by [`Self::open`].
    ///
    /// # Errors
    /// Who has it, in words.
    pub fn is_free(config: &DiskConfig) -> Result<(), String> {
        Image::open(config).map_or(Ok(()), |image| image.lock())
    }

    /// Its size in bytes, as the guest sees it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.image.sectors() * SECTOR_BYTES
    }

    /// Gives the disk a new size: `bytes`, to which a file is made to grow, or that which the image has been given by
    /// now. Within [`VirtioMmio::update`](super::VirtioMmio::update).
    ///
    /// # Errors
    /// [`ImageError`].
    pub fn resize(&mut self, bytes: Option<u64>) -> Result<(), ImageError> {
        let before = self.bytes();
        self.image.resize(bytes)?;
        if self.bytes() != before {
            self.generation = self.generation.wrapping_add(1);
        }
        Ok(())
    }

    /// Answers what has ended for queue `index`.
    fn answer(&mut self, index: usize, queue: &mut Queue, memory: &GuestMemory) -> Result<(), ServeError> {
        while let Some(done) = self.engine.take(index) {
            self.count(&done);
            publish(queue, memory, &[(done.head, done.written)])?;
            if let Some(in_flight) = self.in_flight.get_mut(index) {
                *in_flight = in_flight.saturating_sub(1);
            }
        }
        Ok(())
    }

    fn count(&mut self, done: &Done) {
        if let Some(moved) = &done.moved {
            self.tally.add(moved);
        }
    }

    /// Takes a request of queue `index`, where it may be taken now.
    fn take_one(
        &mut self,
        index: usize,
        limit: u16,
        chain: &Offered,
        memory: &GuestMemory,
    ) -> Result<Taken, ServeError> {
        let Some(in_flight) = self.in_flight.get_mut(index) else { return Ok(Taken::Later) };
        // A driver has no more than its queue holds in flight, unless it hands a buffer out twice.
        if *in_flight >= limit {
            return Ok(Taken::Later);
        }
        let request = Request::read(chain, memory, MAX_SEGMENTS as usize)?;
        let bytes = request.moves().map_or(0, |moved| moved.bytes);
        if self.limiter.as_mut().is_some_and(|limiter| !limiter.admit(bytes)) {
            return Ok(Taken::Later);
        }
        if bytes <= self.at_once_left
            && let Some(done) = work::serve_at_once(&request, &self.image, memory)
        {
            self.at_once_left -= bytes;
            self.count(&done);
            return Ok(Taken::Done(done.written));
        }
        *in_flight += 1;
        self.engine.submit(index, request, memory, self.manner)?;
        Ok(Taken::Kept)
    }
}

impl VirtioDevice for Block {
    fn device_type(&self) -> u32 {
        DEVICE_TYPE
    }

    fn features(&self) -> u64 {
        let mut bits = vec![VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_MQ];
        if self.image.read_only {
            bits.push(VIRTIO_BLK_F_RO);
        } else {
            bits.extend([VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_WRITE_ZEROES]);
        }
        bits.into_iter().fold(0, |features, bit| features | 1 << bit)
    }

    fn queue_sizes(&self) -> &[u16] {
        &self.queue_sizes
    }

    fn sources(&self) -> Vec<Source> {
        let all = 0..self.in_flight.len();
        let ended = all.clone().map(|queue| Source::to_read(self.engine.fd(queue), queue));
        // What the limit lets through may be of any queue.
        let limit = self
            .limiter
            .iter()
            .map(|limiter| Source { queues: all.clone(), ..Source::to_read(limiter.fd(), 0) });
        ended.chain(limit).collect()
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let space = space::of(&self.image, &self.queue_sizes);
        for (at, byte) in (offset..).zip(data) {
            *byte = usize::try_from(at).ok().and_then(|at| space.get(at)).copied().unwrap_or(0);
        }
    }

    /// Nothing of it can be written: VIRTIO_BLK_F_CONFIG_WCE is not offered.
    fn write_config(&mut self, _: u64, _: &[u8]) {}

    fn config_generation(&self) -> u32 {
        self.generation
    }

    fn activate(&mut self, features: u64) {
        self.manner.write_through = features & 1 << VIRTIO_BLK_F_FLUSH == 0;
    }

    fn reset(&mut self) {
        self.engine.finish();
        for (index, in_flight) in self.in_flight.iter_mut().enumerate() {
            while self.engine.take(index).is_some() {}
            *in_flight = 0;
        }
        self.manner.write_through = false;
    }

    fn serve(&mut self, index: usize, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        let (since, size) = (queue.next_used(), queue.size());
        self.at_once_left = AT_ONCE_BYTES;
        self.answer(index, queue, memory)?;
        let served = serve_each(queue, memory, since, |chain| self.take_one(index, size, chain, memory))?;
        self.answer(index, queue, memory)?;
        Ok(Served { interrupt: wants_interrupt(queue, memory, since)?, ..served })
    }

    fn pause(&mut self) {
        self.engine.finish();
    }

    fn drain(&mut self, index: usize, queue: &mut Queue, memory: &GuestMemory) -> Result<Served, ServeError> {
        let since = queue.next_used();
        self.answer(index, queue, memory)?;
        Ok(Served { interrupt: wants_interrupt(queue, memory, since)?, more: false })
    }

    fn resume(&mut self) {}

    fn counters(&self) -> Counters {
        self.tally.counters()
    }

    fn claim(&mut self) -> Result<(), String> {
        self.image.lock()
    }

    fn release(&mut self) {
        self.image.unlock();
    }
}

impl Save for Block {
    type State = BlockState;

    fn save(&self) -> Result<BlockState, StateError> {
        let invalid =
            |reason| StateError::Invalid { instance: self.image.path().display().to_string(), reason };
        // The next to read the image may be another host.
        self.image.flush().map_err(|error| invalid(format!("it cannot be made durable: {error}")))?;
        Ok(BlockState {
            sectors: self.image.sectors(),
            block_bytes: self.image.block_bytes(),
            read_only: self.image.read_only,
            serial: self.manner.serial,
        })
    }

    fn restore(&mut self, state: &BlockState) -> Result<(), StateError> {
        let invalid =
            |reason| StateError::Invalid { instance: self.image.path().display().to_string(), reason };
        // The source may have made it grow since it was opened here.
        self.image.resize(None).map_err(|error| invalid(error.to_string()))?;
        let own = BlockState {
            sectors: self.image.sectors(),
            block_bytes: self.image.block_bytes(),
            read_only: self.image.read_only,
            serial: if self.serial_is_given { self.manner.serial } else { state.serial },
        };
        own.fits(state).map_err(invalid)?;
        self.manner.serial = own.serial;
        Ok(())
    }
}
