//! What a NATS tells about itself.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Asks the NATS with these settings for a page, and returns it, which is JSON behind the head of HTTP.
pub(crate) fn ask(settings: &HashMap<String, String>, page: &str) -> String {
    let address = settings.get("NATS_MONITOR").expect("where it tells that");
    let mut stream = TcpStream::connect(address).expect("a monitor");
    write!(stream, "GET {page} HTTP/1.0\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}
