"""Sources of the web: a file or archive by http, taken again only if changed."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
import time
import zipfile
from typing import TYPE_CHECKING

import pytest

from pybridge.errors import BadArgument, HostError, TooLarge
from pybridge.functions import sources
from pybridge.functions.faults import Faults
from pybridge.functions.sources.web import proxy_of
from tests.functions.origins import Answer, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pybridge.functions.store import Store

    Fetch = Callable[..., object]

CODE = b"def f(): return 'web'\n"


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server."""
    site = Site()
    yield site
    site.close()


@pytest.fixture
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings with limits that are met at once."""
    settings = tmp_path / "pybridge.toml"
    settings.write_text(
        "[functions.sources]\nmax_download = 1000\ntimeout = 1\nretries = 1\n"
    )
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(settings))


def archive(**files: str) -> bytes:
    """Return a zip archive of Python files, `a__b` for a/b.py."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for name, text in files.items():
            packed.writestr(name.replace("__", "/") + ".py", text)
    return stream.getvalue()


def test_file_is_fetched(site: Site, call: Fetch) -> None:
    """§4: one file; its name is the last part of the path, without the query."""
    site.answers["/a/job.py"] = lambda _: Answer(200, CODE)

    assert "web" == call(f"{site.url}/a/job.py?token=x", "job:f")
    assert "web" == call(f"{site.url}/a/job.py?token=x")


def test_archive_is_unpacked(site: Site, call: Fetch) -> None:
    """§4: `zip+http`, and its files import each other (S: G-11)."""
    content = archive(
        main="import helper\ndef f(): return helper.X", helper="X = 'zip'"
    )
    site.answers["/code.zip"] = lambda _: Answer(200, content)

    assert "zip" == call(f"zip+{site.url}/code.zip", "main:f")
    assert "zip" == call(f"{site.url}/code.zip", "main:f")


def test_what_has_not_changed_is_not_sent_again(site: Site, call: Fetch) -> None:
    """A site is told what is in the cache; 304 is enough of an answer."""
    told: list[str | None] = []

    def answer(headers: dict[str, str]) -> Answer:
        told.append(headers.get("if-none-match"))
        if told[-1] == '"one"':
            return Answer(304)
        return Answer(200, CODE, (("ETag", '"one"'),))

    site.answers["/f.py"] = answer

    assert "web" == call(f"{site.url}/f.py")
    assert "web" == call(f"{site.url}/f.py")
    assert [None, '"one"'] == told


def test_what_has_changed_is_taken(site: Site, call: Fetch) -> None:
    """The code of a run is what the site has when it starts."""
    texts = iter([b"def f(): return 1", b"def f(): return 2"])
    site.answers["/f.py"] = lambda _: Answer(200, next(texts))

    assert [1, 2] == [call(f"{site.url}/f.py"), call(f"{site.url}/f.py")]


def test_checksum_makes_asking_needless(site: Site, call: Fetch) -> None:
    """With `#sha256=` the content is fixed: it is fetched once, and compared."""
    site.answers["/f.py"] = lambda _: Answer(200, CODE)
    url = f"{site.url}/f.py#sha256={hashlib.sha256(CODE).hexdigest()}"

    results = [call(url), call(url)]

    assert ["web", "web"] == results
    assert ["/f.py"] == site.asked


def test_wrong_checksum_is_refused(site: Site, call: Fetch) -> None:
    """Other bytes than those that were meant are never run."""
    site.answers["/f.py"] = lambda _: Answer(200, CODE, (("ETag", '"1"'),))
    call(f"{site.url}/f.py")

    with pytest.raises(BadArgument, match=r"its sha256 is [0-9a-f]{64}, not 0000"):
        call(f"{site.url}/f.py#sha256={'0' * 64}")


def test_answer_that_breaks_off_is_begun_again(
    site: Site, call: Fetch, store: Store
) -> None:
    """A partial download is never taken; the file is asked for again."""
    answers = iter([Answer(200, CODE[:9], said=len(CODE)), Answer(200, CODE)])
    site.answers["/f.py"] = lambda _: next(answers)

    assert "web" == call(f"{site.url}/f.py")
    assert [] == list((store.root / "cache/sources").glob(".partial-*"))


@pytest.mark.usefixtures("limited")
def test_answer_that_always_breaks_off_is_an_error(
    site: Site, call: Fetch, store: Store
) -> None:
    """What never comes whole is not in the cache."""
    site.answers["/f.py"] = lambda _: Answer(200, CODE[:9], said=len(CODE))

    with pytest.raises(HostError, match="cannot be fetched"):
        call(f"{site.url}/f.py")

    assert [] == list((store.root / "cache/sources").glob("trees/*"))


