package test.stompbox;

import jakarta.websocket.ContainerProvider;
import org.springframework.web.socket.client.standard.StandardWebSocketClient;
import org.springframework.web.socket.messaging.WebSocketStompClient;

/** Clients over WebSocket whose limits let a body of 1 MiB through. */
final class WebSocketClients {
  private static final int LARGEST = 4 << 20;

  private WebSocketClients() {}

  static WebSocketStompClient create() {
    var container = ContainerProvider.getWebSocketContainer();
    container.setDefaultMaxTextMessageBufferSize(LARGEST);
    container.setDefaultMaxBinaryMessageBufferSize(LARGEST);
    var client = new WebSocketStompClient(new StandardWebSocketClient(container));
    client.setInboundMessageSizeLimit(LARGEST);
    client.setOutboundMessageSizeLimit(LARGEST);
    return client;
  }
}
