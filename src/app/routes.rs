use std::collections::HashMap;
use std::fmt;

use crate::broker::Destination;
use crate::server::{Handling, SendRequest};

use super::Handler;

/// How many destinations an ERROR lists.
const LISTED: usize = 16;

/// Which handler takes the messages to which destination.
pub(super) struct Routes<S>(HashMap<Destination, Route<S>>);

/// A handler whose arguments are known no more.
type Route<S> = Box<dyn Fn(&SendRequest, &S) -> Handling + Send + Sync>;

impl<S: 'static> Routes<S> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    /// Adds a handler, or says why it cannot be one of this destination.
    pub(super) fn add<A>(
        &mut self,
        destination: Destination,
        handler: impl Handler<S, A>,
    ) -> Result<(), String> {
        if destination.is_pattern() {
            return Err(format!("{destination} is a pattern, which no message is ever sent to"));
        }
        if self.0.contains_key(&destination) {
            return Err(format!("{destination} has a handler already"));
        }
        let route = move |request: &SendRequest, state: &S| handler.call(request, state);
        self.0.insert(destination, Box::new(route));
        Ok(())
    }

    pub(super) fn find(&self, destination: &str) -> Option<&Route<S>> {
        self.0.get(destination)
    }

    /// The destinations, for a text.
    pub(super) fn in_words(&self) -> String {
        let mut names: Vec<_> = self.0.keys().map(Destination::as_str).collect();
        if names.is_empty() {
            return "none".to_owned();
        }
        names.sort_unstable();
        let more = names.len().saturating_sub(LISTED);
        names.truncate(LISTED);
        let listed = names.join(", ");
        if more == 0 { listed } else { format!("{listed} and {more} more") }
    }
}

impl<S> fmt::Debug for Routes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut() {
        let mut routes = Routes::<()>::new();
        assert_eq!(routes.in_words(), "none");
        for name in 10..30 {
            let destination = Destination::new(&format!("/pub/{name}")).unwrap();
            routes.add(destination, async || {}).unwrap();
        }
        let words = routes.in_words();
        assert!(words.starts_with("/pub/10, /pub/11, "), "{words}");
        assert!(words.ends_with(", /pub/25 and 4 more"), "{words}");
    }
}
