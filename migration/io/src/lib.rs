//! Bytes over the world: tcp and unix transports, the control driver, the lanes.
