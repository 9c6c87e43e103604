"""An HTTP server for one worklist: on the loopback interface, for whoever has the token."""

from __future__ import annotations

import hmac
import json
import secrets
import sys
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from clinicalgru.dashboard.worklist import Worklist
from clinicalgru.errors import ClinicalGRUError, InputError
from clinicalgru.view.pages.html_page import PLOTLY_PATH, figure, page, plotly_script

HOST = "127.0.0.1"
COOKIE = "clinicalgru_token"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
FORBIDDEN = "<!doctype html><title>No access</title><p>Open the address with its token, as the command printed it."


def _frame() -> str:
    """A hidden page with a small figure: plotly is parsed and has drawn once before the first stay is opened."""
    drawing = {"data": [{"type": "scatter", "x": [0, 1], "y": [0, 1]}], "layout": {"height": 300}}
    return page("Stay", "", figure(drawing, "No stay is open", ""), provenance={}, plotly_path=PLOTLY_PATH)


class DashboardServer(ThreadingHTTPServer):
    """Serves a worklist.

    Parameters
    ----------
    worklist : Worklist
        What is shown.
    port : int
        Port on the loopback interface; 0: a free one.

    Attributes
    ----------
    token : str
        What a browser must know.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, worklist: Worklist, port: int = 0) -> None:
        self.worklist, self.token = worklist, secrets.token_urlsafe(24)
        try:
            super().__init__((HOST, port), Handler)
        except (OSError, OverflowError):
            fix = "Choose another --port, or 0 for a free one."
            raise InputError("a free port", f"{port}, which cannot be used", fix, where="--port") from None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print an error of a request, but not that a browser left before it had its answer.

        Parameters
        ----------
        request, client_address
            As of `socketserver.BaseServer`.
        """
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """The address to open, with the token."""
        return f"http://{HOST}:{self.server_address[1]}/?token={self.token}"

    @property
    def hosts(self) -> set[str]:
        """Values of the header Host that are accepted; others come from names that point here (DNS rebinding)."""
        port = self.server_address[1]
        return {f"{HOST}:{port}", f"localhost:{port}"}


class Handler(BaseHTTPRequestHandler):
    """Answers one request: the worklist, its data, or the page of a stay.

    Parameters
    ----------
    request, client_address, server
        As of `http.server.BaseHTTPRequestHandler`.
    """

    server: DashboardServer
    server_version, sys_version = "clinicalgru", ""

    def do_GET(self) -> None:
        """Answer a GET request."""
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if self.headers.get("Host", "") not in self.server.hosts:
            self._send(403, FORBIDDEN)
        elif url.path == "/" and self._matches(query.get("token", [""])[0]):
            self._redirect()
        elif not self._matches(self._cookie()):
            self._send(403, FORBIDDEN)
        else:
            self._answer(url.path, moved=query.get("moved") == ["1"])

    def _answer(self, path: str, *, moved: bool) -> None:
        worklist = self.server.worklist
        try:
            if path == "/":
                self._send(200, worklist.html())
            elif path == PLOTLY_PATH:
                self._send(200, plotly_script(), kind="text/javascript", keep="private, max-age=86400, immutable")
            elif path == "/frame":
                self._send(200, _frame())
            elif path == "/rows.json":
                self._send(200, json.dumps(worklist.data()), kind="application/json")
            elif path.startswith("/stay/") and (html := worklist.patient(path[6:], moved=moved)) is not None:
                self._send(200, html)
            else:
                self._send(404, "<!doctype html><title>Not found</title><p>There is no such page.")
        except ClinicalGRUError as error:  # such as scores that are gone; it names no patient
            self._send(500, str(error), kind="text/plain")

    def _redirect(self) -> None:
        """Turn the token of the address into a cookie, so that it stands in no history and no link."""
        self.send_response(303)
        self.send_header("Set-Cookie", f"{COOKIE}={self.server.token}; Path=/; HttpOnly; SameSite=Strict")
        self.send_header("Location", "/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _cookie(self) -> str:
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
        except CookieError:
            return ""
        return "" if cookie is None else cookie.value

    def _matches(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.server.token.encode())

    def _send(self, status: int, text: str, *, kind: str = "text/html", keep: str = "no-store") -> None:
        content = text.encode()
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Cache-Control", keep)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a request line may name a stay.

        Parameters
        ----------
        format, *args
            Not used.
        """
