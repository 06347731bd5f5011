//! Row C5 of PROTOCOL.md: the choice of the subprotocol.

use http::Request;
use stompbox::handshake::{Subprotocol, Upgrade};

use super::requests::{check, valid, with};

fn chosen(upgrade: &Upgrade, request: &Request<()>) -> Option<Subprotocol> {
    let accepted = check(upgrade, request).unwrap();
    let echoed = accepted.response().headers().get("sec-websocket-protocol").cloned();
    assert_eq!(echoed, accepted.subprotocol().map(|s| s.as_str().parse().unwrap()));
    accepted.subprotocol()
}

#[test]
fn c5_the_highest_that_both_know_is_echoed() {
    let offered = |values| chosen(&Upgrade::new(), &with("sec-websocket-protocol", values));
    assert_eq!(offered(&["v12.stomp, v11.stomp, v10.stomp"]), Some(Subprotocol::V12Stomp));
    // webstomp-client 1.2.6: the worst first.
    assert_eq!(offered(&["v10.stomp,v11.stomp,v12.stomp"]), Some(Subprotocol::V12Stomp));
    assert_eq!(offered(&["v10.stomp", "v11.stomp"]), Some(Subprotocol::V11Stomp));
    assert_eq!(offered(&["mqtt, v10.stomp"]), Some(Subprotocol::V10Stomp));
    assert_eq!(offered(&[" ,, v11.stomp\t,"]), Some(Subprotocol::V11Stomp));
}

#[test]
fn c5_none_offered_and_only_unknown_ones_are_accepted_and_none_is_echoed() {
    assert_eq!(chosen(&Upgrade::new(), &valid()), None);
    for values in
        [&["mqtt"][..], &["V12.STOMP"], &["v12.stomp;q=1"], &["v13.stomp"], &["\u{e4}"], &[""]]
    {
        let request = with("sec-websocket-protocol", values);
        assert_eq!(chosen(&Upgrade::new(), &request), None, "{values:?}");
    }
}

#[test]
fn c5_only_what_is_served_is_chosen() {
    let request = with("sec-websocket-protocol", &["v12.stomp, v11.stomp, v10.stomp"]);
    let old = Upgrade::new().subprotocols([Subprotocol::V10Stomp, Subprotocol::V11Stomp]);
    assert_eq!(chosen(&old, &request), Some(Subprotocol::V11Stomp));
    assert_eq!(chosen(&Upgrade::new().subprotocols([]), &request), None);
}

#[test]
fn names_are_read_back() {
    for subprotocol in Subprotocol::ALL {
        assert_eq!(Subprotocol::parse(subprotocol.as_str()), Some(subprotocol));
        assert_eq!(subprotocol.to_string(), subprotocol.as_str());
    }
}
