//! The frames that are measured.

/// A chat message of 150 octets.
pub(crate) fn small() -> Vec<u8> {
    message("", 63, true)
}

/// 13 headers, some 630 octets.
pub(crate) fn headers13() -> Vec<u8> {
    let headers = "content-type:application/json\ntimestamp:1763825263017\npriority:4\nexpires:0\n\
        correlation-id:b7c1a9e2-0d3f-4a58-9c64-2f1be07d5a31\nreply-to:/temp-queue/answers\n\
        persistent:true\nx-trace-id:4bf92f3577b34da6a3ce929d0e0e4736\n\
        x-tenant:example-tenant-of-some-length\n";
    message(headers, 288, true)
}

/// A body of so many octets, with or without `content-length`.
pub(crate) fn large(body: usize, sized: bool) -> Vec<u8> {
    message("", body, sized)
}

fn message(headers: &str, body_len: usize, sized: bool) -> Vec<u8> {
    let length = if sized { format!("content-length:{body_len}\n") } else { String::new() };
    let own = "subscription:0\nmessage-id:17-204\ndestination:/topic/room/5\n";
    let mut wire = format!("MESSAGE\n{own}{headers}{length}\n");
    let (before, after) = (r#"{"type":"MESSAGE","writer":"client2","text":""#, r#""}"#);
    let text = body_len - before.len() - after.len();
    wire += before;
    wire.extend("hello you, ".chars().cycle().take(text));
    wire += after;
    wire += "\0";
    wire.into_bytes()
}
