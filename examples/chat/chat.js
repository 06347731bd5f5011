// The chat page: who is in which room, and what is said there.

import { StompConnection } from "./stomp.js";

/** How many entries the page keeps. */
const ENTRIES_KEPT = 1_000;

const element = (id) => document.getElementById(id);
const endpoint = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;

/** What the person is in, from joining to leaving: `{ name, room, connection, … }`, or null. */
let visit = null;

function join(name, room) {
  visit = {
    name,
    room,
    entered: false,
    lost: false,
    sent: 0,
    unconfirmed: new Map(),
    connection: new StompConnection(endpoint, { connected, frame: take, lost }),
  };
  history.replaceState(null, "", `?${new URLSearchParams({ name, room })}`);
  document.title = `Room ${room} · stompbox`;
  element("place").textContent = `Room ${room}`;
  element("self").textContent = name;
  element("messages").replaceChildren();
  element("empty").hidden = false;
  element("failure").hidden = true;
  element("entrance").hidden = true;
  element("chat").hidden = false;
  showStatus("connecting", "Connecting…");
  followLatest();
  visit.connection.open();
  element("text").focus();
}

function leave() {
  say("LEAVE");
  visit.connection.close();
  visit = null;
  history.replaceState(null, "", location.pathname);
  document.title = "Chat · stompbox";
  element("chat").hidden = true;
  element("entrance").hidden = false;
  element("name").focus();
}

function connected() {
  visit.connection.send("SUBSCRIBE", { id: "room", destination: `/topic/room/${visit.room}`, receipt: "joined" });
}

function take({ command, headers, body }) {
  if (command === "MESSAGE") {
    showMessage(body);
  } else if (command === "RECEIPT" && headers.get("receipt-id") === "joined") {
    joined();
  } else if (command === "RECEIPT") {
    visit.unconfirmed.delete(headers.get("receipt-id"));
  } else if (command === "ERROR") {
    showFailure([headers.get("message") ?? "The server refused a frame", body].filter(Boolean).join("\n"));
  }
}

function joined() {
  visit.connection.proven();
  showStatus("connected", "Connected");
  if (visit.lost) showNotice("Connected again. What others wrote meanwhile is not shown.");
  visit.lost = false;
  if (!visit.entered) say("ENTER");
  visit.entered = true;
}

function lost() {
  if (visit.lost) return;
  showStatus("lost", "Connection lost, trying again…");
  if (visit.entered) showNotice("The connection was lost.");
  for (const text of visit.unconfirmed.values()) showNotice(`Perhaps not delivered: “${text}”`);
  visit.unconfirmed.clear();
  visit.lost = true;
}

/** Sends a chat message; false when it cannot be sent now. */
function say(type, text) {
  visit.sent += 1;
  const receipt = `message-${visit.sent}`;
  const body = JSON.stringify({ chatRoomId: Number(visit.room), type, writer: visit.name, text });
  const headers = { destination: "/pub/chat", "content-type": "application/json", receipt };
  const sent = visit.connection.send("SEND", headers, body);
  if (sent && type === "MESSAGE") visit.unconfirmed.set(receipt, text);
  return sent;
}

function showStatus(state, text) {
  element("status").dataset.state = state;
  element("status").textContent = text;
  element("send").disabled = state !== "connected";
}

function showFailure(text) {
  element("failure-text").textContent = text;
  element("failure").hidden = false;
}

function showMessage(body) {
  const message = parseMessage(body);
  if (message === null) return showNotice("A message came that this page cannot read.");
  const { type, writer, text } = message;
  const own = writer === visit.name;
  if (type === "ENTER") return own || showNotice(`${writer} came in`);
  if (type === "LEAVE") return own || showNotice(`${writer} left`);

  const previous = element("messages").lastElementChild;
  const item = make("li", "message");
  item.classList.toggle("own", own);
  item.classList.toggle("same-writer", previous?.dataset.writer === writer);
  item.dataset.writer = writer;
  // Set through the object model, which a strict Content-Security-Policy permits.
  item.style.setProperty("--hue", hueOf(writer));
  const bubble = make("div", "bubble");
  const time = make("time", "", new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = new Date().toISOString();
  bubble.append(text === "" ? make("p", "text silent", "(no text)") : make("p", "text", text));
  bubble.firstChild.append(time);
  item.append(make("p", "writer", own ? `${writer} (you)` : writer), bubble);
  append(item, own);
}

/** The message in a body, or null if it is not one. */
function parseMessage(body) {
  try {
    const { type, writer, text } = JSON.parse(body);
    return { type, writer: String(writer), text: String(text ?? "") };
  } catch {
    return null;
  }
}

function showNotice(text) {
  append(make("li", "notice", text), false);
}

/** An element that holds text; what people type gets into the page here, and only as text. */
function make(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/** A colour for each writer, the same on every page. */
function hueOf(name) {
  let hash = 7;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) % 9973;
  return hash % 360;
}

/** Appends to the log, and follows unless the reader has scrolled up to read. */
function append(item, follow) {
  const log = element("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  const messages = element("messages");
  messages.append(item);
  if (messages.childElementCount > ENTRIES_KEPT) messages.firstElementChild.remove();
  if (item.classList.contains("message")) element("empty").hidden = true;
  if (follow || atEnd) followLatest();
  else showUnread();
}

function showUnread() {
  const unread = element("unread");
  unread.dataset.count = Number(unread.dataset.count ?? 0) + 1;
  unread.textContent = `${unread.dataset.count} new ↓`;
  unread.hidden = false;
}

function followLatest() {
  element("log").scrollTop = element("log").scrollHeight;
  element("unread").dataset.count = 0;
  element("unread").hidden = true;
}

element("join").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = element("name").value.trim();
  if (name !== "") join(name, element("room").value);
});

element("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = element("text").value.trim();
  const ready = element("status").dataset.state === "connected";
  // Without a connection the text stays where it is.
  if (text !== "" && ready && say("MESSAGE", text)) element("text").value = "";
});

element("text").addEventListener("keydown", (event) => {
  // While an input method composes, Enter picks a candidate.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  element("composer").requestSubmit();
});

element("log").addEventListener("scroll", () => {
  const log = element("log");
  if (log.scrollHeight - log.scrollTop - log.clientHeight < 60) followLatest();
});

element("leave").addEventListener("click", leave);
element("unread").addEventListener("click", followLatest);
element("dismiss").addEventListener("click", () => (element("failure").hidden = true));
addEventListener("online", () => visit?.lost && visit.connection.open());
addEventListener("pagehide", () => {
  if (visit === null) return;
  say("LEAVE");
  visit.entered = false; // should the page come back from the browser's cache
  visit.connection.close();
});
addEventListener("pageshow", (event) => event.persisted && visit?.connection.open());

const asked = new URLSearchParams(location.search);
const askedRoom = /^[0-9]{1,9}$/.exec(asked.get("room") ?? "")?.[0];
const askedName = (asked.get("name") ?? "").trim().slice(0, 40);
element("name").value = askedName;
if (askedRoom !== undefined) element("room").value = askedRoom;
if (askedName !== "" && askedRoom !== undefined) join(askedName, askedRoom);
