"""A local HTTP server that plays a chat endpoint, one thread a request."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def completion(content, **choice):
    """A reply of status 200; ``choice`` goes beside the message, for instance ``logprobs``."""
    usage = {"prompt_tokens": 100, "completion_tokens": 7}
    return 200, {"choices": [{"message": {"content": content}, **choice}], "usage": usage}


def user(body):
    """What the first message of the user says."""
    return next(m["content"] for m in body["messages"] if m["role"] == "user")


class Server:
    """Answers by ``answer(number, body)``: (status, JSON or text).

    ``number`` counts the earlier requests with the same message of the user.
    """

    def __init__(self):
        self.answer = lambda number, body: completion('{"score": 4}')
        self.requests, self.headers, self.reply_headers = [], [], {}
        self.models = ["some/model"]  # of GET /models; None: 404
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer._lock:
                    number = sum(user(r) == user(body) for r in outer.requests)
                    outer.requests.append(body)
                    outer.headers.append((self.path, self.headers))
                status, content = outer.answer(number, body)
                self._send(status, content)

            def do_GET(self):
                listed = {"data": [{"id": name} for name in outer.models or ()]}
                self._send(404 if outer.models is None else 200, listed)

            def _send(self, status, content):
                data = (content if isinstance(content, str) else json.dumps(content)).encode()
                self.send_response(status)
                for name, value in outer.reply_headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # who asked may be gone
                    self.wfile.write(data)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