def test_busy_site_is_asked_again(site: Site, call: Fetch) -> None:
    """503 and the like are tried again before they are an error."""
    answers = iter([Answer(503), Answer(200, CODE)])
    site.answers["/f.py"] = lambda _: next(answers)

    assert "web" == call(f"{site.url}/f.py")


@pytest.mark.parametrize(
    ("status", "told"),
    [(404, "404 Not Found"), (403, "403 Forbidden; give a secret SOURCE_TOKEN")],
)
def test_refusal_is_told(site: Site, call: Fetch, status: int, told: str) -> None:
    """What a site says no to is told in its words, without the query."""
    site.answers["/f.py"] = lambda _: Answer(status)

    with pytest.raises(BadArgument, match=told) as caught:
        call(f"{site.url}/f.py?signature=hidden")

    assert "hidden" not in str(caught.value)


def test_credentials_are_given(site: Site, call: Fetch) -> None:
    """A user and password of the run's secrets open what is behind them."""
    site.password = "me:it is"
    site.answers["/f.py"] = lambda _: Answer(200, CODE)
    environ = {"SOURCE_USERNAME": "me", "SOURCE_PASSWORD": "it is"}

    assert "web" == call(f"{site.url}/f.py", environ=environ)


def test_token_does_not_follow_to_another_site(site: Site, call: Fetch) -> None:
    """A redirection is followed, but the token stays with the site it is for."""
    other = Site()
    told: list[str | None] = []

    def answer(headers: dict[str, str]) -> Answer:
        told.append(headers.get("authorization"))
        return Answer(200, CODE)

    other.answers["/f.py"] = answer
    elsewhere = other.url.replace("127.0.0.1", "localhost") + "/f.py"
    site.answers["/f.py"] = lambda _: Answer(302, headers=(("Location", elsewhere),))

    result = call(f"{site.url}/f.py", environ={"SOURCE_TOKEN": "secret"})
    other.close()

    assert "web" == result
    assert [None] == told


def test_proxy_of_the_run_is_used(site: Site, call: Fetch) -> None:
    """The proxy is that of the run's environment, not of this process."""
    site.answers["//nowhere.invalid/f.py"] = lambda _: Answer(200, CODE)
    site.answers["http://nowhere.invalid/f.py"] = lambda _: Answer(200, CODE)
    site.answers["/f.py"] = lambda _: Answer(200, CODE)

    result = call("http://nowhere.invalid/f.py", environ={"http_proxy": site.url})

    assert "web" == result
    assert ["http://nowhere.invalid/f.py"] == site.asked


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "https_proxy": "http://q:1"}, "http://q:1"),
        ({"http_proxy": "http://p:1"}, None),
        ({"ALL_PROXY": "http://p:1"}, "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "b.c"}, None),
        ({"ALL_PROXY": "http://p:1", "no_proxy": "*"}, None),
    ],
)
def test_proxy_is_chosen_as_everywhere(
    environ: dict[str, str], proxy: str | None
) -> None:
    """The variables mean what they mean to curl and requests."""
    assert proxy == proxy_of("https://a.b.c/x", environ)


@pytest.mark.usefixtures("limited")
def test_answer_that_is_too_long_is_refused(site: Site, call: Fetch) -> None:
    """The limit holds whether or not the site says how long its answer is."""
    site.answers["/f.py"] = lambda _: Answer(200, b"#" * 2000)

    with pytest.raises(TooLarge, match="longer than 1000 bytes"):
        call(f"{site.url}/f.py")


@pytest.mark.usefixtures("limited")
def test_site_that_drips_meets_the_time_limit(call: Fetch) -> None:
    """A byte now and then keeps no run waiting for ever."""
    server = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        peer, _ = server.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
            try:
                for _ in range(100):
                    peer.sendall(b"#")
                    time.sleep(0.05)
            except OSError:
                return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()

    with server, pytest.raises(HostError, match=r"not there after 1 s"):
        call(f"http://127.0.0.1:{server.getsockname()[1]}/f.py")
    thread.join()


def test_password_in_an_address_is_refused(store: Store) -> None:
    """It would be stored with the function, and exported with it."""
    with pytest.raises(Faults, match="SOURCE_TOKEN") as caught:
        sources.check(code_src="https://me:hidden@x.org/f.py", handler="f", store=store)

    assert "hidden" not in str(caught.value.faults)


def test_page_that_is_no_code_is_refused(site: Site, call: Fetch) -> None:
    """An empty answer, or one that is no text, is not taken for a source."""
    site.answers["/f.py"] = lambda _: Answer(200, b"\x00\x01")

    with pytest.raises(BadArgument, match="is not Python source"):
        call(f"{site.url}/f.py")
