//! The `frame` layer.
