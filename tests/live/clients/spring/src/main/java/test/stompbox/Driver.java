package test.stompbox;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.lang.reflect.Type;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.springframework.core.SpringVersion;
import org.springframework.messaging.converter.SimpleMessageConverter;
import org.springframework.messaging.simp.stomp.ReactorNettyTcpStompClient;
import org.springframework.messaging.simp.stomp.StompClientSupport;
import org.springframework.messaging.simp.stomp.StompCommand;
import org.springframework.messaging.simp.stomp.StompFrameHandler;
import org.springframework.messaging.simp.stomp.StompHeaders;
import org.springframework.messaging.simp.stomp.StompSession;
import org.springframework.messaging.simp.stomp.StompSessionHandler;
import org.springframework.scheduling.concurrent.ThreadPoolTaskScheduler;
import org.springframework.util.MimeTypeUtils;
import org.springframework.web.socket.WebSocketHttpHeaders;

/** Drives Spring's STOMP clients: WebSocketStompClient, and ReactorNettyTcpStompClient over TCP. */
public final class Driver {
  private static final long TIMEOUT_SECONDS = 20;
  private static final PrintStream OUTPUT =
      new PrintStream(System.out, true, StandardCharsets.UTF_8);
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Thrown for what the library has no way to do. */
  private static final class Cannot extends Exception {
    Cannot(String why) {
      super(why);
    }
  }

  private final ThreadPoolTaskScheduler scheduler = new ThreadPoolTaskScheduler();
  private final List<StompHeaders> messages = Collections.synchronizedList(new ArrayList<>());
  private final Map<String, StompSession.Subscription> subscriptions = new HashMap<>();
  private StompSession session;
  private String version;

