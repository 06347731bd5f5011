//! RECEIPT on every client frame (row C6).

use crate::client::connected;

fn receipt(id: &str) -> String {
    format!("RECEIPT\nreceipt-id:{id}\n\n^@")
}

#[test]
fn c6_every_client_frame_but_connect_may_ask_for_one() {
    let mut client = connected("1.2");
    let mut number = 0;
    let mut answered = |frame: &str| {
        number += 1;
        let asking = frame.replacen('\n', &format!("\nreceipt:r{number}\n"), 1);
        let answer = client.says(&asking);
        assert_eq!(answer, receipt(&format!("r{number}")), "{frame}");
        if frame.starts_with("SUBSCRIBE") {
            client.delivers("a", "x");
            client.delivers("a", "y");
        }
    };
    answered("SEND\ndestination:/a\n\nhello^@");
    answered("SUBSCRIBE\nid:a\nack:client-individual\ndestination:/queue/a\n\n^@");
    answered("ACK\nid:0-1\n\n^@");
    answered("NACK\nid:0-2\n\n^@");
    answered("BEGIN\ntransaction:t\n\n^@");
    answered("SEND\ntransaction:t\ndestination:/a\n\nheld^@");
    answered("ABORT\ntransaction:t\n\n^@");
    answered("BEGIN\ntransaction:t\n\n^@");
    answered("COMMIT\ntransaction:t\n\n^@");
    answered("UNSUBSCRIBE\nid:a\n\n^@");
    answered("DISCONNECT\n\n^@");
}

#[test]
fn c6_connect_gets_none() {
    let mut client = crate::client::Client::new(crate::client::settings());
    let answer = client.says("CONNECT\naccept-version:1.2\nreceipt:1\n\n^@");
    assert!(answer.starts_with("CONNECTED\n") && !answer.contains("RECEIPT"), "{answer}");
}

#[test]
fn c6_without_a_receipt_header_there_is_no_answer() {
    let mut client = connected("1.2");
    assert_eq!(client.says("SEND\ndestination:/a\n\nhello^@"), "");
    assert_eq!(client.says("SUBSCRIBE\nid:a\ndestination:/a\n\n^@"), "");
    assert_eq!(client.says("UNSUBSCRIBE\nid:a\n\n^@"), "");
    assert_eq!(client.says("BEGIN\ntransaction:t\n\n^@COMMIT\ntransaction:t\n\n^@"), "");
    assert_eq!(client.says("DISCONNECT\n\n^@"), "");
}

#[test]
fn c6_receipts_come_in_the_order_of_what_was_done() {
    let mut client = connected("1.2");
    let answer = client.says(
        "SEND\ndestination:/a\nreceipt:1\n\n^@\n\nSEND\ndestination:/b\nreceipt:2\n\n^@\n\
         SUBSCRIBE\nid:s\ndestination:/a\nreceipt:3\n\n^@",
    );
    assert_eq!(answer, ["1", "2", "3"].map(receipt).concat());
    assert_eq!(client.done, ["send /a ", "send /b "]);
}

#[test]
fn c6_the_receipt_of_subscribe_goes_before_its_first_message() {
    for direct in [false, true] {
        let mut client = connected("1.2");
        client.direct = direct;
        client.confirms = false;
        assert_eq!(client.says("SUBSCRIBE\nid:a\nreceipt:r\ndestination:/queue/a\n\n^@"), "");
        assert_eq!(client.delivers("a", "1"), "");
        assert_eq!(client.delivers("a", "2"), "");
        assert!(client.leaving.held_bytes() > 0);
        let message = |number: u32| {
            format!(
                "MESSAGE\nsubscription:a\nmessage-id:{number}\ndestination:/queue/a\n\
                 content-length:1\n\n{number}^@"
            )
        };
        assert_eq!(client.confirm(), receipt("r") + &message(1) + &message(2));
        assert_eq!(client.leaving.held_bytes(), 0);
        assert_eq!(client.delivers("a", "3"), message(3));
    }
}

#[test]
fn c6_receipt_ids_are_escaped_by_version() {
    for (version, sent, back) in
        [("1.2", r"a\c\\\n", r"a\c\\\n"), ("1.1", r"a\c\\", r"a\c\\"), ("1.0", r"a:\c", r"a:\c")]
    {
        let answer =
            connected(version).says(&format!("SEND\ndestination:/a\nreceipt:{sent}\n\n^@"));
        assert_eq!(answer, receipt(back), "{version}");
    }
}
