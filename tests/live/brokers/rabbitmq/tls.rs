//! RabbitMQ over TLS.

use crate::engine::{authority, tls_url};
use crate::node::unique;
use crate::program::Program;

#[test]
#[ignore = "needs rabbitmq"]
fn the_authority_that_is_trusted_is_named_by_the_environment() {
    let trusted = [("SSL_CERT_FILE", authority())];
    let program = Program::start(&tls_url(), &trusted);
    let room = unique("/topic/room");
    let mut client = program.connect();
    client.subscribe(&room, "");
    program.connect().publish(&room, "", "over TLS");
    client.expect("over TLS", &[]);
}

#[test]
#[ignore = "needs rabbitmq"]
fn who_is_not_trusted_or_is_somebody_else_is_told_no_password() {
    let trusted = [("SSL_CERT_FILE", authority())];
    // The certificate is for 127.0.0.1, not for that name of it.
    let elsewhere = tls_url().replace("@127.0.0.1:", "@localhost:");
    for (url, environment) in [(tls_url(), &[][..]), (elsewhere, &trusted[..])] {
        let url = url.replace("guest:guest@", "guest:secret@");
        let refused =
            Program::try_start(&url, &[], environment).err().expect("it does not connect");
        assert!(refused.contains("certificate"), "{refused}");
        assert!(refused.contains("amqps://") && !refused.contains("secret"), "{refused}");
    }
}
