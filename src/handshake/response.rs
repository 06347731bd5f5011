//! A response as bytes, for those who own the socket.

use bytes::{BufMut, BytesMut};
use http::header::{HeaderMap, HeaderName};
use http::{Response, StatusCode};

/// Writes the status line, the headers and the empty line.
pub(super) fn write_head<B>(response: &Response<B>, out: &mut BytesMut) {
    write_status_line(response.status(), out);
    write_headers(response.headers(), out);
    out.put_slice(b"\r\n");
}

fn write_status_line(status: StatusCode, out: &mut BytesMut) {
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.put_slice(b"\r\n");
}

fn write_headers(headers: &HeaderMap, out: &mut BytesMut) {
    for (name, value) in headers {
        write_name(name, out);
        out.put_slice(b": ");
        out.put_slice(value.as_bytes());
        out.put_slice(b"\r\n");
    }
}

/// Writes a name as the RFCs print it, `Sec-WebSocket-Accept`: it is the same in any case, but not
/// every client's handshake knows that.
fn write_name(name: &HeaderName, out: &mut BytesMut) {
    for (index, word) in name.as_str().split('-').enumerate() {
        if index > 0 {
            out.put_u8(b'-');
        }
        if word == "websocket" {
            out.put_slice(b"WebSocket");
        } else if let Some((first, rest)) = word.as_bytes().split_first() {
            out.put_u8(first.to_ascii_uppercase());
            out.put_slice(rest);
        }
    }
}
