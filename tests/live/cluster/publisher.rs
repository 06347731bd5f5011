//! Clients that publish until they are told to stop.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::task::JoinHandle;

use crate::client::{Client, PATIENCE};
use crate::cluster::until;

/// How many messages of a publisher wait to be confirmed.
const WINDOW: usize = 4;

/// A client that publishes `name/0`, `name/1` and so on, as fast as they are confirmed.
pub(crate) struct Publisher {
    pub(crate) name: String,
    state: Arc<State>,
    publishing: JoinHandle<Published>,
}

#[derive(Default)]
struct State {
    ended: AtomicBool,
    /// The number of the next message.
    next: AtomicUsize,
    confirmed: AtomicUsize,
}

/// What a publisher has done.
pub(crate) struct Published {
    pub(crate) name: String,
    client: Client,
    destination: String,
    /// For each of its messages whether it was confirmed.
    pub(crate) confirmed: Vec<bool>,
}

impl Publisher {
    /// One that is connected to this address.
    pub(crate) async fn start(address: SocketAddr, name: String, destination: &str) -> Self {
        let client = Client::connect(address).await;
        let state = Arc::new(State::default());
        let published = Published {
            name: name.clone(),
            client,
            destination: destination.to_owned(),
            confirmed: Vec::new(),
        };
        let publishing = tokio::spawn(publish(published, Arc::clone(&state)));
        Self { name, state, publishing }
    }

    /// The number of its next message.
    pub(crate) fn next(&self) -> usize {
        self.state.next.load(Ordering::Relaxed)
    }

    /// Waits until so many more of its messages are confirmed.
    pub(crate) async fn goes_on(&self, count: usize) {
        let confirmed = || self.state.confirmed.load(Ordering::Relaxed);
        let enough = confirmed() + count;
        until(&self.name, || match confirmed() {
            confirmed if confirmed >= enough => Ok(()),
            confirmed => Err(format!("{confirmed} of {enough} are confirmed")),
        })
        .await;
    }

    /// Lets it publish no more, and waits until all are answered.
    pub(crate) async fn end(self) -> Published {
        self.state.ended.store(true, Ordering::Relaxed);
        self.publishing.await.expect("it publishes")
    }
}

impl Published {
    /// The message that says that no more come.
    pub(crate) fn last_word(&self) -> String {
        format!("{}/end", self.name)
    }

    /// Sends its last message, until that is confirmed.
    pub(crate) async fn publish_last_word(&self) {
        self.client.publish(&self.destination, &self.last_word()).await;
    }

    /// The words of those that were confirmed.
    pub(crate) fn confirmed_words(&self) -> impl Iterator<Item = String> {
        let confirmed = self.confirmed.iter().enumerate().filter(|(_, confirmed)| **confirmed);
        confirmed.map(|(number, _)| format!("{}/{number}", self.name))
    }

    pub(crate) async fn leave(&self) {
        self.client.leave().await;
    }
}

async fn publish(mut published: Published, state: Arc<State>) -> Published {
    let mut waiting = VecDeque::new();
    let mut number = 0;
    loop {
        let ended = state.ended.load(Ordering::Relaxed);
        while !ended && waiting.len() < WINDOW {
            let body = format!("{}/{number}", published.name);
            waiting.push_back(published.client.send(&published.destination, &body));
            number += 1;
            state.next.store(number, Ordering::Relaxed);
        }
        let Some(first) = waiting.pop_front() else { return published };
        let answered = tokio::time::timeout(PATIENCE, first).await;
        let confirmed = answered.expect("a SEND is answered in time").is_ok();
        published.confirmed.push(confirmed);
        state.confirmed.fetch_add(usize::from(confirmed), Ordering::Relaxed);
    }
}
