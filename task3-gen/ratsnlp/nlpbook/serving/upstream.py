"""Another server with OpenAI's API: requests to it, and streams that another thread can end at once.

``http.client`` rather than a library: a socket is at hand there, which closed ends a read that waits for the next
token, so that the other server stops writing for a client who has left.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

CONNECT_SECONDS = 5.0  # until a connection stands
SILENT_SECONDS = 120.0  # without a byte, after which nothing more is expected


class Unavailable(Exception):
    """The other server is out of reach or too busy (429), or has failed: another request may go well.

    Attributes:
        is_fault: whether it answered, and that it has failed (5xx).
    """

    def __init__(self, message: str, is_fault: bool = False):
        super().__init__(message)
        self.is_fault = is_fault


class Refused(Exception):
    """The other server does not take the request: HTTP ``status`` and what it said, on one line."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Upstream:
    """The server at ``url`` (scheme, host, port and what its paths begin with, without ``/v1``)."""

    def __init__(self, url: str, key: str | None = None):
        self.url, parts = url, urlsplit(url)
        self._connection = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path.rstrip("/")
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})

    def call(self, method: str, path: str, body: dict | None = None, seconds: float = SILENT_SECONDS) -> Call:
        """A request that is not sent yet; ``seconds`` may pass without a byte of its answer."""
        connection = self._connection(self._host, self._port, timeout=CONNECT_SECONDS)
        data = None if body is None else json.dumps(body)
        return Call(connection, (method, self._path + path, data, self._headers), seconds)

    def get(self, path: str, seconds: float = CONNECT_SECONDS) -> dict[str, Any] | None:
        """The JSON object at ``path``; None where there is none. Raises Unavailable where nobody answers."""
        call = self.call("GET", path, seconds=seconds)
        try:
            return _object(call.send().read())
        except (Refused, ValueError):
            return None
        except Unavailable as error:
            if error.is_fault:
                return None
            raise
        except (OSError, HTTPException) as error:
            raise Unavailable(_told(error)) from error
        finally:
            call.close()

    def post(self, path: str, body: dict, seconds: float = SILENT_SECONDS) -> dict[str, Any]:
        """The whole answer. Raises Unavailable or Refused."""
        call = self.call("POST", path, body, seconds)
        try:
            return next(call.events())
        finally:
            call.close()

    def is_alive(self) -> bool:
        """Whether it answers, and does not say that it cannot work (5xx). A server without ``/health`` says 404."""
        call = self.call("GET", "/health", seconds=CONNECT_SECONDS)
        try:
            call.send()
        except Unavailable:
            return False
        except Refused:
            return True
        finally:
            call.close()
        return True


class Call:
    """One request. Another thread can :meth:`abort` it: who reads it then sees that it is Unavailable."""

    def __init__(self, connection: HTTPConnection, request: tuple, seconds: float):
        self._connection, self._request, self._seconds = connection, request, seconds
        self._socket, self._aborted = None, False

    def send(self) -> HTTPResponse:
        """Send it, and wait for the head of the answer. Raises Unavailable or Refused where that is not 200."""
        try:
            self._connection.connect()
            self._socket = self._connection.sock
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.settimeout(self._seconds)
            if self._aborted:
                raise Unavailable("aborted")
            self._connection.request(*self._request)
            response = self._connection.getresponse()
            if response.status == 200:
                return response
            message = _message(response.read(4096))
        except (OSError, HTTPException) as error:
            raise Unavailable(_told(error)) from error
        if response.status == 429 or response.status >= 500:
            raise Unavailable(f"HTTP {response.status}: {message}", is_fault=response.status >= 500)
        raise Refused(response.status, message)

    def events(self) -> Iterator[dict[str, Any]]:
        """Each server-sent event of the answer, or the one JSON that it is, up to ``[DONE]`` or to its end.

        Raises:
            Unavailable: it does not answer, the answer breaks off, or it says there that it has failed.
            Refused: it does not take the request.
        """
        response = self.send()
        try:
            if response.headers.get_content_type() != "text/event-stream":
                yield _object(response.read())
                return
            for line in response:
                name, _, data = line.partition(b":")
                if name != b"data" or not data.strip():
                    continue
                if data.strip() == b"[DONE]":
                    return
                event = _object(data)
                if error := event.get("error"):
                    raise _failure(error)
                yield event
        except (OSError, HTTPException, ValueError) as error:
            raise Unavailable(_told(error)) from error

    def abort(self) -> None:
        self._aborted = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes who reads, which close() alone does not

    def close(self) -> None:
        self._connection.close()


def _object(data: bytes) -> dict[str, Any]:
    """Raises ValueError where that is no JSON object."""
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def _failure(error: Any) -> Exception:
    """What an event tells of: in OpenAI's form, or a text."""
    code = error.get("code") if isinstance(error, dict) else None
    message = _line(error.get("message") if isinstance(error, dict) else error)
    if code in (429, 503):
        return Unavailable(message)
    return Refused(code if isinstance(code, int) and 400 <= code < 600 else 500, message)


def _message(body: bytes) -> str:
    """What an error says, in OpenAI's form or FastAPI's, else the text as it is."""
    try:
        found = json.loads(body)
    except ValueError:
        return _line(body.decode(errors="replace"))
    error = found.get("error", found.get("detail", found)) if isinstance(found, dict) else found
    return _line(error.get("message", error) if isinstance(error, dict) else error)


def _line(message: Any) -> str:
    return " ".join(str(message).split())[:300]


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {_line(error)}"
