"""Drives stomp.py, over TCP and WebSocket."""

import sys
import threading
from urllib.parse import urlsplit

import stomp

from driving import answer_failure, decode_body, read_request, report_error, report_message, say

TIMEOUT = 20


class Listener(stomp.ConnectionListener):
    """Passes on what arrives, and lets others wait for receipts."""

    def __init__(self):
        self.messages = []
        self.receipts = {}
        self.error = None
        self.gone = threading.Event()

    def on_message(self, frame):
        self.messages.append(frame)
        headers = frame.headers
        report_message(len(self.messages) - 1, headers.get("subscription"), headers, frame.body)

    def on_error(self, frame):
        self.error = frame.headers.get("message")
        report_error(self.error)

    def on_receipt(self, frame):
        self.receipt(frame.headers["receipt-id"]).set()

    def on_disconnected(self):
        self.gone.set()
        say(event="closed")

    def receipt(self, identifier):
        return self.receipts.setdefault(identifier, threading.Event())


class Driver:
    connections = {"1.0": stomp.Connection10, "1.1": stomp.Connection11, "1.2": stomp.Connection12}

    def hello(self):
        return {"version": stomp.__version__}

    def connect(self, transport, address, version, heartBeat, credentials, binary):
        self.version = version
        self.listener = Listener()
        self.subscriptions = {}
        settings = {"auto_decode": False}
        if version != "1.0":
            settings["heartbeats"] = tuple(heartBeat)
        if transport == "tcp":
            host, port = address.split(":")
            self.connection = self.connections[version]([(host, int(port))], **settings)
        else:
            url = urlsplit(address)
            self.connection = stomp.WSConnection(
                [(url.hostname, url.port)], ws_path=url.path, binary_mode=binary, **settings
            )
        self.connection.set_listener("driver", self.listener)
        try:
            self.connection.connect(
                credentials.get("login"), credentials.get("passcode"), wait=True
            )
        except stomp.exception.ConnectFailedException as error:
            raise RuntimeError(self.listener.error or "the connection failed") from error
        return {"version": version}

    def subscribe(self, id, destination, ack, receipt=False):
        self.subscriptions[id] = destination
        name, headers = self.ask_receipt()
        self.connection.subscribe(destination, id, ack=ack, headers=headers)
        self.wait(name)

    def unsubscribe(self, id):
        name, headers = self.ask_receipt()
        self.connection.unsubscribe(id=id, headers=headers)
        self.wait(name)

    def send(self, destination, body, text, headers=None, transaction=None, receipt=False):
        octets = decode_body(body)
        headers = dict(headers or {})
        if transaction is not None:
            headers["transaction"] = transaction
        if not receipt:
            self.connection.send(destination, octets, headers=headers)
            return
        name, asked = self.ask_receipt()
        self.connection.send(destination, octets, headers=headers | asked)
        self.wait(name)

    def ack(self, message, transaction=None):
        self.connection.ack(*self.name_of(message), transaction=transaction)

    def nack(self, message, transaction=None):
        self.connection.nack(*self.name_of(message), transaction=transaction)

    def begin(self, transaction):
        self.connection.begin(transaction)

    def commit(self, transaction):
        self.connection.commit(transaction)

    def abort(self, transaction):
        self.connection.abort(transaction)

    def disconnect(self):
        self.connection.disconnect("disconnect")  # it closes when the RECEIPT is here
        if not self.listener.gone.wait(TIMEOUT):
            raise TimeoutError("the connection was not closed")

    def name_of(self, message):
        """How the version names a message: by `ack`, or by `message-id` and `subscription`."""
        headers = self.listener.messages[message].headers
        if self.version == "1.2":
            return [headers["ack"]]
        if self.version == "1.1":
            return [headers["message-id"], headers["subscription"]]
        return [headers["message-id"]]

    def ask_receipt(self):
        name = f"receipt-{len(self.listener.receipts)}"
        self.listener.receipt(name)
        return name, {"receipt": name}

    def wait(self, name):
        if not self.listener.receipt(name).wait(TIMEOUT):
            raise TimeoutError(f"no RECEIPT {name}")


def main():
    driver = Driver()
    for line in sys.stdin:
        request, what, parameters = read_request(line)
        try:
            say(request=request, done=getattr(driver, what)(**parameters) or {})
        except Exception as error:  # the test judges
            answer_failure(request, error)


main()
