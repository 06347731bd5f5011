//! A client that comes back when its connection is lost.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use stompbox::session::{
    AckMode, ClientEvent, Confirm, NewMessage, NewSubscription, ReceivedMessage, Request,
};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::connection::Connection;

/// How long something that has to come may take. Only a test that fails waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long a client waits after it has lost its connection, and after each attempt that failed.
const PAUSE: Duration = Duration::from_millis(20);

/// A client. What it is asked for is done by a task, which ends with this.
pub(crate) struct Client {
    shared: Arc<Shared>,
    asked: mpsc::UnboundedSender<Asked>,
    task: AbortHandle,
}

struct Shared {
    diary: Mutex<Diary>,
    news: Notify,
}

/// What a client has seen.
#[derive(Debug, Default)]
pub(crate) struct Diary {
    pub(crate) messages: Vec<Arrived>,
    /// How many sessions it has had.
    pub(crate) sessions: usize,
    /// The messages of the ERRORs that it got.
    pub(crate) errors: Vec<String>,
}

/// A message that came.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) destination: Box<str>,
    /// The first word of the body: all by which a test tells messages from each other.
    pub(crate) word: Box<str>,
    pub(crate) gap: bool,
    pub(crate) redelivered: bool,
    /// In which of the client's sessions it came; the first is 1.
    pub(crate) session: usize,
}

impl Diary {
    /// For who reads what went wrong.
    pub(crate) fn in_short(&self) -> String {
        let Self { messages, sessions, errors } = self;
        let (count, last) = (messages.len(), messages.last());
        format!("{sessions} sessions, {count} messages, the last {last:?}, ERRORs {errors:?}")
    }

    /// Whether something came that this publisher sent as `number` or later.
    pub(crate) fn heard(&self, publisher: &str, number: usize) -> bool {
        self.messages.iter().rev().any(|message| {
            let word = message.word.split_once('/');
            word.is_some_and(|(name, sent)| {
                name == publisher && sent.parse().is_ok_and(|sent: usize| sent >= number)
            })
        })
    }

    /// The words of the messages that came last.
    pub(crate) fn last_words(&self) -> impl Iterator<Item = &str> {
        self.messages.iter().rev().take(LAST).map(|message| &*message.word)
    }
}

/// What a client does with what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Listens. After a loss it goes on with what is new.
    Listen,
    /// Listens. After a loss it goes on behind the last message that it had, by its token.
    Resume,
    /// Consumes, and acknowledges each.
    Settle,
    /// Consumes, and acknowledges none.
    Hold,
}

/// How many of the messages that came last are looked through for a last word: more than come
/// between the last words of the publishers of one room.
const LAST: usize = 100;

/// The most messages that a consumer holds.
pub(crate) const PREFETCH: &str = "5";

enum Asked {
    Subscribe { destination: Box<str>, mode: Mode, confirmed: oneshot::Sender<()> },
    Unsubscribe { destination: Box<str>, confirmed: oneshot::Sender<()> },
    Send { destination: Box<str>, body: Box<str>, confirmed: oneshot::Sender<()> },
    Leave { confirmed: oneshot::Sender<()> },
}

struct Subscription {
    id: String,
    destination: Box<str>,
    mode: Mode,
    /// Of the last message that came.
    token: Option<String>,
    /// Whether it goes on in the next session.
    goes_on: bool,
}

