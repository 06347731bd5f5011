use std::fmt;
use std::sync::Arc;

use crate::broker::Destination;
use crate::server::{
    AuthenticationError, ConnectRequest, Handle, HandleError, Handling, Principal, SendRequest,
};

use super::authentication::Authentication;
use super::routes::Routes;
use super::{ErrorReport, Handler};

/// The prefixes of an application's own destinations.
const PREFIXES: [&str; 2] = ["/pub", "/app"];

/// An application: which handler takes the messages to which destination, and who may connect.
///
/// It is given to a server by [`ServerBuilder::app`](crate::server::ServerBuilder::app).
///
/// Everything under its prefixes, `/pub` and `/app` at first, is the application's: a SEND there
/// that no handler takes is answered by an ERROR that lists what is handled. A handler may also be
/// set for a destination elsewhere, such as one of the broker's, which then gets these messages no
/// more.
///
/// `S` is what all handlers share: see [`with_state`](Self::with_state).
///
/// ```
/// use stompbox::app::App;
/// use stompbox::server::{HandleError, Principal, Publisher};
///
/// async fn say(text: String, who: Principal, publisher: Publisher) -> Result<(), HandleError> {
///     let line = format!("{}: {text}", who.name().unwrap_or("somebody"));
///     publisher.publish("/topic/said", line).await?;
///     Ok(())
/// }
///
/// let app = App::new()
///     .message("/pub/say", say)
///     .message("/pub/ping", async |publisher: Publisher| -> Result<(), HandleError> {
///         Ok(publisher.publish("/topic/pong", "").await?)
///     });
/// # let _ = stompbox::server::Server::builder().app(app);
/// ```
#[must_use = "an app does nothing until a server has it"]
pub struct App<S = ()> {
    state: S,
    prefixes: Vec<Destination>,
    routes: Routes<S>,
    authentication: Option<Authentication>,
    on_error: Option<OnError>,
}

