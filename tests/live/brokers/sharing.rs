//! A room of several programs, as docs/brokers.md starts them.

use crate::client::header;
use crate::program::Program;

/// Two programs over the engine at a URL share a room that the engine keeps.
pub(crate) fn two_programs_share(url: &str, room: &str) {
    let (here, there) = (Program::start(url, &[]), Program::start(url, &[]));
    let (mut one, mut other) = (here.connect(), there.connect());
    one.subscribe(room, "");
    other.publish(room, "", "hello");
    let message = one.expect("hello", &[]);

    // Whoever goes on on another node, after the token that it had, misses nothing.
    let token = header(&message, "token");
    drop((one, here));
    other.publish(room, "", "meanwhile");
    let mut again = there.connect();
    again.subscribe(room, &format!("since:{token}\n"));
    let message = again.expect("meanwhile", &[]);
    assert!(!message.contains("gap:"), "{message}");
}
