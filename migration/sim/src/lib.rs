//! The lab: the engine on a virtual clock and link, with virtual guests.
