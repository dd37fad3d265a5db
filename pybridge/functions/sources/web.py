"""Sources of the web: a file or archive by http(s), taken again only if changed."""

from __future__ import annotations

import base64
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pybridge.errors import BadArgument, HostError
from pybridge.functions.sources.download import Watch, download, known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pybridge.functions.sources.address import Address
    from pybridge.functions.sources.cache import Cache
    from pybridge.functions.sources.download import Download
    from pybridge.functions.sources.limits import Limits

__all__ = ["SECRETS", "fetch", "proxy_of"]

# The variables by which a site is told who asks.
_TOKEN, _PASSWORD = "SOURCE_TOKEN", "SOURCE_PASSWORD"
_USERS = ("SOURCE_USERNAME", "SOURCE_USER")
SECRETS = (_TOKEN, _PASSWORD)
_AGENT = "pybridge"
_CHUNK = 64 * 1024
_AGAIN = (429, 500, 502, 503, 504)


def fetch(
    address: Address, cache: Cache, environ: Mapping[str, str], limits: Limits
) -> str:
    """Return the digest of the tree of a file or archive.

    Raises:
        BadArgument: the site refuses it, or it is not what it should be.
        HostError: the site is not there.

    """
    origin = f"web {address.archive} {address.url}"
    found = known(cache, origin, sha256=address.checksum)
    if found is not None:
        return found
    with download(cache) as file:
        noted = cache.recall(origin)
        digest = noted.get("digest")
        if not isinstance(digest, str) or cache.find(digest) is None:
            noted, digest = {}, None
        answer = _get(address, file, noted, environ, limits)
        if answer is None and digest is not None:
            if address.checksum not in {None, noted.get("sha256")}:
                return _get_anew(address, cache, file, environ, limits, origin)
            return str(digest)
        return _kept(address, cache, file, limits, origin, answer or {})


def _get_anew(
    address: Address,
    cache: Cache,
    file: Download,
    environ: Mapping[str, str],
    limits: Limits,
    origin: str,
) -> str:
    """Fetch what has not the checksum in the cache: the error says what it has."""
    answer = _get(address, file, {}, environ, limits)
    return _kept(address, cache, file, limits, origin, answer or {})


def _kept(
    address: Address,
    cache: Cache,
    file: Download,
    limits: Limits,
    origin: str,
    answer: Mapping[str, Any],
) -> str:
    """Make a tree of a download, and note where it is from."""
    digest = file.keep(address, cache, limits)
    cache.note(origin, {**answer, "sha256": file.sha256, "digest": digest})
    return digest


def _get(
    address: Address,
    file: Download,
    noted: Mapping[str, Any],
    environ: Mapping[str, str],
    limits: Limits,
) -> dict[str, Any] | None:
    """Download; None where it is still what was noted."""
    watch = Watch(address.shown, limits)
    headers = {"User-Agent": _AGENT, **_credentials(environ)}
    if noted.get("etag"):
        headers["If-None-Match"] = noted["etag"]
    if noted.get("modified"):
        headers["If-Modified-Since"] = noted["modified"]
    with _session(environ, limits) as session:

        def ask() -> dict[str, Any] | None:
            return _answer(session, address, headers, file, watch)

        return _tried(ask, watch)


def _tried(
    ask: Callable[[], dict[str, Any] | None], watch: Watch, attempt: int = 0
) -> dict[str, Any] | None:
    """Ask, again where the answer broke off, as often as the limits say."""
    import requests

    try:
        return ask()
    except (
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.ConnectionError,
        requests.exceptions.ContentDecodingError,
        requests.exceptions.Timeout,
    ) as exc:
        if attempt == watch.limits.retries or not _broke_off(exc):
            raise HostError(
                f"'{watch.shown}' cannot be fetched: {_reason(exc)}"
            ) from None
    except requests.RequestException as exc:
        raise BadArgument(
            f"'{watch.shown}' cannot be fetched: {type(exc).__name__}"
        ) from None
    time.sleep(min(0.2 * 2**attempt, watch.left()))
    return _tried(ask, watch, attempt + 1)


