//! The locks of what is shared between tasks and proven by a model checker: under
//! `--cfg stompbox_loom` they are loom's, which tries every order in which threads can take them.

#[cfg(stompbox_loom)]
pub(crate) use modelled::{Mutex, RwLock};
#[cfg(not(stompbox_loom))]
pub(crate) use parking_lot::{Mutex, RwLock};

/// loom's locks with the methods of `parking_lot`'s. A panic with a lock held ends the model.
#[cfg(stompbox_loom)]
#[allow(clippy::unwrap_used, reason = "a poisoned lock ends the model")]
mod modelled {
    use loom::sync::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    #[derive(Debug, Default)]
    pub(crate) struct RwLock<T>(loom::sync::RwLock<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap()
        }
    }

    impl<T> RwLock<T> {
        pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().unwrap()
        }

        pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().unwrap()
        }
    }
}
