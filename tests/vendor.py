"""A vendor as bad as can be: a raw server that counts the requests it read, and answers as told."""

import re
import socket
import struct
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

OK = b'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"id":"m1"}'
HTML = b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 14\r\n\r\n<html>no</html"
# A whole answer that no vendor gives, after which the connection stays open.
NOTHING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
GARBAGE = b"\x00\x9d 2o0 ok then\r\n\r\n"


@dataclass(frozen=True)
class Cut:
    """What is said before the connection is closed in the middle."""

    said: bytes


DROP, RESET, SILENCE = object(), object(), object()
HALF_HEAD, HALF = Cut(b"HTTP/1.1 201 Crea"), Cut(b"HTTP/1.1 201 Created\r\nContent-Length: 50\r\n\r\n{")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@contextmanager
def nobody():
    """An address at which nobody listens, nor will."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def moved(status, url):
    """An answer that sends the client elsewhere."""
    return b"HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, url.encode())


@dataclass
class Vendor:
    """Answers the n-th request with the n-th of `answers`, then with the last of them."""

    answers: list
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # ends the accept that keeps the port open
        for connection in [self._listener, *self._open]:
            connection.close()

    def hang_up(self):
        """Close the newest connection, on which nothing is being said."""
        self._open[-1].shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        try:
            while request := _read(connection):
                self.requests.append(request)
                answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
                if answer is SILENCE:
                    continue
                if answer is DROP:
                    connection.close()
                    return
                if answer is RESET:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.close()
                    return
                if isinstance(answer, Cut):
                    connection.sendall(answer.said)
                    connection.close()
                    return
                connection.sendall(answer)
        except OSError:
            return


def _read(connection):
    """Return one request, or nothing when the client has gone."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        if not (part := connection.recv(65536)):
            return b""
        seen += part
    head, _, body = seen.partition(b"\r\n\r\n")
    length = int(found.group(1)) if (found := _LENGTH.search(head)) else 0
    while len(body) < length:
        if not (part := connection.recv(65536)):
            return b""
        body += part
    return head + b"\r\n\r\n" + body
