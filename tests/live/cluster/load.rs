//! Rooms and a queue in which messages go on and on.

use futures_util::future::join_all;

use crate::client::{Client, Mode};
use crate::cluster::{Cluster, NODES};
use crate::consuming;
use crate::listening::{self, Missing};
use crate::publisher::{Published, Publisher};

/// How many rooms there are of those that are kept, and of the others.
const ROOMS: usize = 2;
const LISTENERS_OF_ROOM: usize = 2 * NODES;
const PUBLISHERS: usize = NODES;
const CONSUMERS: usize = 2 * NODES;

/// Clients of a cluster that publish, listen and consume.
pub(crate) struct Load {
    rooms: Vec<Room<Publisher>>,
    /// None where the engine has no queues.
    queue: Option<Queue<Publisher>>,
}

/// What came of a load.
pub(crate) struct Loaded {
    rooms: Vec<Room<Published>>,
    queue: Option<Queue<Published>>,
}

struct Room<P> {
    destination: String,
    kept: bool,
    listeners: Vec<Client>,
    publishers: Vec<P>,
}

struct Queue<P> {
    consumers: Vec<Client>,
    publishers: Vec<P>,
}

impl Load {
    /// Has all of them connect by way of the balancer, so that each node has some of each.
    pub(crate) async fn start(cluster: &Cluster) -> Self {
        let mut rooms = Vec::new();
        for number in 0..ROOMS {
            rooms.push(Room::start(cluster, cluster.kept_room(number), cluster.can.history).await);
            rooms.push(Room::start(cluster, cluster.live_room(number), false).await);
        }
        let mut queue = None;
        if cluster.can.queues {
            queue = Some(Queue::start(cluster, &cluster.queue("load")).await);
        }
        Self { rooms, queue }
    }

    /// Waits until so many more messages of each publisher are confirmed, and each listener hears
    /// what is published from now on.
    pub(crate) async fn goes_on(&self, count: usize) {
        let next = |room: &Room<_>| room.publishers.iter().map(Publisher::next).collect();
        let marks: Vec<Vec<_>> = self.rooms.iter().map(next).collect();
        let of_queue = self.queue.iter().flat_map(|queue| &queue.publishers);
        let of_rooms = self.rooms.iter().flat_map(|room| &room.publishers);
        join_all(of_rooms.chain(of_queue).map(|publisher| publisher.goes_on(count))).await;
        for (room, marks) in self.rooms.iter().zip(marks) {
            for (publisher, mark) in room.publishers.iter().zip(marks) {
                for listener in &room.listeners {
                    listener.wait_for("to hear", |diary| diary.heard(&publisher.name, mark)).await;
                }
            }
        }
    }

    /// Lets it end, and waits until all that was confirmed has come.
    pub(crate) async fn end(self) -> Loaded {
        let mut rooms = Vec::new();
        for room in self.rooms {
            rooms.push(room.end().await);
        }
        let mut queue = None;
        if let Some(going_on) = self.queue {
            queue = Some(going_on.end().await);
        }
        Loaded { rooms, queue }
    }
}

impl Loaded {
    /// Checks what everybody got: the listeners of rooms that are kept all of it, the others all but
    /// what may be missing, by how many sessions they had.
    pub(crate) fn check(&self, may: impl Fn(usize) -> Missing) {
        for room in &self.rooms {
            for listener in &room.listeners {
                let diary = listener.diary();
                let may = if room.kept { Missing::Nothing } else { may(diary.sessions) };
                listening::check(&diary, &room.destination, &room.publishers, may);
            }
        }
        if let Some(queue) = &self.queue {
            consuming::none_is_new_twice(&queue.consumers);
        }
    }

    /// All who listen and consume.
    pub(crate) fn receivers(&self) -> impl Iterator<Item = &Client> {
        let consumers = self.queue.iter().flat_map(|queue| &queue.consumers);
        self.rooms.iter().flat_map(|room| &room.listeners).chain(consumers)
    }

    /// Whoever listens or consumes had one session.
    pub(crate) fn stayed_connected(&self) {
        for receiver in self.receivers() {
            let diary = receiver.diary();
            assert_eq!(diary.sessions, 1, "{}", diary.in_short());
        }
    }

    /// Those who listen in rooms that are not kept.
    pub(crate) fn live_listeners(&self) -> impl Iterator<Item = &Client> {
        self.rooms.iter().filter(|room| !room.kept).flat_map(|room| &room.listeners)
    }

    /// Has all of them leave.
    pub(crate) async fn leave(&self) {
        join_all(self.receivers().map(Client::leave)).await;
        let of_queue = self.queue.iter().flat_map(|queue| &queue.publishers);
        let publishers = self.rooms.iter().flat_map(|room| &room.publishers).chain(of_queue);
        join_all(publishers.map(Published::leave)).await;
    }
}

impl Room<Publisher> {
    async fn start(cluster: &Cluster, destination: String, kept: bool) -> Self {
        let mode = if kept { Mode::Resume } else { Mode::Listen };
        let listeners = clients(cluster, LISTENERS_OF_ROOM, &destination, mode).await;
        let publishers = publishers(cluster, &destination).await;
        Self { destination, kept, listeners, publishers }
    }

    async fn end(self) -> Room<Published> {
        let Self { destination, kept, listeners, publishers } = self;
        let publishers = end(publishers).await;
        for publisher in &publishers {
            publisher.publish_last_word().await;
            let word = publisher.last_word();
            for listener in &listeners {
                listener.wait_for(&word, |diary| diary.last_words().any(|it| it == word)).await;
            }
        }
        Room { destination, kept, listeners, publishers }
    }
}

impl Queue<Publisher> {
    async fn start(cluster: &Cluster, destination: &str) -> Self {
        let consumers = clients(cluster, CONSUMERS, destination, Mode::Settle).await;
        Self { consumers, publishers: publishers(cluster, destination).await }
    }

    async fn end(self) -> Queue<Published> {
        let publishers = end(self.publishers).await;
        let confirmed: Vec<_> = publishers.iter().flat_map(Published::confirmed_words).collect();
        consuming::all_come(&confirmed, &self.consumers).await;
        Queue { consumers: self.consumers, publishers }
    }
}

/// Clients that are subscribed, one after the other, so that the nodes have as many each.
async fn clients(cluster: &Cluster, count: usize, destination: &str, mode: Mode) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let client = Client::connect(cluster.balancer.address).await;
        client.subscribe(destination, mode).await;
        clients.push(client);
    }
    clients
}

async fn publishers(cluster: &Cluster, destination: &str) -> Vec<Publisher> {
    let mut publishers = Vec::new();
    for number in 0..PUBLISHERS {
        publishers.push(
            Publisher::start(cluster.balancer.address, number.to_string(), destination).await,
        );
    }
    publishers
}

async fn end(publishers: Vec<Publisher>) -> Vec<Published> {
    join_all(publishers.into_iter().map(Publisher::end)).await
}
