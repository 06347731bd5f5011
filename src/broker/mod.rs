//! The `broker` layer.
