"""Archives and the cache: nothing leads out, explodes, or is there by half."""

from __future__ import annotations

import io
import multiprocessing
import os
import stat
import struct
import threading
import time
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybridge.errors import BadArgument, BridgeError, TooLarge
from pybridge.functions import sources
from pybridge.functions.sources import archive
from pybridge.functions.sources.cache import Cache, remove
from pybridge.functions.sources.limits import Limits
from tests.functions.origins import zipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from pybridge.functions.store import Store

    Unpack = Callable[..., Path]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """A cache that is empty."""
    return Cache(tmp_path / "store")


@pytest.fixture
def unpack(cache: Cache, tmp_path: Path) -> Unpack:
    """A function that makes a tree of an archive's bytes."""

    def unpacker(content: bytes, limits: Limits | None = None) -> Path:
        path = tmp_path / "a.zip"
        path.write_bytes(content)
        with cache.staging("a.zip", limits or Limits(), strict=True) as staging:
            archive.unpack(path, staging)
            digest = cache.keep(staging)
        return cache.trees / digest

    return unpacker


def packed(*entries: tuple[str, bytes, int]) -> bytes:
    """Return an archive with entries of a name, content and Unix mode."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as made:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content, mode in entries:
            entry = zipfile.ZipInfo(name)
            entry.create_system = 3
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = mode << 16
            made.writestr(entry, content)
    return stream.getvalue()


FILE = stat.S_IFREG | 0o644
LINK = stat.S_IFLNK | 0o777


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../a.py", "leads out"),
        ("a/../../b.py", "leads out"),
        ("a\\..\\..\\b.py", "leads out"),
        ("/etc/a.py", "absolute"),
        ("\\a.py", "absolute"),
        ("C:/a.py", "absolute path of Windows"),
        ("C:\\a.py", "absolute path of Windows"),
        ("a\nb.py", "control character"),
        ("x" * 300 + ".py", "more than 255 bytes"),
        ("a/" * 40 + "a.py", "deeper than 32"),
        (("a" * 100 + "/") * 6 + "a.py", "longer than 512"),
        ("./", "is empty"),
    ],
)
def test_name_that_leads_elsewhere_is_refused(
    unpack: Unpack, tmp_path: Path, name: str, told: str
) -> None:
    """Traversal, absolute names and names that are none never become files."""
    content = packed(("a.py", b"", FILE), (name, b"x", FILE))

    with pytest.raises(BadArgument, match=told):
        unpack(content)

    assert {"a.zip", "store"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    "names",
    [
        ("a.py", "A.PY"),
        ("a.py", "./a.py"),
        ("a.py", "a.py/b.py"),
        ("d/b.py", "d"),
        ("é.py", "e\u0301.py"),
        ("D/a.py", "d/b.py"),
    ],
)
def test_names_that_collide_are_refused(unpack: Unpack, names: tuple[str, str]) -> None:
    """Two entries of one name, here or on another machine, mean two things."""
    content = packed(*((name, b"x", FILE) for name in names))

    with pytest.raises(BadArgument, match="collides"):
        unpack(content)


@pytest.mark.parametrize("target", ["/etc/passwd", "../x", "d/../../x", "", "a\0b"])
def test_link_that_leads_out_is_refused(unpack: Unpack, target: str) -> None:
    """A link stays inside of its tree."""
    content = packed(("d/a.py", b"", FILE), ("link", target.encode(), LINK))

    with pytest.raises(BadArgument, match="links have to stay inside"):
        unpack(content)


def test_links_that_lead_out_together_are_refused(unpack: Unpack) -> None:
    """A link through another link is followed before it is believed."""
    content = packed(
        ("a/b/c/x.py", b"", FILE),
        ("a/b/c/up", b"../../..", LINK),
        ("out", b"a/b/c/up/../x", LINK),
    )

    with pytest.raises(BadArgument, match="links have to stay inside"):
        unpack(content)


def test_nothing_is_written_through_a_link(unpack: Unpack, tmp_path: Path) -> None:
    """A file below a link is refused, wherever the link points to."""
    content = packed(("d", b".", LINK), ("d/a.py", b"x", FILE))

    with pytest.raises(BadArgument, match="collides"):
        unpack(content)


@pytest.mark.parametrize(
    "kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK]
)
def test_devices_are_refused(unpack: Unpack, kind: int) -> None:
    """Only files, directories and links are taken."""
    with pytest.raises(BadArgument, match="not a file, directory or link"):
        unpack(packed(("null", b"", kind | 0o666)))


def test_encrypted_entry_is_refused(unpack: Unpack) -> None:
    """What cannot be read is told, not asked for."""
    content = bytearray(packed(("a.py", b"x", FILE)))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1

    with pytest.raises(BadArgument, match="is encrypted"):
        unpack(bytes(content))


def test_bomb_is_refused_by_its_ratio(unpack: Unpack) -> None:
    """What unpacks to hundreds of times its size is not unpacked to the end."""
    content = packed(("zeros.bin", bytes(20 * 1024 * 1024), FILE))

    with pytest.raises(TooLarge, match="more than 200 times"):
        unpack(content)


def test_bomb_that_lies_is_refused_by_what_comes(unpack: Unpack) -> None:
    """The bytes that come out count, not those that the archive speaks of."""
    content = packed(("zeros.bin", bytes(100_000), FILE))
    said = struct.pack("<I", 100_000)
    lying = content.replace(said, struct.pack("<I", 10))

    with pytest.raises(BridgeError):
        unpack(lying, Limits(max_bytes=50_000))


def test_total_of_bytes_is_limited(unpack: Unpack) -> None:
    """Many files count together."""
    content = packed(*((f"{n}.bin", os.urandom(1000), FILE) for n in range(20)))

    with pytest.raises(TooLarge, match="max_bytes"):
        unpack(content, Limits(max_bytes=10_000))


@pytest.mark.parametrize("name", ["{}.py", "{}/"])
def test_number_of_entries_is_limited(unpack: Unpack, name: str) -> None:
    """An archive of empty files, or of directories, is a bomb too."""
    content = packed(*((name.format(n), b"", FILE) for n in range(30)))

    with pytest.raises(TooLarge, match="max_files"):
        unpack(content, Limits(max_files=20))


def test_number_of_directories_is_limited(unpack: Unpack) -> None:
    """So is one file in each of very many directories."""
    content = packed(
        *(("/".join(f"{n}{d}" for d in range(9)), b"", FILE) for n in range(9))
    )

    with pytest.raises(TooLarge, match="more than 20 directories"):
        unpack(content, Limits(max_files=20))


def test_what_is_no_archive_is_told(store: Store, tmp_path: Path) -> None:
    """A damaged archive is refused at creation."""
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK, but no more")

    with pytest.raises(BadArgument, match="not a zip archive that can be read"):
        sources.check(code_src=path, handler="a:f", store=store)


def test_windows_archive_is_understood(unpack: Unpack) -> None:
    """Names with backslashes, as some programs write them, are paths."""
    tree = unpack(packed(("pkg\\a.py", b"x", FILE)))

    assert b"x" == (tree / "pkg" / "a.py").read_bytes()


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(
    st.lists(
        st.tuples(
            st.text(alphabet="ab./\\:é\u0301A\0\n", max_size=12),
            st.sampled_from([FILE, LINK, stat.S_IFDIR | 0o755, 0]),
            st.sampled_from([b"", b"x", b"..", b"a", b"../..", b"b/../.."]),
        ),
        max_size=5,
    )
)
def test_no_archive_leads_out(
    unpack: Unpack, tmp_path: Path, entries: list[tuple[str, int, bytes]]
) -> None:
    """Whatever is in an archive: a tree in the cache comes of it, or an error."""
    kept = [(name or "a", content, mode) for name, mode, content in entries]

    try:
        tree = unpack(packed(*kept))
    except BadArgument:
        tree = None

    assert {"a.zip", "store"} == {path.name for path in tmp_path.iterdir()}
    if tree is not None:
        inside = os.path.realpath(tree)
        for path in tree.rglob("*"):
            assert (os.path.realpath(path) + "/").startswith(inside + "/")


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(st.data())
def test_damaged_archive_is_refused_or_read(
    unpack: Unpack, data: st.DataObject
) -> None:
    """Bytes that are changed or cut off end in our errors, never in others."""
    content = bytearray(packed(("a/b.py", b"x = 1" * 9, FILE), ("c", b"a", LINK)))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(len(content) // 2, len(content)))]

    try:
        tree = unpack(bytes(content))
    except BridgeError:
        return
    assert tree.is_dir()


def test_tree_is_read_only_and_named_by_its_content(unpack: Unpack) -> None:
    """The same files are one tree, whatever archive they come from."""
    one = unpack(packed(("a.py", b"x", FILE), ("b.py", b"y", FILE)))
    two = unpack(packed(("b.py", b"y", FILE), ("a.py", b"x", FILE)))
    other = unpack(packed(("a.py", b"x", FILE), ("b.py", b"z", FILE)))

    assert one == two
    assert one != other
    assert 0 == stat.S_IMODE((one / "a.py").stat().st_mode) & 0o222
    assert 0 == stat.S_IMODE(one.stat().st_mode) & 0o222


@pytest.mark.parametrize("change", ["write", "add", "delete"])
def test_tree_that_was_written_to_is_made_anew(
    store: Store, tmp_path: Path, change: str
) -> None:
    """A run that changes its own code changes it for no other run."""
    path = zipped(tmp_path / "a.zip", {"a.py": "x = 1", "b.py": ""})
    source = sources.check(code_src=path, handler="a:x", store=store)
    tree = sources.fetch(source, store=store).path
    os.chmod(tree, 0o755)  # noqa: PTH101, S103 - as one may who owns it
    if change == "delete":
        (tree / "a.py").unlink()
    else:
        file = tree / ("a.py" if change == "write" else "new.py")
        file.unlink(missing_ok=True)
        file.write_text("x = 2")

    again = sources.fetch(source, store=store).path

    assert {"a.py", "b.py"} == {file.name for file in again.iterdir()}
    assert "x = 1" == (again / "a.py").read_text()


def test_failed_tree_leaves_nothing(unpack: Unpack, cache: Cache) -> None:
    """What is refused half-way is not in the cache, nor beside it."""
    with pytest.raises(BadArgument):
        unpack(packed(("a.py", b"x", FILE), ("../b.py", b"x", FILE)))

    assert [] == list(cache.trees.iterdir())


def test_what_killed_processes_left_is_swept(
    unpack: Unpack, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun more than a day ago has no owner; what is newer may have one."""
    unpack(packed(("a.py", b"x", FILE)))
    (cache.trees / ".staging-x").mkdir()
    (cache.path / ".partial-x").mkdir()
    (cache.path / ".partial-y").write_text("")
    cache._sweep()  # noqa: SLF001
    before = list(cache.path.rglob(".*"))
    later = time.time() + 2 * 24 * 3600
    monkeypatch.setattr(time, "time", lambda: later)

    cache._sweep()  # noqa: SLF001

    assert 3 == len(before)
    assert [] == list(cache.path.rglob(".*"))
    assert 1 == len(list(cache.trees.iterdir()))


