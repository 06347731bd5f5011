//! What subscribers who come late get of what topics keep.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use stompbox::broker::{
    Broker, BrokerError, Capability, DestinationRules, HistoryRequest, Host, MemoryBroker, Router,
    Subscriber, Taken, Turn, Work,
};
use stompbox::session::Token;

use crate::recorder::{
    Calls, Recorder, delivery, destination, done, id, message, subscriber, turn,
};

pub(crate) const ROOM: &str = "/topic/room/5";
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A broker whose topics keep by this rule.
pub(crate) fn broker(settings: &str) -> MemoryBroker {
    MemoryBroker::builder().rule(format!("/topic/**,{settings}").parse().unwrap()).build()
}

pub(crate) fn send(broker: &MemoryBroker, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        broker.sends(ROOM, &number.to_string()).unwrap();
    }
}

pub(crate) fn asking(
    connection: u64,
    outlet: &Arc<Recorder>,
    request: HistoryRequest,
) -> Subscriber {
    subscriber(connection, outlet).with_history(Some(request))
}

pub(crate) fn after(token: &str) -> HistoryRequest {
    HistoryRequest::After(token.into())
}

/// What somebody gets who joins with this request, and then one live message; and which of it says
/// that messages are missing.
pub(crate) fn joined(broker: &MemoryBroker, request: HistoryRequest) -> (Vec<String>, Vec<String>) {
    let outlet = Recorder::new();
    broker.joins(ROOM, asking(7, &outlet, request)).unwrap();
    broker.sends(ROOM, "live").unwrap();
    broker.leaves(ROOM, 7);
    (outlet.bodies(), outlet.gaps())
}

pub(crate) fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

#[test]
fn each_message_that_is_kept_carries_its_token() {
    let outlets = [Recorder::new(), Recorder::new()];
    let keeping = broker("history=3");
    keeping.joins(ROOM, subscriber(0, &outlets[0])).unwrap();
    send(&keeping, 0..2);
    keeping.joins(ROOM, asking(1, &outlets[1], HistoryRequest::Last(9))).unwrap();
    send(&keeping, 2..3);
    assert_eq!(outlets[0].got(), outlets[1].got(), "history is what the live ones got");
    let tokens: Vec<_> = outlets[0].got().into_iter().map(|got| got.token).collect();
    assert_eq!(tokens, ["0-0", "0-1", "0-2"].map(|token| Some(token.to_owned())));

    let forgetting = MemoryBroker::new();
    let outlet = Recorder::new();
    forgetting.joins(ROOM, subscriber(0, &outlet)).unwrap();
    send(&forgetting, 0..1);
    assert_eq!(outlet.got()[0].token, None);
}

#[test]
fn the_last_messages_and_then_the_live_ones() {
    let rows: [(u64, &[&str]); 5] = [
        (0, &["live"]),
        (1, &["4", "live"]),
        (2, &["3", "4", "live"]),
        (3, &["2", "3", "4", "live"]),
        (u64::MAX, &["2", "3", "4", "live"]),
    ];
    for (count, expected) in rows {
        let broker = broker("history=3");
        send(&broker, 0..5);
        let (got, gaps) = joined(&broker, HistoryRequest::Last(count));
        assert_eq!(got, expected, "history:{count}");
        assert!(gaps.is_empty(), "it asked for what there is");
    }
}

#[test]
fn what_came_after_a_token() {
    // What was published before, the token, what is delivered, and whether something is missing.
    let rows: [(&str, &[&str], bool); 7] = [
        ("0-4", &["live"], false),
        ("0-3", &["4", "live"], false),
        ("0-1", &["2", "3", "4", "live"], false),
        ("0-0", &["2", "3", "4", "live"], true),
        // Not given yet, of another run of the program, and beyond all numbers.
        ("0-5", &["2", "3", "4", "live"], true),
        ("abc-3", &["2", "3", "4", "live"], true),
        ("0-18446744073709551615", &["2", "3", "4", "live"], true),
    ];
    for (token, expected, gap) in rows {
        let broker = broker("history=3");
        send(&broker, 0..5);
        let (got, gaps) = joined(&broker, after(token));
        assert_eq!(got, expected, "{token}");
        assert_eq!(gaps, expected[..usize::from(gap)], "{token}");
    }
}

