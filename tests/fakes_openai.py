"""A server of the OpenAI protocol in this process, which does what a test tells it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, Any, dict[str, str]]
"""Status, JSON, headers."""


def said(text: str, **more: Any) -> dict[str, Any]:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9, "prompt_tokens_details": {"cached_tokens": 3}}
    return {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


def refused(status: int, message: str, headers: dict[str, str] | None = None, **more: Any) -> Reply:
    """An error as servers put it."""
    return status, {"error": {"message": message, "type": "error", **more}}, headers or {}


class FakeServer:
    """Answers by `answer(path, body) -> Reply`; keeps what was asked, what was answered 200, and how many it was asked at a time."""

    def __init__(self, answer: Callable[[str, dict[str, Any]], Reply] | None = None, *, owner: str = "me", delay: float = 0.0) -> None:
        self.answer = answer or (lambda path, body: (200, said(body["messages"][-1]["content"].upper()), {}))
        self.owner, self.delay = owner, delay
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.paid: list[str] = []
        self.keys: list[str | None] = []
        self.most = self._now = 0
        self._lock = threading.Lock()
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Serve, on the same port as before if there was one."""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                self._send(200, {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": fake.owner}]}, {})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with fake._lock:
                    fake.asked.append((self.path, body))
                    fake.keys.append(self.headers.get("Authorization"))
                    fake._now += 1
                    fake.most = max(fake.most, fake._now)
                try:
                    time.sleep(fake.delay)
                    status, reply, headers = fake.answer(self.path, body)
                finally:
                    with fake._lock:
                        fake._now -= 1
                if fake.server is not self.server:  # killed meanwhile: as a dead process, it says nothing
                    self.close_connection = True
                    self.connection.close()
                    return
                if status == 200:
                    with fake._lock:
                        fake.paid.append(json.dumps(body.get("messages") or body.get("prompt")))
                self._send(status, reply, headers)

            def _send(self, status: int, reply: Any, headers: dict[str, str]) -> None:
                data = json.dumps(reply).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128
            allow_reuse_address = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that went away

        self.server: ThreadingHTTPServer | None = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def kill(self) -> None:
        """As `kill -9`: what was being answered is not, and nobody listens any more."""
        server, self.server = self.server, None
        if server is not None:
            server.shutdown()
            server.server_close()
