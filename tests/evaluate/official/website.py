"""A web server of our own, with what goes wrong on the way: cut connections, wrong bytes, errors, no ranges."""

import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site(ThreadingHTTPServer):
    """``files``: by path. ``cuts``: after how many bytes the next answers break off. ``errors``: what the next answers say.

    ``ranges``: whether ranges are given. ``asked``: path and range of every request.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cuts: list[int] = []
        self.errors: list[int] = []
        self.ranges = True
        self.edition = "1"
        self.moved: dict[str, str] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.sent = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is nothing to print."""


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        site, path = self.server, self.path.lstrip("/")
        wanted = self.headers["Range"]
        site.asked.append((path, wanted))
        if site.errors:
            self.send_error(site.errors.pop(0))
            return
        if path in site.moved:
            self.send_response(302)
            self.send_header("Location", site.moved[path])
            self.end_headers()
            return
        if path not in site.files:
            self.send_error(404)
            return
        body, tag = site.files[path], f'"{site.edition}"'
        if wanted and site.ranges and self.headers["If-Range"] in (None, tag):
            first, last = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted).groups()  # type: ignore[union-attr]
            if int(first) >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            end = min(int(last or len(body)), len(body) - 1)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{end}/{len(body)}")
            body = body[int(first) : end + 1]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", tag)
        self.end_headers()
        if site.cuts:
            body = body[: site.cuts.pop(0)]
        self.wfile.write(body)
        site.sent += len(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""