def make(root: str, count: int, results: object) -> None:
    """Make the same trees as other processes do, and say what came of it."""
    cache = Cache(Path(root))
    found = []
    for number in range(count):
        with cache.staging("x", Limits()) as staging:
            for name in ("a.py", "b/c.py", "d/e/f.py"):
                staging.file(name, [b"%d" % number])
            digest = cache.keep(staging)
        tree = cache.find(digest)
        found.append(tree is not None and (tree / "b" / "c.py").read_text())
    results.put(found)  # type: ignore[attr-defined]


def test_processes_make_one_tree_together(tmp_path: Path) -> None:
    """Four processes make the same trees at once: all find them whole."""
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [
        context.Process(target=make, args=(str(tmp_path), 20, results))
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=30) for _ in workers]
    for worker in workers:
        worker.join()

    assert [[str(n) for n in range(20)]] * 4 == found
    assert 20 == len(list((tmp_path / "cache/sources/trees").iterdir()))


def test_threads_fetch_from_an_origin_one_at_a_time(cache: Cache) -> None:
    """Who waits for another's download finds it in the cache."""
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        with cache.alone("origin"):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [1] * 5 == most


def test_remove_takes_what_is_read_only(unpack: Unpack) -> None:
    """The cache can be cleared, though its trees are read-only."""
    tree = unpack(packed(("a/b.py", b"x", FILE)))

    remove(tree)

    assert not tree.exists()
