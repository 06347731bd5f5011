//! Several nodes on one engine, behind a balancer, and what becomes of their clients when something
//! ends, hangs or is cut. `tests/live/run cluster` starts the engines.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper of a test fails by panicking"
)]

mod balancer;
mod client;
mod cluster;
mod connection;
mod consuming;
mod counts;
#[path = "../brokers/engine.rs"]
mod engine;
mod faults;
mod listening;
mod load;
#[path = "../brokers/nats_monitor.rs"]
mod nats_monitor;
#[path = "../brokers/program.rs"]
mod program;
mod publisher;
mod queues;
mod random;
mod rooms;
mod turns;
mod upstreams;
#[path = "../../../benches/load/src/websocket.rs"]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    dead_code,
    unreachable_pub,
    reason = "as its crate has it"
)]
mod web_socket;

/// The same tests with each engine. Its name is that of the feature, too.
macro_rules! with_each_engine {
    ($($engine:ident $needs:literal;)*) => {$(
        #[cfg(feature = $needs)]
        mod $engine {
            use crate::counts::$engine::KIND;
            use crate::{faults, queues, rooms, turns, upstreams};

            with_each_engine! { tests $needs:
                one_room_on_all_nodes = rooms::one_room_on_all_nodes,
                one_listener_after_the_other = turns::one_listener_after_the_other,
                one_queue_on_all_nodes = queues::one_queue_on_all_nodes,
                a_node_that_is_killed = faults::a_node_that_is_killed,
                connections_that_are_cut = faults::connections_that_are_cut,
                an_engine_that_is_killed = faults::an_engine_that_is_killed,
                an_engine_that_hangs = faults::an_engine_that_hangs,
                a_thousand_subscribers_are_one = upstreams::a_thousand_subscribers_are_one,
            }
        }
    )*};
    (tests $needs:literal: $($name:ident = $test:path,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = concat!("needs ", $needs)]
        async fn $name() {
            $test(&KIND).await;
        }
    )*};
}

with_each_engine! {
    kafka "kafka";
    nats "nats";
    rabbitmq "rabbitmq";
    redis "redis";
}
