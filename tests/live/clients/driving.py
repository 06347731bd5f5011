"""What the drivers of Python libraries have in common: requests in, answers and events out."""

import base64
import json
import sys
import threading

_saying = threading.Lock()


class Cannot(Exception):
    """Raised by a driver for what its library has no way to do."""


def say(**what):
    """Writes a line to the test."""
    with _saying:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


def report_message(number, subscription, headers, octets):
    """Tells of a message; `octets` are its body."""
    body = base64.b64encode(octets).decode()
    say(event="message", number=number, subscription=subscription, headers=headers, body=body)


def report_error(message):
    """Tells of an ERROR that the library has handed out."""
    say(event="error", message=message)


def decode_body(body):
    """The octets of a request."""
    return base64.b64decode(body)


def read_request(line):
    """The number of a request, what is to be done, and how."""
    parameters = json.loads(line)
    return parameters.pop("request"), parameters.pop("do"), parameters


def answer_failure(request, error):
    """Answers a request that came to nothing."""
    if isinstance(error, Cannot):
        say(request=request, cannot=str(error))
    else:
        say(request=request, failed=f"{type(error).__name__}: {error}")
