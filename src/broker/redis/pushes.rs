use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use redis::aio::SendError;
use redis::{AsyncConnectionConfig, PushInfo, PushKind, Value};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What Redis has pushed over a connection, in its order, and how much of it waits.
pub(super) struct Pushes {
    receiver: UnboundedReceiver<(PushInfo, usize)>,
    waiting: Arc<AtomicUsize>,
}

/// How many bytes of messages may wait here. A node that falls behind further loses its connection,
/// as it would lose it at Redis (`client-output-buffer-limit`).
const WAITING_BYTES: usize = 64 << 20;

impl Pushes {
    /// The settings of a connection, and what is pushed over it.
    pub(super) fn config() -> (AsyncConnectionConfig, Self) {
        let (sender, receiver) = unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&waiting);
        let push = move |info: PushInfo| {
            let bytes = size(&info);
            if counted.fetch_add(bytes, Ordering::Relaxed) > WAITING_BYTES {
                let disconnected = PushInfo { kind: PushKind::Disconnection, data: Vec::new() };
                drop(sender.send((disconnected, 0)));
                return Err(SendError);
            }
            sender.send((info, bytes)).map_err(|_| SendError)
        };
        (AsyncConnectionConfig::new().set_push_sender(push), Self { receiver, waiting })
    }

    /// Waits for the next. There is none after the connection is lost.
    pub(super) async fn next(&mut self) -> Option<PushInfo> {
        let (info, bytes) = self.receiver.recv().await?;
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        Some(info)
    }

    /// The next, if it is there.
    pub(super) fn try_next(&mut self) -> Option<PushInfo> {
        let (info, bytes) = self.receiver.try_recv().ok()?;
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        Some(info)
    }
}

fn size(info: &PushInfo) -> usize {
    let bytes = info.data.iter().map(|value| match value {
        Value::BulkString(bytes) => bytes.len(),
        _ => 0,
    });
    size_of::<PushInfo>() + bytes.sum::<usize>()
}
