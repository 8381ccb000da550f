//! The bare-metal load guest, and the recipe of the Linux guest.
