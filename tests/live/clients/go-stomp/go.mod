module stompbox.test/go-stomp

go 1.19

require (
	github.com/coder/websocket v1.8.12
	github.com/go-stomp/stomp/v3 v3.1.5
)
