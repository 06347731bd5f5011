//! Topics of the in-memory broker, and what it refuses.

use stompbox::broker::{BrokerError, MemoryBroker};

use crate::recorder::{Calls, Recorder, destination, subscriber};

#[test]
fn a_topic_goes_to_all_who_are_there() {
    let broker = MemoryBroker::new();
    let outlets = [Recorder::new(), Recorder::new()];
    broker.sends("/topic/a", "nobody is there").unwrap();
    broker.joins("/topic/a", subscriber(0, &outlets[0])).unwrap();
    broker.sends("/topic/a", "1").unwrap();
    broker.joins("/topic/a", subscriber(1, &outlets[1])).unwrap();
    broker.sends("/topic/a", "2").unwrap();
    broker.leaves("/topic/a", 0);
    broker.sends("/topic/a", "3").unwrap();
    assert_eq!(outlets[0].bodies(), ["1", "2"]);
    assert_eq!(outlets[1].bodies(), ["2", "3"]);
    broker.leaves("/topic/a", 1);
    assert_eq!(broker.router().destinations(), 0);
}

#[test]
fn a_prefix_that_nobody_handles_is_refused() {
    let broker = MemoryBroker::new();
    for name in ["/elsewhere/a", "/topic", "/queue", "/topicx/a", "/queues/a", "/x/topic/a"] {
        let refused = broker.sends(name, "x").unwrap_err();
        assert!(matches!(&refused, BrokerError::UnknownDestination { .. }), "{name}: {refused}");
        let said = refused.to_string();
        assert!(said.contains(name) && said.contains("/topic, /queue"), "{said}");
        let refused = broker.joins(name, subscriber(0, &Recorder::new())).unwrap_err();
        assert!(matches!(refused, BrokerError::UnknownDestination { .. }), "{name}");
    }
}

#[test]
fn prefixes_are_added_with_or_without_a_slash() {
    let broker = MemoryBroker::builder().topic("/broadcast/").queue("/work").build();
    broker.sends("/broadcast/a", "x").unwrap();
    broker.sends("/work/a", "x").unwrap();
    broker.sends("/topic/a", "x").unwrap();
    assert_eq!(broker.queued(&destination("/work/a")), 1);
    assert!(broker.sends("/broadcasts/a", "x").is_err());
}