  public static void main(String[] arguments) throws IOException {
    var driver = new Driver();
    var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      driver.answer(JSON.readTree(line));
    }
    System.exit(0);
  }

  private Driver() {
    scheduler.setDaemon(true);
    scheduler.initialize();
  }

  private void answer(JsonNode request) {
    ObjectNode answer = JSON.createObjectNode();
    answer.set("request", request.get("request"));
    try {
      answer.set("done", carryOut(request));
    } catch (Cannot cannot) {
      answer.put("cannot", cannot.getMessage());
    } catch (Exception failure) {
      answer.put("failed", failure.toString());
    }
    say(answer);
  }

  private ObjectNode carryOut(JsonNode request) throws Exception {
    ObjectNode done = JSON.createObjectNode();
    switch (request.get("do").asText()) {
      case "hello" -> done.put("version", SpringVersion.getVersion());
      case "connect" -> done.put("version", connect(request));
      case "subscribe" -> subscribe(request);
      case "unsubscribe" -> unsubscribe(request);
      case "send" -> send(request);
      case "ack" -> acknowledge(request, true);
      case "nack" -> acknowledge(request, false);
      case "disconnect" -> session.disconnect();
      default -> throw new Cannot("has no " + request.get("do").asText());
    }
    return done;
  }

  private String connect(JsonNode request) throws Exception {
    messages.clear();
    subscriptions.clear();
    version = request.get("version").asText();
    var headers = new StompHeaders();
    headers.setAcceptVersion(version);
    JsonNode beats = request.get("heartBeat");
    headers.setHeartbeat(new long[] {beats.get(0).asLong(), beats.get(1).asLong()});
    request.get("credentials").fields()
        .forEachRemaining(header -> headers.set(header.getKey(), header.getValue().asText()));
    var handler = new Handler();
    open(request, headers, handler)
        .whenComplete((opened, failure) -> handler.fail(failure));
    session = handler.connected.get(TIMEOUT_SECONDS, TimeUnit.SECONDS);
    return handler.version;
  }

  private CompletableFuture<StompSession> open(
      JsonNode request, StompHeaders headers, StompSessionHandler handler) {
    String address = request.get("address").asText();
    if (request.get("transport").asText().equals("tcp")) {
      URI server = URI.create("tcp://" + address);
      var client = new ReactorNettyTcpStompClient(server.getHost(), server.getPort());
      return prepared(client).connectAsync(headers, handler);
    }
    return prepared(WebSocketClients.create())
        .connectAsync(address, new WebSocketHttpHeaders(), headers, handler);
  }

  private <C extends StompClientSupport> C prepared(C client) {
    client.setTaskScheduler(scheduler);
    client.setMessageConverter(new SimpleMessageConverter());
    return client;
  }

  private void subscribe(JsonNode request) throws Exception {
    String id = request.get("id").asText();
    var headers = new StompHeaders();
    headers.setId(id);
    headers.setDestination(request.get("destination").asText());
    headers.setAck(request.get("ack").asText());
    headers.setReceipt("subscribe-" + id);
    var subscription = session.subscribe(headers, new Messages(id));
    subscriptions.put(id, subscription);
    await(subscription);
  }

  private void unsubscribe(JsonNode request) {
    subscriptions.remove(request.get("id").asText()).unsubscribe();
  }

  private void send(JsonNode request) throws Exception {
    if (request.hasNonNull("transaction")) {
      throw new Cannot("has no transactions");
    }
    var headers = new StompHeaders();
    headers.setDestination(request.get("destination").asText());
    if (request.hasNonNull("headers")) {
      request.get("headers").fields()
          .forEachRemaining(header -> headers.set(header.getKey(), header.getValue().asText()));
    }
    if (!request.get("text").asBoolean()) {
      headers.setContentType(MimeTypeUtils.APPLICATION_OCTET_STREAM); // then it sends binary
    }
    boolean receipt = request.path("receipt").asBoolean();
    session.setAutoReceipt(receipt);
    byte[] body = Base64.getDecoder().decode(request.get("body").asText());
    StompSession.Receiptable sent = session.send(headers, body);
    session.setAutoReceipt(false);
    if (receipt) {
      await(sent);
    }
  }

  private void acknowledge(JsonNode request, boolean consumed) throws Exception {
    if (request.hasNonNull("transaction")) {
      throw new Cannot("has no transactions");
    }
    StompHeaders message = messages.get(request.get("message").asInt());
    var headers = new StompHeaders();
    if (version.equals("1.2")) {
      headers.setId(message.getAck());
    } else {
      headers.setMessageId(message.getMessageId());
      headers.setSubscription(message.getSubscription());
    }
    session.acknowledge(headers, consumed);
  }

  private static void await(StompSession.Receiptable sent) throws Exception {
    var arrived = new CompletableFuture<Void>();
    sent.addReceiptTask(() -> arrived.complete(null));
    sent.addReceiptLostTask(
        () -> arrived.completeExceptionally(new IOException("the RECEIPT did not come")));
    arrived.get(TIMEOUT_SECONDS, TimeUnit.SECONDS);
  }

  private static void report(String message) {
    say(JSON.createObjectNode().put("event", "error").put("message", message));
  }

  private static synchronized void say(ObjectNode what) {
    try {
      OUTPUT.println(JSON.writeValueAsString(what));
    } catch (IOException impossible) {
      throw new UncheckedIOException(impossible);
    }
  }

  /** What arrives for a subscription. */
  private final class Messages implements StompFrameHandler {
    private final String subscription;

    Messages(String subscription) {
      this.subscription = subscription;
    }

    @Override
    public Type getPayloadType(StompHeaders headers) {
      return byte[].class;
    }

    @Override
    public void handleFrame(StompHeaders headers, Object payload) {
      ObjectNode message = JSON.createObjectNode().put("event", "message");
      synchronized (messages) {
        message.put("number", messages.size());
        messages.add(headers);
      }
      message.put("subscription", subscription);
      message.set("headers", JSON.valueToTree(headers.toSingleValueMap()));
      byte[] body = payload == null ? new byte[0] : (byte[]) payload;
      message.put("body", Base64.getEncoder().encodeToString(body));
      say(message);
    }
  }

  /** What concerns the connection. */
  private static final class Handler implements StompSessionHandler {
    final CompletableFuture<StompSession> connected = new CompletableFuture<>();
    volatile String version;

    void fail(Throwable failure) {
      if (failure != null) {
        connected.completeExceptionally(failure);
      }
    }

    @Override
    public void afterConnected(StompSession session, StompHeaders headers) {
      version = headers.getFirst("version");
      connected.complete(session);
    }

    @Override
    public Type getPayloadType(StompHeaders headers) {
      return byte[].class;
    }

    /** An ERROR. */
    @Override
    public void handleFrame(StompHeaders headers, Object payload) {
      String message = headers.getFirst("message");
      report(message);
      fail(new IOException(message));
    }

    @Override
    public void handleException(
        StompSession session,
        StompCommand command,
        StompHeaders headers,
        byte[] payload,
        Throwable exception) {
      report(exception.toString());
    }

    @Override
    public void handleTransportError(StompSession session, Throwable exception) {
      say(JSON.createObjectNode().put("event", "closed").put("reason", exception.toString()));
      fail(exception);
    }
  }
}
