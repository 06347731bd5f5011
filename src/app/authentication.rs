use std::sync::Arc;

use crate::server::{Authenticate, Authenticating, AuthenticationError, ConnectRequest, Principal};

/// An async function that decides who may connect.
#[derive(Clone)]
pub(super) struct Authentication(Arc<dyn Fn(ConnectRequest) -> Authenticating + Send + Sync>);

impl Authentication {
    pub(super) fn new<F, T>(decide: F) -> Self
    where
        F: FnOnce(ConnectRequest) -> T + Clone + Send + Sync + 'static,
        T: Future<Output = Result<Principal, AuthenticationError>> + Send + 'static,
    {
        Self(Arc::new(move |request| Box::pin(decide.clone()(request))))
    }
}

impl Authenticate for Authentication {
    fn authenticate(&self, request: ConnectRequest) -> Authenticating {
        (self.0)(request)
    }
}
