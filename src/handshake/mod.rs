//! The `handshake` layer.
