"""Sources in S3, against a real S3 API server."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from pybridge.errors import BadArgument, HostError, TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pybridge.functions.store import Store

    Fetch = Callable[..., object]

# Warnings of what the server and the client are made of, not of what is tested.
pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow.*:DeprecationWarning")


@pytest.fixture
def environ(s3: str) -> dict[str, str]:
    """The environment of a run that knows the server."""
    return {
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "very-secret",
        "AWS_REGION": "eu-west-1",
    }


@pytest.fixture
def files(environ: dict[str, str]) -> Iterator[Any]:
    """S3 as fsspec sees it, with an empty bucket."""
    from pybridge.functions.sources.bucket import _file_system
    from pybridge.functions.sources.limits import Limits

    found = _file_system(environ, Limits())
    found.invalidate_cache()
    found.makedirs("bucket", exist_ok=True)  # all of a process's servers share them
    yield found
    found.rm("bucket", recursive=True)


@pytest.fixture
def call(call: Fetch, environ: dict[str, str]) -> Fetch:
    """The same, in the environment of such a run."""

    def caller(code_src: str, handler: str = "main:f", **more: str) -> object:
        return call(code_src, handler, {**environ, **more})

    return caller


def archive(result: str) -> bytes:
    """Return an archive of two files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("main.py", "import helper\ndef f(): return helper.X")
        packed.writestr("helper.py", f"X = {result!r}")
    return stream.getvalue()


@pytest.mark.parametrize("scheme", ["zip+s3", "zip+s3a", "s3", "s3n"])
def test_archive_is_fetched(files: Any, call: Fetch, scheme: str) -> None:
    """§4: `zip+s3`, which the 0.10 never found, and its other names."""
    files.pipe("bucket/dir/code.zip", archive("bucket"))

    assert "bucket" == call(f"{scheme}://bucket/dir/code.zip")


def test_file_is_fetched(files: Any, call: Fetch) -> None:
    """One file needs no archive, though the original refused it."""
    files.pipe("bucket/a job.py", b"def f(): return 'file'")

    assert "file" == call("s3://bucket/a%20job.py", "f")


def test_prefix_is_fetched_whole(files: Any, call: Fetch) -> None:
    """§4: all that lies below `s3://bucket/prefix/`, as the original's remote runs."""
    files.pipe("bucket/p/main.py", b"from pkg import x\ndef f(): return x.X")
    files.pipe("bucket/p/pkg/x.py", b"X = 'below'")
    files.pipe("bucket/other.py", b"raise SystemExit")

    assert "below" == call("s3://bucket/p/")


def test_what_has_not_changed_is_not_sent_again(
    files: Any, call: Fetch, store: Store
) -> None:
    """An object is taken again only if its ETag is another."""
    files.pipe("bucket/code.zip", archive("one"))
    first = call("zip+s3://bucket/code.zip")
    second = call("zip+s3://bucket/code.zip")
    files.pipe("bucket/code.zip", archive("two"))
    third = call("zip+s3://bucket/code.zip")

    trees = list((store.root / "cache/sources/trees").iterdir())

    assert ("one", "one", "two") == (first, second, third)
    assert 2 == len(trees)


def test_object_that_is_not_there_is_told(files: Any, call: Fetch) -> None:
    """A missing object is told by its address."""
    with pytest.raises(BadArgument, match=r"'zip\+s3://bucket/none.zip' is not there"):
        call("zip+s3://bucket/none.zip")


def test_prefix_without_objects_is_told(files: Any, call: Fetch) -> None:
    """An empty prefix is no source."""
    with pytest.raises(BadArgument, match="no objects below it"):
        call("s3://bucket/nothing/")


def test_server_that_is_not_there_is_told_without_secrets(
    call: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure of the other side says so, and shows no key."""
    settings = tmp_path / "pybridge.toml"
    settings.write_text("[functions.sources]\nretries = 0\n")
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(settings))

    with pytest.raises(HostError, match="cannot be fetched") as caught:
        call("zip+s3://bucket/code.zip", AWS_ENDPOINT_URL="http://127.0.0.1:9")

    assert "very-secret" not in str(caught.value)


def test_object_that_is_too_long_is_refused(
    files: Any, call: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit on what is fetched holds here too."""
    settings = tmp_path / "pybridge.toml"
    settings.write_text("[functions.sources]\nmax_download = 100\n")
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(settings))
    files.pipe("bucket/f.py", b"#" * 200)

    with pytest.raises(TooLarge, match="longer than 100 bytes"):
        call("s3://bucket/f.py", "f")
