use std::sync::Arc;

use crate::server::{Authenticate, Authenticating, AuthenticationError, ConnectRequest, Principal};

use super::ErrorReport;
use super::app::OnError;

/// An async function that decides who may connect, and what is told of its errors.
pub(super) struct Authentication {
    decide: Decide,
    on_error: Option<OnError>,
}

type Decide = Arc<dyn Fn(ConnectRequest) -> Authenticating + Send + Sync>;

impl Authentication {
    pub(super) fn new<F, T>(decide: F) -> Self
    where
        F: FnOnce(ConnectRequest) -> T + Clone + Send + Sync + 'static,
        T: Future<Output = Result<Principal, AuthenticationError>> + Send + 'static,
    {
        let decide =
            Arc::new(move |request| -> Authenticating { Box::pin(decide.clone()(request)) });
        Self { decide, on_error: None }
    }

    pub(super) fn with_on_error(self, on_error: Option<OnError>) -> Self {
        Self { on_error, ..self }
    }
}

impl Authenticate for Authentication {
    fn authenticate(&self, request: ConnectRequest) -> Authenticating {
        let decision = (self.decide)(request);
        let Some(tell) = self.on_error.clone() else { return decision };
        Box::pin(
            async move { decision.await.inspect_err(|error| tell(ErrorReport::connect(error))) },
        )
    }
}
