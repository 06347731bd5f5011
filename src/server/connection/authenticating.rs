use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};
use std::time::Instant;

use crate::session::ConnectFrame;

use super::super::authenticate::{Authenticating, AuthenticationError, ConnectRequest};
use super::super::{Principal, refusals, session_id};
use super::Connection;

/// A CONNECT that is being decided about.
pub(super) struct PendingConnect {
    connect: Box<ConnectFrame>,
    decision: Authenticating,
}

impl Connection {
    /// Begins to decide about a CONNECT.
    pub(super) fn on_connect(
        &mut self,
        connect: Box<ConnectFrame>,
        context: &mut Context<'_>,
        now: Instant,
    ) {
        let origin = std::mem::take(&mut self.origin);
        let request = ConnectRequest::new(connect.frame.clone(), origin.upgrade, origin.peer);
        let authenticate = &self.shared.authenticate;
        let decision = catch_unwind(AssertUnwindSafe(|| authenticate.authenticate(request)));
        let Ok(decision) = decision else { return self.authentication_failed(now) };
        self.connecting = Some(PendingConnect { connect, decision });
        self.poll_authentication(context, now);
    }

    pub(super) fn poll_authentication(&mut self, context: &mut Context<'_>, now: Instant) {
        let Some(mut pending) = self.connecting.take() else { return };
        // An authentication that panics is one connection's failure, not the server's.
        let decision = catch_unwind(AssertUnwindSafe(|| pending.decision.as_mut().poll(context)));
        match decision {
            Ok(Poll::Pending) => self.connecting = Some(pending),
            Ok(Poll::Ready(Ok(principal))) => self.welcome(&pending.connect, principal, now),
            Ok(Poll::Ready(Err(error))) => self.turn_away(&error, now),
            Err(_) => self.authentication_failed(now),
        }
    }

    fn authentication_failed(&mut self, now: Instant) {
        let detail = "who you are could not be found out; try again later";
        self.refuse(&refusals::internal(detail), now);
    }

    fn welcome(&mut self, connect: &ConnectFrame, principal: Principal, now: Instant) {
        let Ok(session) = session_id() else {
            let detail = "the server has no random numbers at present; try again";
            self.refuse(&refusals::internal(detail), now);
            return;
        };
        let connected = self.session.accept(connect, now);
        self.transport.set_limit(self.shared.message_limit());
        self.outlet.leaving(|leaving| leaving.connected(&connected, &session, principal.name()));
        self.principal = principal;
    }

    fn turn_away(&mut self, error: &AuthenticationError, now: Instant) {
        self.refuse(&refusals::of_authentication(error), now);
    }
}