#[test]
fn where_nothing_is_left_the_first_live_message_says_so() {
    let broker = broker("history=3");
    let (got, gaps) = joined(&broker, after("abc-3"));
    assert_eq!((got, gaps), (texts(["live"]), texts(["live"])));
    let outlet = Recorder::new();
    broker.joins(ROOM, asking(0, &outlet, after("0-0"))).unwrap();
    send(&broker, 0..3);
    assert_eq!(outlet.bodies(), ["0", "1", "2"]);
    assert!(outlet.gaps().is_empty(), "0-0 was the last one");
    let late = Recorder::new();
    let nothing =
        MemoryBroker::builder().rule("/topic/**,history-bytes=1".parse().unwrap()).build();
    nothing.joins(ROOM, asking(0, &late, after("0-0"))).unwrap();
    send(&nothing, 0..3);
    assert_eq!(
        (late.bodies(), late.gaps()),
        (texts(["0", "1", "2"]), texts(["0"])),
        "only the first"
    );
}

/// Publishes a message at each of these minutes, and returns what somebody gets who asks at minute
/// ten for what came within so many minutes.
fn within(broker: &MemoryBroker, published: &[u32], minutes: u32) -> (Vec<String>, Vec<String>) {
    let start = Instant::now();
    let outlet = Recorder::new();
    for minute in published {
        let mut turn = Turn::new(start + MINUTE * *minute);
        done(broker.publish(message(ROOM, &minute.to_string()), &mut turn)).unwrap();
    }
    let request = HistoryRequest::Within(MINUTE * minutes);
    let mut turn = Turn::new(start + MINUTE * 10);
    done(broker.subscribe(&destination(ROOM), asking(0, &outlet, request), &mut turn)).unwrap();
    drop(turn);
    let mut turn = Turn::new(start + MINUTE * 10);
    done(broker.publish(message(ROOM, "live"), &mut turn)).unwrap();
    drop(turn);
    (outlet.bodies(), outlet.gaps())
}

#[test]
fn what_came_within_a_time() {
    let published = [0, 2, 4, 6, 8];
    let rows: [(&str, u32, &[&str], bool); 6] = [
        ("history=9", 0, &["live"], false),
        ("history=9", 3, &["8", "live"], false),
        ("history=9", 4, &["6", "8", "live"], false),
        ("history=9", 9, &["2", "4", "6", "8", "live"], false),
        // Nobody knows what was published before the broker began.
        ("history=9", 11, &["0", "2", "4", "6", "8", "live"], true),
        ("history=2", 7, &["6", "8", "live"], true),
    ];
    for (settings, minutes, expected, gap) in rows {
        let (got, gaps) = within(&broker(settings), &published, minutes);
        assert_eq!(got, expected, "{settings}, {minutes} minutes");
        assert_eq!(gaps, expected[..usize::from(gap)], "{settings}, {minutes} minutes");
    }
    let (got, gaps) = within(&broker("history=2"), &published, 5);
    assert_eq!((got, gaps), (texts(["6", "8", "live"]), texts([])), "what is lost is older");
}

#[test]
fn a_client_that_reads_slowly_reads_on_when_it_is_resumed() {
    let broker = broker("history=1000");
    send(&broker, 0..500);
    let outlet = Recorder::new();
    outlet.answer(Taken::Queued);
    broker.joins(ROOM, asking(0, &outlet, HistoryRequest::Last(1_000))).unwrap();
    let mut before = outlet.bodies().len();
    assert!(before > 0 && before < 500, "one slice: {before}");
    send(&broker, 500..600);
    assert_eq!(outlet.bodies().len(), before, "what is published meanwhile waits");
    while outlet.bodies().len() < 600 {
        broker.resume(&destination(ROOM), id(0), &mut turn());
        assert!(outlet.bodies().len() > before, "each time a slice");
        before = outlet.bodies().len();
    }
    broker.resume(&destination(ROOM), id(0), &mut turn());
    send(&broker, 600..601);
    assert!(outlet.bodies().into_iter().eq((0..601).map(|number| number.to_string())));
    assert!(outlet.gaps().is_empty());
}

