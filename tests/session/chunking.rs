//! However the bytes of a client are cut, the session asks for the same.

use proptest::prelude::*;

use crate::client::{Client, settings};

/// A frame, or something that is none.
fn frame() -> impl Strategy<Value = String> {
    let simple = prop::sample::select(vec![
        "SEND\ndestination:/a\n\nhello^@",
        "SEND\ndestination:/a\ncontent-length:3\n\nx^@y^@",
        "SEND\ndestination:/a\ntransaction:t\nreceipt:1\n\nheld^@\n\n",
        "\n",
        "\r\n",
        "SUBSCRIBE\nid:1\ndestination:/queue/a\nack:client\n\n^@",
        "SUBSCRIBE\nid:2\ndestination:/queue/b\nreceipt:2\n\n^@",
        "UNSUBSCRIBE\nid:1\nreceipt:3\n\n^@",
        "ACK\nid:0-1\n\n^@",
        "BEGIN\ntransaction:t\n\n^@",
        "COMMIT\ntransaction:t\nreceipt:4\n\n^@",
        "ABORT\ntransaction:t\n\n^@",
        "DISCONNECT\nreceipt:5\n\n^@",
        "CONNECT\n\n^@",
        "HELO\n\n^@",
    ]);
    prop_oneof![9 => simple.prop_map(str::to_owned), 1 => "[A-Z\n:^@]{0,20}"]
}

fn answers(chunks: &[&[u8]]) -> (Vec<String>, String, bool) {
    let mut client = Client::new(settings());
    let mut answer = String::new();
    for chunk in chunks {
        // Not `says`, which shows NUL as text, since a chunk may end within a character.
        client.session.receive(chunk.to_vec(), client.now);
        answer += &client.says("");
    }
    (client.done, answer, client.refusal.is_some())
}

proptest! {
    #[test]
    fn any_chunking_asks_for_the_same(
        frames in prop::collection::vec(frame(), 0..12),
        connects in prop::bool::weighted(0.9),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let start = if connects { "CONNECT\naccept-version:1.2\n\n^@" } else { "" };
        let text = [start, &frames.concat()].concat().replace("^@", "\0");
        let bytes = text.as_bytes();
        let whole = answers(&[bytes]);

        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let chunks: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        prop_assert_eq!(&answers(&chunks), &whole);

        let single: Vec<_> = bytes.chunks(1).collect();
        prop_assert_eq!(&answers(&single), &whole);
    }
}
