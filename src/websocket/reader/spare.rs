use std::cell::Cell;

use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

/// How large a context's own buffer is at first, in bytes. Most frames of STOMP fit; tungstenite
/// fills as much with zeros for each read.
const BUFFER: usize = 1024;

/// A context that has read a longer frame than this, in bytes, is not kept: its buffer has grown.
const KEPT_FRAME: u64 = 16 * 1024;

thread_local! {
    /// A context that is in the middle of nothing, for whichever reader of this thread reads next.
    static SPARE: Cell<Option<Box<WebSocketContext>>> = const { Cell::new(None) };
}

/// The thread's spare context, or a new one.
pub(super) fn lend(limit: usize) -> Box<WebSocketContext> {
    let mut context = SPARE.take().unwrap_or_else(|| {
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            // Whatever it writes is passed on at once.
            .write_buffer_size(0);
        Box::new(WebSocketContext::new(Role::Server, Some(config)))
    });
    set_limit(&mut context, limit);
    context
}

/// Takes a context back that has read whole messages only, and has nothing left to write. `longest`
/// is the longest frame that it has read, in bytes: the buffer has grown to that.
pub(super) fn give_back(context: Box<WebSocketContext>, longest: u64) {
    if longest <= KEPT_FRAME {
        SPARE.set(Some(context));
    }
}

/// Sets how large messages may be, in bytes.
pub(super) fn set_limit(context: &mut WebSocketContext, limit: usize) {
    context.set_config(|config| {
        config.max_message_size = Some(limit);
        config.max_frame_size = Some(limit);
    });
}