#[test]
fn who_is_overtaken_is_told() {
    let broker = broker("history=100");
    send(&broker, 0..100);
    let outlet = Recorder::new();
    outlet.answer(Taken::Queued);
    broker.joins(ROOM, asking(0, &outlet, HistoryRequest::Last(100))).unwrap();
    let read = outlet.bodies().len();
    send(&broker, 100..250);
    outlet.answer(Taken::Written);
    broker.resume(&destination(ROOM), id(0), &mut turn());
    let expected = (0..read).chain(150..250).map(|number| number.to_string());
    assert!(outlet.bodies().into_iter().eq(expected), "{:?}", outlet.bodies());
    assert_eq!(outlet.gaps(), ["150"]);
}

#[test]
fn a_client_that_is_resumed_before_its_answer_is_known_reads_on() {
    let broker = Arc::new(broker("history=1000"));
    send(&broker, 0..300);
    let outlet = {
        let broker = Arc::downgrade(&broker);
        Recorder::reacting(move |_| {
            let broker = broker.upgrade().unwrap();
            broker.resume(&destination(ROOM), id(0), &mut turn());
        })
    };
    outlet.answer(Taken::Queued);
    broker.joins(ROOM, asking(0, &outlet, HistoryRequest::Last(1_000))).unwrap();
    assert_eq!(outlet.bodies().len(), 300);
}

#[test]
fn who_leaves_while_reading_gets_nothing_more() {
    let broker = broker("history=1000");
    send(&broker, 0..300);
    let outlet = Recorder::new();
    outlet.answer(Taken::Queued);
    broker.joins(ROOM, asking(0, &outlet, HistoryRequest::Last(1_000))).unwrap();
    let read = outlet.bodies().len();
    assert_eq!(broker.router().subscribers(&destination(ROOM)), 1);
    broker.leaves(ROOM, 0);
    broker.resume(&destination(ROOM), id(0), &mut turn());
    send(&broker, 300..301);
    assert_eq!(outlet.bodies().len(), read);
    assert_eq!(broker.router().subscribers(&destination(ROOM)), 0);
    assert_eq!(Arc::strong_count(&outlet), 1);
}

/// A host that keeps what it is handed, and counts how often a deadline became earlier.
#[derive(Default)]
struct Keeping {
    work: Mutex<Vec<Work>>,
    earlier: AtomicUsize,
}

impl Host for Keeping {
    fn hand_over(&self, work: Work) {
        self.work.lock().push(work);
    }

    fn epoch(&self) -> u64 {
        0xe90c
    }

