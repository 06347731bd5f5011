use std::any::Any;
use std::fmt;
use std::sync::Arc;

use http::Extensions;

/// Who a connection is: decided once, when it connects, by [`Authenticate`](super::Authenticate).
///
/// It has a name, which CONNECTED tells the client in `user-name`, and whatever the application
/// attaches for its handlers. Cloning shares it.
///
/// ```
/// use stompbox::server::Principal;
///
/// #[derive(Clone, Debug, PartialEq)]
/// struct Tenant(u32);
///
/// let ann = Principal::new("ann").with(Tenant(7));
/// assert_eq!(ann.name(), Some("ann"));
/// assert_eq!(ann.get::<Tenant>(), Some(&Tenant(7)));
/// assert_eq!(Principal::anonymous().name(), None);
/// ```
///
/// A whole example, from a token or a cookie to a handler that asks who it is, is at
/// `stompbox::app::App::authenticate`.
#[derive(Clone, Default)]
pub struct Principal(Option<Arc<Known>>);

#[derive(Clone, Default)]
struct Known {
    name: Option<Box<str>>,
    attached: Extensions,
}

impl Principal {
    /// Somebody with this name.
    pub fn new(name: impl Into<String>) -> Self {
        let name = Some(name.into().into_boxed_str());
        Self(Some(Arc::new(Known { name, attached: Extensions::new() })))
    }

    /// Nobody in particular.
    pub fn anonymous() -> Self {
        Self(None)
    }

    /// Attaches a value for handlers; one of each type.
    #[must_use]
    pub fn with<T: Any + Clone + Send + Sync>(self, value: T) -> Self {
        let mut known = self.0.map(Arc::unwrap_or_clone).unwrap_or_default();
        known.attached.insert(value);
        Self(Some(Arc::new(known)))
    }

    /// The name; `None` for nobody in particular.
    pub fn name(&self) -> Option<&str> {
        self.0.as_ref()?.name.as_deref()
    }

    /// What was attached, by its type.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.0.as_ref()?.attached.get()
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Principal").field(&self.name()).finish()
    }
}
