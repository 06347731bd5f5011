use std::time::Duration;

use stompbox::app::App;
use stompbox::server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A test that waits longer for the server has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A client that speaks STOMP over TCP, frame by frame.
pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) async fn open<S: Send + Sync + 'static>(app: App<S>) -> (Self, Server) {
        let server = Server::builder().app(app).build();
        (Self::connect(&server).await, server)
    }

    /// Connects to the server on an address of its own.
    pub(crate) async fn connect(server: &Server) -> Self {
        let mut client = Self::dial(server).await;
        client.send("CONNECT\naccept-version:1.2\nhost:here\n\n").await;
        let connected = client.receive().await;
        assert!(connected.starts_with("CONNECTED\n"), "{connected}");
        client
    }

    pub(crate) async fn dial(server: &Server) -> Self {
        let address = server.listen_tcp("127.0.0.1:0").await.unwrap();
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Sends a frame, and the NUL behind it.
    pub(crate) async fn send(&mut self, frame: &str) {
        self.0.write_all(format!("{frame}\0").as_bytes()).await.unwrap();
    }

    /// Receives a frame, without the NUL behind it.
    pub(crate) async fn receive(&mut self) -> String {
        let mut frame = Vec::new();
        let read = async {
            loop {
                match self.0.read_u8().await.unwrap() {
                    0 => break,
                    b'\n' if frame.is_empty() => {}
                    octet => frame.push(octet),
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("no frame came");
        String::from_utf8(frame).unwrap()
    }

    /// Subscribes; everything sent before has then been read by the server.
    pub(crate) async fn subscribe(&mut self, destination: &str) {
        self.send(&format!("SUBSCRIBE\nid:s\ndestination:{destination}\nreceipt:s\n\n")).await;
        assert_eq!(self.receive().await, "RECEIPT\nreceipt-id:s\n\n");
    }

    pub(crate) async fn receive_body(&mut self) -> String {
        let frame = self.receive().await;
        assert!(frame.starts_with("MESSAGE\n"), "{frame}");
        frame.split_once("\n\n").unwrap().1.to_owned()
    }

    /// Receives an ERROR, and nothing more before the end of the connection.
    pub(crate) async fn receive_error(&mut self) -> String {
        let error = self.receive().await;
        assert!(error.starts_with("ERROR\n"), "{error}");
        let mut rest = Vec::new();
        let end = self.0.read_to_end(&mut rest);
        tokio::time::timeout(PATIENCE, end).await.expect("the server did not close").unwrap();
        assert!(rest.iter().all(|octet| *octet == b'\n'), "{}", String::from_utf8_lossy(&rest));
        error
    }
}
