"""Where the tests' sources lie: a real web server, repositories, archives."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


__all__ = ["Answer", "Site", "commit", "git", "repository", "zipped"]


class Answer(NamedTuple):
    """What a site answers: the length can be said otherwise than it is."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    said: int | None = None


class Site:
    """A web server of this process.

    `answers` has functions of the request's headers by path, `repositories` the
    directories below `/git/` by git's smart protocol, `files` what is below `/files/`.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[dict[str, str]], Answer]] = {}
        self.repositories: Path | None = None
        self.files: Path | None = None
        self.password: str | None = None
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.asked.append(self.path)
                self.reply(site.answer(self))

            do_POST = do_GET  # noqa: N815 - the name is the base's

            def reply(self, answer: Answer) -> None:
                self.send_response(answer.status)
                length = len(answer.body) if answer.said is None else answer.said
                self.send_header("Content-Length", str(length))
                self.send_header("Connection", "close")
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)
                self.close_connection = True

            def log_message(self, *words: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.02)

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: BaseHTTPRequestHandler) -> Answer:
        """Answer one request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        path = unquote(urlsplit(request.path).path)
        if self.password is not None:
            told = headers.get("authorization", "").removeprefix("Basic ")
            if base64.b64decode(told).decode() != self.password:
                return Answer(401, b"no", (("WWW-Authenticate", "Basic realm=x"),))
        if path in self.answers:
            return self.answers[path](headers)
        if path.startswith("/git/") and self.repositories is not None:
            return self._smart(request, path[len("/git") :], headers)
        if path.startswith("/files/") and self.files is not None:
            file = self.files / path[len("/files/") :]
            return Answer(200, file.read_bytes()) if file.is_file() else Answer(404)
        return Answer(404, b"nothing here")

    def _smart(
        self, request: BaseHTTPRequestHandler, path: str, headers: dict[str, str]
    ) -> Answer:
        """Answer by git's own server program."""
        body = request.rfile.read(int(headers.get("content-length", 0)))
        environ = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.repositories),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": urlsplit(request.path).query,
            "REQUEST_METHOD": request.command,
            "CONTENT_TYPE": headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
            "GIT_PROTOCOL": headers.get("git-protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            env=environ,
            capture_output=True,
            check=False,
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        told = [line.split(": ", 1) for line in head.decode().splitlines()]
        status = next((int(v.split()[0]) for n, v in told if n == "Status"), 200)
        kept = tuple((n, v) for n, v in told if n not in {"Status", "Content-Length"})
        return Answer(status, content, kept)


def git(directory: Path, *arguments: str) -> str:
    """Run git in a directory, as nobody in particular, and return what it prints."""
    environ = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.org",
    }
    done = subprocess.run(
        ["git", *arguments],
        cwd=directory,
        env=environ,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def repository(directory: Path) -> Path:
    """Make an empty repository."""
    directory.mkdir(parents=True)
    git(directory, "init", "--quiet", "--initial-branch=main", "--template=")
    return directory


def commit(directory: Path, **files: str) -> str:
    """Commit files, `a__b` for a/b.py, and return the commit's name."""
    for name, text in files.items():
        path = directory / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message=x")
    return git(directory, "rev-parse", "HEAD")


def zipped(path: Path, files: dict[str, str]) -> Path:
    """Make a zip archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path