impl Client {
    /// Connects, by way of a balancer or to a node.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let shared = Shared { diary: Mutex::default(), news: Notify::new() };
        let shared = Arc::new(shared);
        let (asked, to_do) = mpsc::unbounded_channel();
        let work = Work {
            shared: Arc::clone(&shared),
            to_do,
            subscriptions: Vec::new(),
            waiting: HashMap::new(),
            unanswered: Vec::new(),
        };
        let task = tokio::spawn(work.run(address)).abort_handle();
        let client = Self { shared, asked, task };
        client.wait_for("to be connected", |diary| diary.sessions > 0).await;
        client
    }

    /// Subscribes, perhaps again, and waits until that is confirmed.
    pub(crate) async fn subscribe(&self, destination: &str, mode: Mode) {
        let destination = destination.into();
        self.have(|confirmed| Asked::Subscribe { destination, mode, confirmed }).await;
    }

    /// Unsubscribes, and waits until that is confirmed.
    pub(crate) async fn unsubscribe(&self, destination: &str) {
        let destination = destination.into();
        self.have(|confirmed| Asked::Unsubscribe { destination, confirmed }).await;
    }

    /// Sends a message; `Ok` when it is confirmed, an error when its connection was lost before.
    pub(crate) fn send(&self, destination: &str, body: &str) -> oneshot::Receiver<()> {
        let (confirmed, answer) = oneshot::channel();
        let (destination, body) = (destination.into(), body.into());
        self.ask(Asked::Send { destination, body, confirmed });
        answer
    }

    /// Sends a message. Returns whether it was confirmed.
    pub(crate) async fn try_publish(&self, destination: &str, body: &str) -> bool {
        let answer = tokio::time::timeout(PATIENCE, self.send(destination, body)).await;
        answer.expect("a SEND is answered in time").is_ok()
    }

    /// Sends a message, again if its connection was lost before it was confirmed.
    pub(crate) async fn publish(&self, destination: &str, body: &str) {
        while !self.try_publish(destination, body).await {}
    }

    /// Waits until this is so.
    pub(crate) async fn wait_for(&self, what: &str, met: impl Fn(&Diary) -> bool) {
        let waiting = async {
            loop {
                let news = self.shared.news.notified();
                if met(&self.shared.diary.lock()) {
                    return;
                }
                news.await;
            }
        };
        let met = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(met.is_ok(), "{what}: {}", self.shared.diary.lock().in_short());
    }

    pub(crate) fn diary(&self) -> MutexGuard<'_, Diary> {
        self.shared.diary.lock()
    }

    /// Leaves as it should: with a DISCONNECT, which the server confirms, and then closes.
    pub(crate) async fn leave(&self) {
        self.have(|confirmed| Asked::Leave { confirmed }).await;
    }

    /// Waits until what is asked for is confirmed.
    async fn have(&self, asked: impl FnOnce(oneshot::Sender<()>) -> Asked) {
        let (confirmed, answer) = oneshot::channel();
        self.ask(asked(confirmed));
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        answer.expect("it is confirmed in time").expect("the client goes on");
    }

    fn ask(&self, asked: Asked) {
        assert!(self.asked.send(asked).is_ok(), "the client goes on");
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a client's task has at hand.
struct Work {
    shared: Arc<Shared>,
    to_do: mpsc::UnboundedReceiver<Asked>,
    /// The place of each is its id.
    subscriptions: Vec<Subscription>,
    /// Who waits for another request of this session.
    waiting: HashMap<Request, oneshot::Sender<()>>,
    /// Who waits for a SUBSCRIBE: they wait through sessions.
    unanswered: Vec<(Option<Request>, usize, oneshot::Sender<()>)>,
}

/// Why a session is over.
enum End {
    Left,
    Lost,
}

impl Work {
    async fn run(mut self, address: SocketAddr) {
        loop {
            // A node that is killed while it accepts takes the connection and never answers.
            let opened = tokio::time::timeout(PATIENCE, Connection::open(address)).await;
            if let Ok(Ok(connection)) = opened
                && let Ok(End::Left) = self.session(connection).await
            {
                return;
            }
            self.waiting.clear();
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// One session. An error is that its connection was lost.
    async fn session(&mut self, mut connection: Connection) -> io::Result<End> {
        self.shared.diary.lock().sessions += 1;
        self.shared.news.notify_waiters();
        for place in 0..self.subscriptions.len() {
            if self.subscriptions[place].goes_on {
                self.subscribe(&mut connection, place);
            }
        }
        let mut leaving = None;
        loop {
            let mut news = false;
            while let Some(event) = connection.next_event()? {
                news = true;
                match event {
                    ClientEvent::Message(message) => self.arrived(&mut connection, &message),
                    ClientEvent::Confirmed(request) => self.confirmed(request),
                    ClientEvent::Error(error) => {
                        self.shared.diary.lock().errors.push(error.to_string());
                        return Ok(End::Lost);
                    }
                    ClientEvent::Disconnected => {
                        // Until the server has closed the connection, too.
                        while connection.read().await.is_ok() {}
                        leaving.take().map(|left: oneshot::Sender<()>| left.send(()));
                        return Ok(End::Left);
                    }
                    _ => {}
                }
            }
            if news {
                self.shared.news.notify_waiters();
            }
            connection.write().await?;
            tokio::select! {
                read = connection.read() => read?,
                asked = self.to_do.recv(), if leaving.is_none() => match asked {
                    Some(Asked::Leave { confirmed }) => {
                        let now = std::time::Instant::now();
                        connection.session.disconnect(now).expect("a DISCONNECT");
                        leaving = Some(confirmed);
                    }
                    Some(asked) => self.ask(&mut connection, asked),
                    None => return Ok(End::Left),
                },
            }
        }
    }

    fn ask(&mut self, connection: &mut Connection, asked: Asked) {
        match asked {
            Asked::Subscribe { destination, mode, confirmed } => {
                let place = self.place(destination, mode);
                self.subscriptions[place].goes_on = true;
                self.unanswered.push((None, place, confirmed));
                self.subscribe(connection, place);
            }
            Asked::Unsubscribe { destination, confirmed } => {
                let known = self.subscriptions.iter_mut().find(|it| it.destination == destination);
                let subscription = known.expect("a subscription");
                subscription.goes_on = false;
                let request = connection.session.unsubscribe(&subscription.id, Confirm::Receipt);
                self.waiting.insert(request.expect("an UNSUBSCRIBE"), confirmed);
            }
            Asked::Send { destination, body, confirmed } => {
                let message = NewMessage::to(&destination).with_body(body.as_bytes());
                let request = connection.session.send(&message, Confirm::Receipt);
                self.waiting.insert(request.expect("a SEND"), confirmed);
            }
            Asked::Leave { .. } => {}
        }
    }

    /// The place of the subscription to a destination, perhaps a new one.
    fn place(&mut self, destination: Box<str>, mode: Mode) -> usize {
        let known = self.subscriptions.iter().position(|it| it.destination == destination);
        known.unwrap_or_else(|| {
            let id = self.subscriptions.len().to_string();
            let subscription = Subscription { id, destination, mode, token: None, goes_on: true };
            self.subscriptions.push(subscription);
            self.subscriptions.len() - 1
        })
    }

    fn subscribe(&mut self, connection: &mut Connection, place: usize) {
        let Subscription { id, destination, mode, token, .. } = &self.subscriptions[place];
        let mut new = NewSubscription::new(id, destination);
        match mode {
            Mode::Listen => {}
            Mode::Resume => {
                if let Some(token) = token {
                    new = new.with_header("since", token);
                }
            }
            Mode::Settle | Mode::Hold => {
                let individual = AckMode::ClientIndividual;
                new = new.with_ack(individual).with_header("prefetch-count", PREFETCH);
            }
        }
        let request = connection.session.subscribe(&new, Confirm::Receipt).expect("a SUBSCRIBE");
        for (asked, of, _) in &mut self.unanswered {
            if *of == place {
                *asked = Some(request);
            }
        }
    }

    fn confirmed(&mut self, request: Request) {
        if let Some(confirmed) = self.waiting.remove(&request) {
            confirmed.send(()).ok();
        }
        for (_, _, confirmed) in self.unanswered.extract_if(.., |it| it.0 == Some(request)) {
            // Whoever has given up waiting need not know.
            confirmed.send(()).ok();
        }
    }

    fn arrived(&mut self, connection: &mut Connection, message: &ReceivedMessage) {
        let header = |name: &str| message.frame.header(name).map(std::borrow::Cow::into_owned);
        let id = message.subscription.as_deref().and_then(|id| id.parse::<usize>().ok());
        let subscription = &mut self.subscriptions[id.expect("an id of this client's")];
        subscription.token = header("token").or(subscription.token.take());
        let body = std::str::from_utf8(message.frame.body()).expect("text");
        let mut diary = self.shared.diary.lock();
        let session = diary.sessions;
        diary.messages.push(Arrived {
            destination: header("destination").expect("its destination").into(),
            word: body.split(' ').next().unwrap_or_default().into(),
            gap: header("gap").is_some_and(|gap| gap == "true"),
            redelivered: header("redelivered").is_some_and(|again| again == "true"),
            session,
        });
        // What comes while it leaves goes to others.
        if subscription.mode == Mode::Settle && connection.session.is_connected() {
            let unsettled = message.unsettled.as_ref().expect("a message to be settled");
            connection.session.ack(unsettled, None, Confirm::No).expect("an ACK");
        }
    }
}