def _answer(
    session: Any,
    address: Address,
    headers: Mapping[str, str],
    file: Download,
    watch: Watch,
) -> dict[str, Any] | None:
    """Ask once, and write what comes."""
    limits = watch.limits
    timeout = (limits.connect_timeout, min(limits.read_timeout, watch.left()))
    with session.get(
        address.url, headers=headers, stream=True, timeout=timeout
    ) as response:
        status = response.status_code
        if status == HTTPStatus.NOT_MODIFIED:
            return None
        if status in _AGAIN:
            raise HostError(
                f"'{address.shown}' cannot be fetched: {_status(status)}; try again"
            )
        if status != HTTPStatus.OK:
            raise BadArgument(
                f"'{address.shown}' cannot be fetched: {_status(status)}{_cure(status)}"
            )
        said = response.headers.get("Content-Length", "")
        if said.isdigit() and int(said) > limits.max_download:
            watch.count(int(said))
        file.write(_chunks(response, watch), watch)
        return {
            "etag": response.headers.get("ETag"),
            "modified": response.headers.get("Last-Modified"),
        }


def _chunks(response: Any, watch: Watch) -> Iterator[bytes]:
    """Give what comes as it comes, so that a slow site meets the time limit."""
    import requests
    import urllib3

    raw = response.raw
    read = getattr(raw, "read1", None) or raw.read
    try:
        while True:
            chunk = read(_CHUNK, decode_content=True)
            if not chunk:
                return
            watch.left()
            yield chunk
    except urllib3.exceptions.DecodeError as exc:
        raise requests.exceptions.ContentDecodingError(exc) from None
    except urllib3.exceptions.HTTPError as exc:
        raise requests.exceptions.ChunkedEncodingError(exc) from None


def _session(environ: Mapping[str, str], limits: Limits) -> Any:
    """Return a session with the run's proxies and certificates, which tries again."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util.retry import Retry

    class Session(requests.Session):
        """A session that asks the run's environment which proxy a host has."""

        def send(self, request: Any, **kwargs: Any) -> Any:
            """Send by the proxy of that host, also after a redirection."""
            proxy = proxy_of(request.url, environ)
            kwargs["proxies"] = {} if proxy is None else {"all": proxy}
            return super().send(request, **kwargs)

    session = Session()
    session.trust_env = False
    retry = Retry(
        total=limits.retries,
        redirect=None,
        backoff_factor=0.2,
        status_forcelist=_AGAIN,
        raise_on_status=False,
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        if environ.get(name):
            session.verify = environ[name]
            break
    return session


def proxy_of(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy by which an environment wants a URL to be asked for."""
    from urllib import request

    told = {
        name.lower()[: -len("_proxy")]: value
        for name, value in sorted(environ.items())  # lower case comes last, and wins
        if name.lower().endswith("_proxy") and value
    }
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if request.proxy_bypass_environment(host, told):  # type: ignore[attr-defined]
        return None
    return told.get(parts.scheme) or told.get("all")


def _credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the header that says who asks; requests drops it on another host."""
    if environ.get(_TOKEN):
        return {"Authorization": f"Bearer {environ[_TOKEN]}"}
    user = next((environ[name] for name in _USERS if environ.get(name)), None)
    if user is None:
        return {}
    pair = f"{user}:{environ.get(_PASSWORD, '')}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _status(status: int) -> str:
    try:
        return f"the site answered {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"the site answered {status}"


def _cure(status: int) -> str:
    """Say what helps where a site wants to know who asks."""
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return f"; give a secret {_TOKEN}, or {_USERS[0]} and {_PASSWORD}"
    return ""


def _broke_off(exc: Exception) -> bool:
    """Did an answer end before its time? All else was tried again already."""
    import requests

    return isinstance(
        exc,
        (
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
        ),
    )


def _reason(exc: Exception) -> str:
    """Return the innermost reason in short: the whole has the address and its query."""
    import requests

    if isinstance(exc, requests.exceptions.Timeout):
        return "the site did not answer in time"
    inner: Any = exc
    while isinstance(inner, Exception) and inner.args:
        deeper = getattr(inner, "reason", None) or next(
            (arg for arg in inner.args if isinstance(arg, Exception)), None
        )
        if not isinstance(deeper, Exception):
            break
        inner = deeper
    said = str(inner).rpartition(": ")[2].split(" with url")[0]
    return unquote(said) or type(inner).__name__
