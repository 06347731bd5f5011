"""Drives stompman, over TCP and WebSocket."""

import asyncio
import sys
from importlib.metadata import version
from urllib.parse import urlsplit

import stompman
from stompman.connection import Connection
from stompman.connection_ws import WebSocketConnection

from driving import Cannot, answer_failure, decode_body, read_request, report_error, report_message, say

TIMEOUT = 20
FRAME = 2 << 20  # octets in a WebSocket message: the default takes no body of 1 MiB


class Driver:
    def hello(self):
        return {"version": version("stompman")}

    async def hold(self, client):
        """Keeps the client open until `disconnect`, in a task of its own as its context wants."""
        async with client:
            self.open.set_result(None)
            await self.leave.wait()
            for subscription in self.subscriptions.values():
                await subscription.unsubscribe()

    async def connect(self, transport, address, version, heartBeat, credentials, binary):
        self.messages, self.subscriptions, self.transactions = [], {}, {}
        self.open, self.leave = asyncio.get_running_loop().create_future(), asyncio.Event()
        url = urlsplit(address if transport == "websocket" else f"tcp://{address}")
        credentials = {"login": "anybody", "passcode": "anything"} | credentials  # it wants some
        server = stompman.ConnectionParameters(
            url.hostname, url.port, ws_uri_path=url.path or None, **credentials
        )
        client = stompman.Client(
            [server],
            heartbeat=stompman.Heartbeat(*heartBeat),
            on_error_frame=lambda frame: report_error(frame.headers.get("message")),
            connection_class=WebSocketConnection if transport == "websocket" else Connection,
            read_max_chunk_size=FRAME,
            connect_retry_attempts=1,
        )
        self.client = client
        self.held = asyncio.create_task(self.hold(client))
        await asyncio.wait([self.held, self.open], return_when=asyncio.FIRST_COMPLETED)
        if self.held.done():
            self.held.result()
        return {"version": client.PROTOCOL_VERSION}

    async def subscribe(self, id, destination, ack, receipt=False):
        async def take(message):
            self.messages.append(message)
            report_message(len(self.messages) - 1, id, dict(message.headers), message.body)

        self.subscriptions[id] = await self.client.subscribe_with_manual_ack(
            destination, take, ack=ack, receipt_timeout=TIMEOUT
        )

    async def unsubscribe(self, id):
        await self.subscriptions.pop(id).unsubscribe()

    async def send(self, destination, body, text, headers=None, transaction=None, receipt=False):
        octets = decode_body(body)
        if transaction is not None:
            await self.transactions[transaction][1].send(octets, destination, headers=headers)
        else:
            timeout = TIMEOUT if receipt else None
            await self.client.send(octets, destination, headers=headers, receipt_timeout=timeout)

    async def ack(self, message, transaction=None):
        if transaction is not None:
            raise Cannot("a transaction holds only SEND")
        await self.messages[message].ack()

    async def nack(self, message):
        await self.messages[message].nack()

    async def begin(self, transaction):
        context = self.client.begin()
        self.transactions[transaction] = (context, await context.__aenter__())

    async def commit(self, transaction):
        context, _ = self.transactions.pop(transaction)
        await context.__aexit__(None, None, None)

    async def abort(self, transaction):
        context, _ = self.transactions.pop(transaction)
        failure = RuntimeError("a transaction ends by ABORT when its block raises")
        try:
            await context.__aexit__(type(failure), failure, None)
        except RuntimeError as raised:
            if raised is not failure:
                raise

    async def disconnect(self):
        self.leave.set()
        await self.held


async def answer(driver, request, what, parameters):
    try:
        done = getattr(driver, what)(**parameters)
        if asyncio.iscoroutine(done):
            done = await done
        say(request=request, done=done or {})
    except BaseException as error:  # the test judges
        answer_failure(request, flattened(error))


def flattened(error):
    """What is inside of groups of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def main():
    driver = Driver()
    lines = asyncio.StreamReader(limit=FRAME)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        await answer(driver, *read_request(line))


asyncio.run(main())
