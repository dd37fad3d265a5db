"""Sources: what is taken at creation, what a handler means, what is refused."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybridge.errors import BadArgument
from pybridge.functions import loading, sources
from pybridge.functions.faults import Faults
from pybridge.functions.sources import address, handlers
from tests.functions.origins import zipped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pybridge.functions.store import Store

    Call = Callable[..., object]


@pytest.fixture
def call(store: Store) -> Call:
    """A function that creates, fetches and calls, and returns what that returns."""

    def caller(handler: str = "f", **given: Any) -> object:
        source = sources.check(**given, handler=handler, store=store)
        with loading.load(sources.fetch(source, store=store)) as loaded:
            return loaded.function()

    return caller


def encoded(text: str) -> str:
    """Return a text as base64."""
    return base64.b64encode(text.encode()).decode()


def faults(store: Store, **given: Any) -> dict[str, str]:
    """Return the faults of a source by field."""
    with pytest.raises(Faults) as caught:
        sources.check(**given, store=store)
    return {fault["field"]: fault["message"] for fault in caught.value.faults}


def test_code_comes_before_base64_and_that_before_code_src(call: Call) -> None:
    """S-42: `code` wins over `base64`, and that over `code_src`."""
    code, packed = "def f(): return 1", encoded("def f(): return 2")

    assert 1 == call(code=code, base64=packed, code_src="nowhere.py")
    assert 2 == call(base64=packed, code_src="nowhere.py")


def test_source_has_the_shape_of_the_original(store: Store) -> None:
    """§2.3: source, handler, init_function, base64 and lang are in the spec."""
    source = sources.check(
        code="def f(): ...\ndef init(context): ...",
        handler="f",
        init_function="init",
        store=store,
    )

    assert "main.py" == source["source"]
    assert ("f", "init", "python") == (
        source["handler"],
        source["init_function"],
        source["lang"],
    )
    assert b"def f()" == base64.b64decode(source["base64"])[:7]


def test_lang_is_kept(store: Store) -> None:
    """S-47: the hint that is given is the one that is stored."""
    source = sources.check(code="f = print", handler="f", lang="python3", store=store)

    assert "python3" == source["lang"]


def test_base64_may_have_line_ends(call: Call) -> None:
    """S-43: base64 as programs print it, in lines, is fine."""
    text = encoded("def f(): return 'a long text, to have it in two lines' ")

    assert call(base64=f"{text[:40]}\n{text[40:]}\n")


@pytest.mark.parametrize("text", ["@@@@", "abc", "ä", ""])
def test_base64_that_is_none_is_refused(store: Store, text: str) -> None:
    """S-43: the original takes "@@@@" and fails when it runs."""
    assert {"base64"} == set(faults(store, base64=text, handler="f"))


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("x = '\0'", "NUL"),
        ("\udc80", "not Unicode"),
        ("# coding: no-such", "unknown encoding"),
        (17, "not a text"),
    ],
)
def test_code_that_cannot_be_source_is_refused(
    store: Store, code: Any, told: str
) -> None:
    """S-42: what can never be Python is told at creation."""
    assert told in faults(store, code=code, handler="f")["code"]


def test_all_faults_are_told_at_once(store: Store) -> None:
    """S-44, C-15: source and handler are both looked at before anything is said."""
    found = faults(store, code_src="missing.py", handler="a b")

    assert {"code_src", "handler"} == set(found)
    assert "No such file" in found["code_src"]


def test_missing_source_and_handler_are_told(store: Store) -> None:
    """§1.6: without a source there is nothing to run; S-44: nor without a handler."""
    assert {"source", "handler"} == set(faults(store))


def test_missing_handler_is_told_with_the_functions(store: Store) -> None:
    """S-44: what could have been meant stands in the error."""
    found = faults(store, code="def one(): ...\ndef two(): ...\ndef _no(): ...")

    assert found["handler"].endswith("one of: one, two")


def test_handler_that_is_surely_not_there_is_told(store: Store) -> None:
    """A name that the source cannot have is no handler, and no init function."""
    found = faults(
        store, code="def first(): ...", handler="frist", init_function="init"
    )

    assert "did you mean 'first'" in found["handler"]
    assert "init_function" in found


@pytest.mark.parametrize(
    "code",
    [
        "from os.path import *",
        "globals()['f'] = print",
        "exec('f = print')",
        "import os as f",
        "for f in [print]: pass",
        "with open('/dev/null') as f: pass",
        "if True:\n    def f(): ...",
        "(f := print)",
        "def f(:",
    ],
)
def test_handler_that_may_be_there_is_left_to_the_run(store: Store, code: str) -> None:
    """Only what is certain is refused: code can bring names in many ways."""
    assert sources.check(code=code, handler="f", store=store)


def test_local_file_is_taken_along(call: Call, store: Store, tmp_path: Path) -> None:
    """§4: a file is read at creation; what becomes of it later is nothing to a run."""
    path = tmp_path / "job.py"
    path.write_text("def f(): return 'as it was'")
    source = sources.check(code_src=str(path), handler="f", store=store)
    path.unlink()

    with loading.load(sources.fetch(source, store=store)) as loaded:
        result = loaded.function()

    assert "as it was" == result
    assert str(path) == source["source"]


@pytest.mark.parametrize(
    "handler", ["f", "job:f", "main:f", "job.py:f", "./job.py:f", "src/job.py:f"]
)
def test_handler_of_a_local_file_is_repaired(
    call: Call, tmp_path: Path, handler: str
) -> None:
    """§4: `main:func1` and the file's own name mean the one file that there is."""
    (tmp_path / "job.py").write_text("def f(): return 'f'")

    assert "f" == call(handler, code_src=tmp_path / "job.py")