    fn deadline_changed(&self) {
        self.earlier.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_long_history_is_read_in_turns_and_others_publish_in_between() {
    let broker = broker("history=10000,history-bytes=64MiB");
    let host = Arc::new(Keeping::default());
    broker.attach(host.clone());
    send(&broker, 0..5_000);
    let (reader, live) = (Recorder::new(), Recorder::new());
    broker.joins(ROOM, subscriber(1, &live)).unwrap();
    broker.joins(ROOM, asking(0, &reader, HistoryRequest::Last(10_000))).unwrap();
    let first = reader.bodies().len();
    assert!(first > 0 && first < 5_000, "{first}");
    send(&broker, 5_000..5_100);
    let mut turns = 0;
    let mut work = host.work.lock().pop();
    while let Some(more) = work {
        work = more.run(Instant::now());
        turns += 1;
        assert_eq!(live.bodies().len(), 100, "who is live does not wait for who reads");
    }
    assert!(turns >= 4, "{turns}");
    assert!(host.work.lock().is_empty());
    assert!(reader.bodies().into_iter().eq((0..5_100).map(|number| number.to_string())));
}

#[test]
fn the_host_tells_runs_apart_and_is_told_of_deadlines() {
    let broker = broker("history=3");
    let host = Arc::new(Keeping::default());
    broker.attach(host.clone());
    let outlet = Recorder::new();
    broker.joins(ROOM, subscriber(0, &outlet)).unwrap();
    send(&broker, 0..3);
    assert_eq!(outlet.token_of("2"), "e90c-2");
    broker.sends("/topic/other", "x").unwrap();
    assert_eq!(host.earlier.load(Ordering::SeqCst), 1, "not with each message");
}

#[test]
fn what_cannot_be_given_is_refused() {
    let broker = MemoryBroker::builder().rule("/topic/kept/**,history=3".parse().unwrap()).build();
    assert!(broker.capabilities().supports(Capability::History));
    assert!(!MemoryBroker::new().capabilities().supports(Capability::History));
    let refused =
        |name: &str, request| broker.joins(name, asking(0, &Recorder::new(), request)).unwrap_err();
    for name in ["/topic/kept/*", "/queue/a"] {
        let error = refused(name, HistoryRequest::Last(1));
        let of_history =
            matches!(error, BrokerError::Unsupported { capability: Capability::History, .. });
        assert!(of_history, "{name}: {error}");
    }
    let error = refused("/topic/other", HistoryRequest::Last(1));
    assert_eq!(error, BrokerError::NoHistory { destination: "/topic/other".to_owned() });
    for token in ["yesterday", "", "1", "1-", "-1", "0-+1", "0-01", "0F-1", "x-1", "1-2-3"] {
        let error = refused("/topic/kept/a", after(token));
        assert!(matches!(error, BrokerError::InvalidToken { .. }), "{token}: {error}");
        assert!(error.to_string().contains(&format!("since:{token:?}")), "{error}");
    }
    assert_eq!(broker.router().destinations(), 0, "nothing is left of them");
}

/// What an adapter does: its engine gives the order and the tokens.
#[test]
fn messages_that_an_engine_ordered_keep_its_tokens() {
    let mut rules = DestinationRules::default();
    rules.add("/topic/**,history=3".parse().unwrap());
    let router = Router::with_history(Arc::new(rules), 1 << 20);
    let with_token = |number: usize| {
        let token = Token::new(&format!("17{number:011}-0")).unwrap();
        delivery(&number.to_string()).with_token(token)
    };
    for number in 0..5 {
        drop(router.route(&destination(ROOM), with_token(number), &mut turn()));
    }
    let rows: [(usize, &[&str], bool); 3] =
        [(4, &[], false), (2, &["3", "4"], false), (1, &["2", "3", "4"], true)];
    for (number, expected, gap) in rows {
        let outlet = Recorder::new();
        let token = with_token(number).token().map(ToString::to_string).unwrap();
        router.subscribe(&destination(ROOM), asking(0, &outlet, after(&token)), &mut turn());
        assert_eq!(outlet.bodies(), expected);
        assert_eq!(outlet.gaps().len(), usize::from(gap));
        router.unsubscribe(&destination(ROOM), id(0));
    }
}

/// Publishers, and readers who come in the middle: each gets all of it, once and in one order.
#[test]
fn who_joins_while_others_publish_misses_nothing() {
    const EACH: usize = 1_000;
    let broker = broker("history=100000,history-bytes=64MiB");
    let outlets: [_; 4] = std::array::from_fn(|_| Recorder::new());
    let start = Barrier::new(2 + outlets.len());
    std::thread::scope(|scope| {
        let (broker, start) = (&broker, &start);
        for publisher in 0..2 {
            scope.spawn(move || {
                start.wait();
                for number in 0..EACH {
                    broker.sends(ROOM, &format!("{publisher} {number}")).unwrap();
                }
            });
        }
        for (connection, outlet) in (0..).zip(&outlets) {
            scope.spawn(move || {
                start.wait();
                let all = HistoryRequest::Last(u64::MAX);
                broker.joins(ROOM, asking(connection, outlet, all)).unwrap();
            });
        }
    });
    let first = outlets[0].bodies();
    assert_eq!(first.len(), 2 * EACH);
    for publisher in ["0 ", "1 "] {
        let of_it = first.iter().filter_map(|body| body.strip_prefix(publisher));
        assert!(of_it.eq((0..EACH).map(|number| number.to_string())));
    }
    for outlet in &outlets {
        assert_eq!(outlet.bodies(), first);
        assert!(outlet.gaps().is_empty());
    }
}
