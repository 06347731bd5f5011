use crate::server::ServerBuilder;

use super::App;

/// What this layer adds.
impl ServerBuilder {
    /// Sets the application: what takes the messages to its destinations and, if it has a say in it,
    /// who may connect.
    pub fn app<S: Send + Sync + 'static>(self, mut app: App<S>) -> Self {
        match app.take_authentication() {
            Some(authentication) => self.authenticate(authentication),
            None => self,
        }
        .handle(app)
    }
}