@pytest.mark.parametrize("handler", ["f", "job:f", "main:f"])
def test_local_file_takes_along_what_it_imports(
    call: Call, tmp_path: Path, handler: str
) -> None:
    """G-11: what lies beside a file and is imported by it comes with it; no more."""
    for name, text in {
        "job.py": "import helper, json, pathlib\nfrom pkg.deep import D\n"
        "def f():\n    from late import L\n    here = pathlib.Path(__file__).parent\n"
        "    return helper.H, D, L, sorted(p.name for p in here.iterdir())",
        "helper.py": "from other import H",
        "other.py": "H = 1",
        "late.py": "L = 2",
        "unused.py": "",
        "pkg/__init__.py": "",
        "pkg/deep.py": "from . import data\nD = 3",
        "pkg/data.py": "",
        "json/readme.txt": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    result = call(handler, code_src=tmp_path / "job.py")

    files = ["helper.py", "job.py", "late.py", "other.py", "pkg"]
    assert (1, 3, 2, files) == result


def test_file_with_a_dot_in_its_name_is_a_source_too(
    call: Call, tmp_path: Path
) -> None:
    """The name of a file need not be that of a module."""
    (tmp_path / "my.job.py").write_text("def f(): return 'f'")
    (tmp_path / "job").write_text("def f(): return 'f'")

    assert "f" == call("f", code_src=tmp_path / "my.job.py")
    assert "f" == call("main:f", code_src=tmp_path / "job")


def test_checksum_of_a_local_file_is_compared(call: Call, tmp_path: Path) -> None:
    """`#sha256=` means the same wherever a file lies."""
    (tmp_path / "job.py").write_text("def f(): return 'f'")
    right = hashlib.sha256((tmp_path / "job.py").read_bytes()).hexdigest()
    url = f"file://{tmp_path}/job.py#sha256="

    assert "f" == call(code_src=url + right)
    with pytest.raises(Faults, match=f"its sha256 is {right}, not 0000"):
        call(code_src=url + "0" * 64)


def test_local_address_may_be_written_as_one(call: Call, tmp_path: Path) -> None:
    """`file://` is what it is everywhere."""
    (tmp_path / "a job.py").write_text("def f(): return 'f'")

    assert "f" == call(code_src=f"file://{tmp_path}/a%20job.py")


def test_directory_is_taken_with_what_lies_in_it(
    call: Call, store: Store, tmp_path: Path
) -> None:
    """§4: a directory's files import each other; what tools put there stays behind."""
    for name, text in {
        "main.py": "import pathlib, lib.a\n"
        "here = pathlib.Path(__file__).parent\n"
        "def f(): return (lib.a.A, (here / 'd.txt').read_text(),"
        " sorted(p.name for p in here.iterdir()))",
        "lib/a.py": "A = 1",
        "d.txt": "data",
        "__pycache__/main.pyc": "",
        ".git/config": "",
        "env/pyvenv.cfg": "",
        "env/lib/x.py": "",
    }.items():
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_text(text)
    source = sources.check(code_src=tmp_path / "code", handler="main:f", store=store)
    (tmp_path / "code" / "main.py").write_text("changed")

    with loading.load(sources.fetch(source, store=store)) as loaded:
        result = loaded.function()

    assert (1, "data", ["d.txt", "lib", "main.py"]) == result


def test_pack_is_unpacked_where_the_cache_is_gone(store: Store, tmp_path: Path) -> None:
    """What was taken along is in the store, not only in its cache."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "main.py").write_text("from a import A\ndef f(): return A")
    (code / "a.py").write_text("A = 'again'")
    (code / "run.sh").write_text("#!/bin/sh")
    (code / "run.sh").chmod(0o755)
    (code / "alias.py").symlink_to("a.py")
    source = sources.check(code_src=code, handler="main:f", store=store)
    sources.cache.remove(store.root / "cache")

    tree = sources.fetch(source, store=store)
    with loading.load(tree) as loaded:
        result = loaded.function()

    assert "again" == result
    assert source["digest"] == tree.digest
    assert os.access(tree.path / "run.sh", os.X_OK)


def test_package_keeps_its_name(call: Call, tmp_path: Path) -> None:
    """A directory that is a package can import itself by its name."""
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("A = 1")
    (package / "job.py").write_text(
        "import mine\nfrom mine import A\ndef f(): return A"
    )

    assert 1 == call("job:f", code_src=package)
    assert 1 == call("mine.job:f", code_src=package)


@pytest.mark.parametrize(
    ("files", "handler"),
    [
        ({"main.py": "{}", "b.py": ""}, "f"),
        ({"job.py": "{}", "data.txt": ""}, "f"),
        ({"code.py": "{}", "main.py": ""}, "f"),
        ({"src/sub/mod.py": "{}"}, "src.sub.mod:f"),
        ({"src/sub/mod.py": "{}"}, "src/sub/mod:f"),
        ({"src/sub/mod.py": "{}"}, "src/sub/mod.py:f"),
        ({"top.py": "{}", "x.py": ""}, "top.py:f"),
        ({"top.py": "{}", "x.py": ""}, "top.f"),
        ({"pkg/__init__.py": "{}", "x.py": ""}, "pkg:f"),
        ({"repo-1.2/main.py": "{}", "repo-1.2/x.py": ""}, "main:f"),
        ({"repo/job.py": "{}", "repo/x.py": ""}, "job:f"),
        ({"my-job.py": "{}", "x.py": ""}, "my-job:f"),
    ],
)
def test_handler_grammar(
    call: Call, tmp_path: Path, files: dict[str, str], handler: str
) -> None:
    """§4: `module.path:function`, and all that people write for it."""
    code = "def f(): return 'found'"
    made = {name: text.format(code) for name, text in files.items()}
    path = zipped(tmp_path / "code.zip", made)

    assert "found" == call(handler, code_src=path)


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        ("f", "names no module"),
        ("c:f", "there are: a, b"),
        (":f", "names no module"),
        ("a:", "names no function"),
        ("a:1", "not a name"),
        ("a..b:f", "not a module"),
    ],
)
def test_handler_that_means_nothing_is_told(
    store: Store, tmp_path: Path, handler: str, told: str
) -> None:
    """A handler is looked for at creation, and what there is stands in the error."""
    path = zipped(tmp_path / "code.zip", {"a.py": "", "b.py": ""})

    assert told in faults(store, code_src=path, handler=handler)["handler"]


@pytest.mark.parametrize(
    ("code_src", "told"),
    [
        ("ftp://x/y", "unknown scheme 'ftp'"),
        ("gti+https://x/y", "did you mean 'git+https'"),
        ("local://x/y", "a local path is written without one"),
        ("git+https:///x", "names no host"),
        ("git+https://host", "names no path"),
        ("git+https://me:hidden@host/x", "GIT_TOKEN"),
        ("git+https://host/x#a b", "space"),
        ("git+https://host/x#-x", "not a branch, tag or commit"),
        ("git+https://host/x#a..~1", "not a branch, tag or commit"),
        ("git+file://host/x", "git+file:///path"),
        ("https://host/x.py#abc", "not a checksum"),
        ("https://host:port/x.py", "not an address"),
        ("", "is empty"),
        ("x\0y", "NUL"),
        ("/dev/null", "neither a file nor a directory"),
    ],
)
def test_address_that_means_nothing_is_told(
    store: Store, code_src: str, told: str
) -> None:
    """S-41: each fault of an address is named, with what to write instead."""
    found = faults(store, code_src=code_src, handler="f")["code_src"]

    assert told in found
    assert "hidden" not in found


@pytest.mark.parametrize(
    ("code_src", "kind", "url", "ref"),
    [
        ("git+https://h:8443/a/b.git#v1", "git", "https://h:8443/a/b.git", "v1"),
        ("git+http://h/a#x/y", "git", "http://h/a", "x/y"),
        ("git://h/a", "git", "https://h/a", None),
        ("git://h:9418/a", "git", "git://h:9418/a", None),
        ("git+file:///a/b", "git", "file:///a/b", None),
        ("HTTPS://h/a.py?q=1", "web", "https://h/a.py?q=1", None),
        ("zip+https://h/a", "web", "https://h/a", None),
        ("s3a://b/k.py", "bucket", "s3://b/k.py", None),
        ("a/b.py", "local", "a/b.py", None),
        ("C:/x.py", "local", "C:/x.py", None),
    ],
)
def test_address_grammar(code_src: str, kind: str, url: str, ref: str | None) -> None:
    """§4: schemes, ports and references are kept as they are written."""
    parsed = address.parse(code_src)

    assert (kind, url, ref) == (parsed.kind, parsed.url, parsed.ref)


def test_needs_are_those_of_the_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment of a run has to have what fetches its source."""
    assert ("s3fs",) == sources.needs({"source": "zip+s3://b/k.zip"})
    assert () == sources.needs({"source": "main.py", "base64": ""})
    assert () == sources.needs({"source": "git+https://h/r"})

    monkeypatch.setenv("PATH", "")

    assert ("dulwich",) == sources.needs({"source": "git+https://h/r"})


def test_settings_are_checked(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit that is misspelled limits nothing: that is told."""
    settings = tmp_path / "pybridge.toml"
    settings.write_text("[functions.sources]\nmax_file = 1\n")
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(settings))

    with pytest.raises(BadArgument, match=r"'max_file' in \[functions.sources\]"):
        sources.check(code="f = print", handler="f", store=store)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """Nothing but BadArgument comes of an address, whatever is written there."""
    for code_src in (text, f"git+https://{text}", f"https://h/{text}", f"s3://{text}"):
        try:
            parsed = address.parse(code_src)
        except BadArgument:
            continue
        assert parsed.kind in {"local", "git", "web", "bucket"}


@given(st.text(alphabet="ab./\\:_-1 \0é", max_size=12))
def test_any_text_is_a_handler_or_refused(text: str) -> None:
    """Nothing but BadArgument comes of a handler; no module leads out of the tree."""
    try:
        module, name = handlers.parse(text)
    except BadArgument:
        return
    assert all(part.isidentifier() for part in name.split("."))
    assert ".." not in module
    assert "/" not in module
