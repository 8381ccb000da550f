//! The migration engine, and nothing of the world around it.
pub mod codec;
pub mod error;
pub mod host;
pub mod limits;
pub mod page;
pub mod shape;
pub mod wire;
