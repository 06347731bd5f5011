//! Many clients in random rooms.

use std::collections::HashMap;

use futures_util::future::join_all;

use crate::client::{Client, Mode};
use crate::cluster::{Cluster, Kind, NODES};
use crate::random::Random;

const CLIENTS: usize = 300;
const ROOMS: usize = 60;
/// How many rooms each client is in.
const ROOMS_OF_CLIENT: usize = 3;
const PUBLISHERS_OF_ROOM: usize = 3;
/// How many messages each publisher sends to its room.
const MESSAGES: usize = 20;

/// Every subscriber gets every message of its rooms once, and each publisher's in their order.
pub(crate) async fn one_room_on_all_nodes(kind: &'static Kind) {
    let cluster = Cluster::start(kind).await;
    let mut random = Random::seeded();
    let room = |number: usize| match number % 2 {
        0 => cluster.kept_room(number),
        _ => cluster.live_room(number),
    };
    let clients = join_all((0..CLIENTS).map(|_| Client::connect(cluster.balancer.address))).await;
    assert_eq!(cluster.balancer.shares(), [CLIENTS / NODES; NODES]);

    let places: Vec<_> =
        clients.iter().map(|_| random.several_below(ROOMS, ROOMS_OF_CLIENT)).collect();
    let subscribing = clients.iter().zip(&places).map(async |(client, places)| {
        for place in places {
            client.subscribe(&room(*place), Mode::Listen).await;
        }
    });
    join_all(subscribing).await;

    let publishing = (0..ROOMS).flat_map(|place| {
        let chosen = random.several_below(CLIENTS, PUBLISHERS_OF_ROOM);
        chosen.into_iter().map(move |publisher| (place, publisher))
    });
    let publishing: Vec<_> = publishing.collect();
    join_all(publishing.iter().map(async |(place, publisher)| {
        let send =
            |number| clients[*publisher].send(&room(*place), &format!("{publisher}/{number}"));
        let confirmed: Vec<_> = (0..MESSAGES).map(send).collect();
        for confirmed in confirmed {
            confirmed.await.expect("every message is confirmed");
        }
    }))
    .await;

    let all = ROOMS_OF_CLIENT * PUBLISHERS_OF_ROOM * MESSAGES;
    for client in &clients {
        client.wait_for("all messages", |diary| diary.messages.len() >= all).await;
    }
    join_all(clients.iter().map(Client::leave)).await;
    for (client, places) in clients.iter().zip(&places) {
        check(client, &places.iter().map(|place| room(*place)).collect::<Vec<_>>());
    }
    cluster.nothing_stays().await;
}

/// All that a client has got, and nothing else: of each publisher of its rooms all, in order.
fn check(client: &Client, rooms: &[String]) {
    let diary = client.diary();
    assert_eq!((diary.sessions, &diary.errors[..]), (1, &[][..]));
    let mut came: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for message in &diary.messages {
        let (publisher, number) = message.word.split_once('/').expect("publisher/number");
        assert!(rooms.iter().any(|room| **room == *message.destination), "{message:?}");
        assert!(!message.gap && !message.redelivered, "{message:?}");
        let numbers = came.entry((&message.destination, publisher)).or_default();
        numbers.push(number.parse().expect("a number"));
    }
    assert_eq!(came.len(), rooms.len() * PUBLISHERS_OF_ROOM);
    for (of, numbers) in came {
        assert!(numbers.iter().copied().eq(0..MESSAGES), "{of:?}: {numbers:?}");
    }
}