/// What is told of errors.
pub(super) type OnError = Arc<dyn Fn(ErrorReport<'_>) + Send + Sync>;

impl App {
    /// An application without handlers and without state.
    pub fn new() -> Self {
        Self::with_state(())
    }
}

impl<S: Send + Sync + 'static> App<S> {
    /// An application whose handlers share a state, which they get as [`State<S>`](super::State).
    pub fn with_state(state: S) -> Self {
        Self {
            state,
            prefixes: PREFIXES.iter().copied().map(destination).collect(),
            routes: Routes::new(),
            authentication: None,
            on_error: None,
        }
    }

    /// Sets what takes the messages to a destination.
    ///
    /// # Panics
    ///
    /// If `destination` is no valid name of a [`Destination`], is a pattern, or has a handler
    /// already.
    #[track_caller]
    pub fn message<A>(mut self, destination: &str, handler: impl Handler<S, A>) -> Self {
        if let Err(mistake) = self.routes.add(self::destination(destination), handler) {
            misused(&mistake);
        }
        self
    }

    /// Adds a prefix under which every destination is the application's. `/pub` and `/app` are
    /// prefixes already.
    ///
    /// With a prefix of the broker's, such as `/topic`, clients may still subscribe there, but what
    /// they SEND goes to the handler of that destination or, there being none, is refused. The
    /// program's own [`Publisher`](crate::server::Publisher)s still publish:
    ///
    /// ```
    /// use stompbox::app::App;
    /// use stompbox::server::{HandleError, Publisher};
    ///
    /// async fn say(text: String, publisher: Publisher) -> Result<(), HandleError> {
    ///     if text.len() > 4_000 {
    ///         return Err(HandleError::new("text too long", "4,000 bytes at most"));
    ///     }
    ///     Ok(publisher.publish("/topic/said", text).await?)
    /// }
    ///
    /// // Nothing comes to a topic or a queue but by a handler or from the program.
    /// let app = App::new().prefix("/topic").prefix("/queue").message("/pub/say", say);
    /// # let _ = app;
    /// ```
    ///
    /// # Panics
    ///
    /// If `prefix` is no valid name of a [`Destination`].
    #[track_caller]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefixes.push(destination(prefix));
        self
    }

    /// Sets who may connect. The function sees the headers of CONNECT and the Upgrade request; what
    /// it returns is the [`Principal`] of the connection, which handlers can ask for. Without it the
    /// server decides.
    ///
    /// A closure is cloned for each connection, with what it captures. Here a bearer token or else a
    /// cookie says who it is, and a handler asks for what is known of them:
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use std::sync::Arc;
    /// use stompbox::app::App;
    /// use stompbox::server::{
    ///     AuthenticationError, ConnectRequest, HandleError, Principal, Publisher,
    /// };
    ///
    /// #[derive(Clone)]
    /// struct User {
    ///     name: String,
    ///     team: u64,
    /// }
    ///
    /// /// Who is logged in, by their tokens.
    /// type Users = HashMap<String, User>;
    ///
    /// async fn authenticate(
    ///     users: Arc<Users>,
    ///     request: ConnectRequest,
    /// ) -> Result<Principal, AuthenticationError> {
    ///     let token = match request.bearer_token() {
    ///         Some(token) => token,
    ///         None => request
    ///             .cookie("session")
    ///             .ok_or_else(|| AuthenticationError::new("log in first"))?
    ///             .to_owned(),
    ///     };
    ///     let user = users.get(&token).ok_or_else(AuthenticationError::refused)?;
    ///     Ok(Principal::new(&user.name).with(user.clone()))
    /// }
    ///
    /// async fn say(text: String, who: Principal, publisher: Publisher) -> Result<(), HandleError> {
    ///     let user = who.get::<User>().ok_or_else(|| HandleError::internal("a user is missing"))?;
    ///     let line = format!("{}: {text}", user.name);
    ///     publisher.publish(&format!("/topic/team/{}", user.team), line).await?;
    ///     Ok(())
    /// }
    ///
    /// let users: Arc<Users> = Arc::default();
    /// let app = App::new()
    ///     .authenticate(async move |request| authenticate(users, request).await)
    ///     .message("/pub/say", say);
    /// # let _ = app;
    /// ```
    pub fn authenticate<F, T>(mut self, decide: F) -> Self
    where
        F: FnOnce(ConnectRequest) -> T + Clone + Send + Sync + 'static,
        T: Future<Output = Result<Principal, AuthenticationError>> + Send + 'static,
    {
        self.authentication = Some(Authentication::new(decide));
        self
    }

    /// Sets what is told of every message that was not handled and of every client that
    /// [`authenticate`](Self::authenticate) did not let in. Nothing is written anywhere by default.
    ///
    /// Plain refusals are reported too; what went wrong inside, which no client sees, has a
    /// [`source`](ErrorReport::source).
    ///
    /// ```
    /// use stompbox::app::App;
    ///
    /// let app = App::new().on_error(|report| {
    ///     if let Some(source) = report.source() {
    ///         eprintln!("{report}: {source}");
    ///     }
    /// });
    /// # let _ = app;
    /// ```
    pub fn on_error(mut self, tell: impl Fn(ErrorReport<'_>) + Send + Sync + 'static) -> Self {
        self.on_error = Some(Arc::new(tell));
        self
    }

    pub(super) fn take_authentication(&mut self) -> Option<Authentication> {
        let authentication = self.authentication.take()?;
        Some(authentication.with_on_error(self.on_error.clone()))
    }

    fn is_under_a_prefix(&self, destination: &str) -> bool {
        self.prefixes.iter().any(|prefix| {
            let rest = destination.strip_prefix(prefix.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    fn call(&self, request: &SendRequest) -> Handling {
        match self.routes.find(&request.destination) {
            Some(handler) => handler(request, &self.state),
            None => refused(self.nobody_handles(&request.destination)),
        }
    }

    fn nobody_handles(&self, destination: &str) -> HandleError {
        match Destination::new(destination) {
            Ok(destination) => {
                let handled = self.routes.in_words();
                let detail = format!(
                    "nothing handles the destination {destination}; this application handles {handled}"
                );
                HandleError::new("unknown destination", detail)
            }
            Err(error) => HandleError::new("invalid destination", error.to_string()),
        }
    }
}

impl Default for App {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Send + Sync + 'static> Handle for App<S> {
    fn handles(&self, destination: &str) -> bool {
        self.is_under_a_prefix(destination) || self.routes.find(destination).is_some()
    }

    fn handle(&self, request: SendRequest) -> Handling {
        let handling = self.call(&request);
        let Some(tell) = self.on_error.clone() else { return handling };
        let destination = request.destination;
        Box::pin(async move {
            handling.await.inspect_err(|error| tell(ErrorReport::message(&destination, error)))
        })
    }
}

impl<S> fmt::Debug for App<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("prefixes", &self.prefixes)
            .field("routes", &self.routes)
            .field("authenticates", &self.authentication.is_some())
            .finish_non_exhaustive()
    }
}

fn refused(error: HandleError) -> Handling {
    Box::pin(std::future::ready(Err(error)))
}

/// A name that the program gives, which it can only have got wrong when it was written.
#[track_caller]
fn destination(name: &str) -> Destination {
    Destination::new(name).unwrap_or_else(|error| misused(&error.to_string()))
}

/// A mistake in the program that sets its routes, found when it starts.
#[track_caller]
#[allow(clippy::panic)] // No peer's bytes get here, and a route that is not there must not go unseen.
fn misused(mistake: &str) -> ! {
    panic!("{mistake}")
}
