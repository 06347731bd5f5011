use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::*;
use crate::broker::Message;
use crate::frame::{Command, Frame};
use crate::session::{AckMode, SubscribeFrame};

/// Takes so many writes, and fails then.
struct Failing(usize);

impl AsyncRead for Failing {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Failing {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let left = self.0.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe);
        Poll::Ready(left.map(|left| self.0 = left).map(|()| bytes.len()).map_err(io::Error::from))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What becomes of two messages of a write each, over a socket that takes so many writes.
fn deliver_two(writes: usize) -> Taken {
    let (settings, now) = (Arc::new(SessionSettings::default()), Instant::now());
    let socket = Socket::new(Failing(writes));
    let outlet = ConnectionOutlet::new(socket, Wire::Tcp, settings, now);
    let subscribe = SubscribeFrame {
        id: Some("0".into()),
        destination: "/queue/a".into(),
        ack: AckMode::ClientIndividual,
        prefetch: None,
        frame: Frame::new(Command::Subscribe),
        receipt: None,
    };
    let key = outlet.leaving(|leaving| {
        let key = leaving.subscribe(&subscribe).expect("a subscription");
        leaving.activate(key, None);
        key
    });
    let large = || Message::builder("/queue/a".parse().expect("a queue")).body(vec![b'-'; WRITE]);
    let deliveries = [1, 2].map(|tag| Delivery::new(large().into_shared()).with_tag(tag));
    outlet.deliver(key, &deliveries, now)
}

#[test]
fn what_may_have_arrived_before_the_socket_failed_counts_as_delivered() {
    assert_eq!([0, 1, 2].map(deliver_two), [Taken::Gone, Taken::Queued, Taken::Written]);
}
