use crate::listener::{Listener, publish, send, texts, unique};
use crate::rooms::room;
use crate::{keeping_node, node, url};

#[tokio::test]
#[ignore = "needs nats"]
async fn what_several_subscriptions_match_comes_to_each_once_and_in_order() {
    let node = node(&url()).await;
    let room = room();
    let names = ["", "/**", "/*", "/**/x", "/*/**", "/a/x", "/#"];
    let mut listeners = Vec::new();
    for name in names {
        listeners.push(Listener::new(&node, &format!("{room}{name}")).await);
    }
    let mut sent = Vec::new();
    for number in 0..200 {
        sent.push(send(&node, &format!("{room}/a/x"), &number.to_string()));
    }
    for outcome in sent {
        outcome.await.unwrap();
    }
    publish(&node, &room, "bare").await.unwrap();
    publish(&node, &format!("{room}/x"), "x").await.unwrap();
    publish(&node, &format!("{room}/a/y"), "y").await.unwrap();

    let numbers: Vec<_> = (0..200).map(|number: u32| number.to_string()).collect();
    let expected: [(bool, &[&str]); 7] = [
        (false, &["bare"]),
        (true, &["bare", "x", "y"]),
        (false, &["x"]),
        (true, &["x"]),
        (true, &["x", "y"]),
        (true, &[]),
        (true, &["bare", "x", "y"]),
    ];
    for ((name, listener), (all, others)) in names.iter().zip(&listeners).zip(expected) {
        let count = if all { 200 } else { 0 } + others.len();
        let received = listener.mailbox.wait_for(count, crate::listener::PATIENCE).await;
        let came = texts(&received.unwrap_or_else(|came| panic!("{name}: {:?}", texts(&came))));
        let (counted, mut rest): (Vec<_>, Vec<_>) =
            came.into_iter().partition(|body| body.parse::<u32>().is_ok());
        assert!(counted == if all { numbers.clone() } else { Vec::new() }, "{name}: {counted:?}");
        // Only messages of one destination have an order.
        rest.sort();
        assert_eq!(rest, others, "{name}");
    }
}

#[tokio::test]
#[ignore = "needs nats"]
async fn nothing_is_lost_or_double_while_overlapping_subscriptions_come_and_go() {
    let node = node(&url()).await;
    let room = room();
    let place = format!("{room}/a");
    let stays =
        [Listener::new(&node, &place).await, Listener::new(&node, &format!("{room}/*")).await];
    let mut sent = Vec::new();
    for number in 0..300 {
        sent.push(send(&node, &place, &number.to_string()));
        if number % 10 == 0 {
            let passing = Listener::new(&node, &format!("{room}/**")).await;
            passing.leave(&node);
        }
    }
    for outcome in sent {
        outcome.await.unwrap();
    }
    for listener in stays {
        let came = texts(&listener.until("299").await);
        assert!(
            came.iter()
                .eq((0..300).map(|number: u32| number.to_string()).collect::<Vec<_>>().iter()),
            "{came:?}"
        );
    }
}

/// What is kept makes a detour, so that what was published behind it elsewhere comes before it.
#[tokio::test]
#[ignore = "needs nats"]
async fn a_pattern_over_what_is_kept_and_what_is_not_misses_nothing() {
    let node = keeping_node(&url()).await;
    let name = unique("mixed");
    let listener = Listener::new(&node, &format!("/topic/*/{name}")).await;
    let mut sent = Vec::new();
    for number in 0..500 {
        for below in ["kept", "live"] {
            let body = format!("{below}-{number}");
            sent.push(send(&node, &format!("/topic/{below}/{name}"), &body));
        }
    }
    for outcome in sent {
        outcome.await.unwrap();
    }
    let received = listener.mailbox.wait_for(1_000, crate::listener::PATIENCE).await;
    let came = received.unwrap_or_else(|came| panic!("{} came", came.len()));
    for below in ["kept-", "live-"] {
        let came = texts(&came);
        let numbers = came.iter().filter_map(|body| body.strip_prefix(below));
        assert!(numbers.eq((0..500).map(|number: u32| number.to_string())), "{below}: {came:?}");
    }
    assert!(!came.iter().any(|it| it.gap));
}
