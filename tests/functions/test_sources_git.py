"""Sources in git: the files of a branch, tag or commit, over file and http."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pybridge.errors import BadArgument, HostError, TooLarge
from pybridge.functions.sources import git as git_sources
from tests.functions.origins import Site, commit, git, repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pybridge.functions.store import Store

    Fetch = Callable[..., object]


@pytest.fixture(params=["program", "library"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways in which a repository is asked: the git program, and dulwich."""
    if request.param == "library":
        monkeypatch.setattr(git_sources, "which", lambda _: None)
    return str(request.param)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two commits, a branch, and a tag of each kind."""
    path = repository(tmp_path_factory.mktemp("git") / "code")
    commit(path, main="def f(): return 'first'")
    git(path, "tag", "light")
    git(path, "tag", "-a", "v1", "-m", "x")
    git(path, "branch", "feature/one")
    commit(
        path,
        main="import sub.helper\ndef f(): return sub.helper.X",
        sub__helper="X = 'second'",
    )
    return path


@pytest.fixture
def repo(template: Path, tmp_path: Path) -> Path:
    """A copy of that repository."""
    return Path(shutil.copytree(template, tmp_path / "repos" / "code"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A web server that serves the repositories."""
    site = Site()
    site.repositories = tmp_path / "repos"
    yield site
    site.close()


def test_references_are_followed(repo: Path, call: Fetch, by: str) -> None:
    """§4: `#` names a branch or a tag, light or annotated; without it is HEAD."""
    wanted = {
        "": "second",
        "#main": "second",
        "#feature/one": "first",
        "#light": "first",
        "#v1": "first",
        "#refs/tags/v1": "first",
    }

    found = {ref: call(f"git+file://{repo}{ref}") for ref in wanted}

    assert wanted == found


def test_commit_is_taken_whole_or_abbreviated(repo: Path, call: Fetch, by: str) -> None:
    """§4: `#` may name a commit, also one that no reference points to."""
    sha = git(repo, "rev-parse", "v1^{commit}")
    git(repo, "tag", "-d", "light")

    assert "first" == call(f"git+file://{repo}#{sha}")
    assert "first" == call(f"git+file://{repo}#{sha[:8]}")


def test_http_keeps_scheme_and_port(
    repo: Path, site: Site, call: Fetch, by: str
) -> None:
    """§4: the original lost `http` and the port; here they are what is asked."""
    assert "second" == call(f"git+http://{site.host}/git/code/.git")
    assert "first" == call(f"git+http://{site.host}/git/code/.git#v1")


def test_gits_own_protocol_is_spoken(repo: Path, call: Fetch) -> None:
    """§4: `git://` with a port is what it says; without one it is asked by https."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    told = ["--listen=127.0.0.1", f"--port={port}", "--reuseaddr", "--export-all"]
    daemon = subprocess.Popen(
        ["git", "daemon", "--verbose", *told, f"--base-path={repo.parent}"],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert daemon.stderr is not None
        daemon.stderr.readline()  # it is ready to rumble

        result = call(f"git://127.0.0.1:{port}/code#v1")
    finally:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.communicate()

    assert "first" == result


def test_gits_own_protocol_needs_the_program(
    call: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the program, the error says so, and what to write instead."""
    monkeypatch.setattr(git_sources, "which", lambda _: None)

    with pytest.raises(BadArgument, match="needs the git program"):
        call("git://127.0.0.1:9418/code")


def test_server_that_only_has_files_is_understood(
    repo: Path, site: Site, call: Fetch, by: str
) -> None:
    """A repository behind a plain web server works too, without git at its end."""
    git(repo, "update-server-info")
    site.files = repo.parent

    assert "second" == call(f"git+http://{site.host}/files/code/.git")


def test_commit_is_fetched_once(repo: Path, site: Site, call: Fetch, by: str) -> None:
    """A commit that is in the cache is not asked for; a branch costs one question."""
    sha = git(repo, "rev-parse", "HEAD")
    url = f"git+http://{site.host}/git/code/.git"
    call(f"{url}#{sha}")
    before = len(site.asked)

    call(f"{url}#{sha}")
    of_commit = len(site.asked) - before
    call(f"{url}#main")
    asked = site.asked[before:]

    assert 0 == of_commit
    assert all("git-upload-pack" in path for path in asked)
    assert 1 <= len(asked) <= 2


def test_branch_that_moved_is_fetched_anew(repo: Path, call: Fetch, by: str) -> None:
    """A branch means the commit that it is at when the run starts."""
    before = call(f"git+file://{repo}#main")
    commit(repo, main="def f(): return 'third'")

    after = call(f"git+file://{repo}#main")

    assert ("second", "third") == (before, after)


@pytest.mark.parametrize(
    ("environ", "who"),
    [
        ({"GIT_TOKEN": "ghp_x"}, ("ghp_x", "x-oauth-basic")),
        ({"GIT_TOKEN": "github_pat_x"}, ("oauth2", "github_pat_x")),
        ({"GIT_TOKEN": "glpat-x"}, ("oauth2", "glpat-x")),
        ({"GIT_USER": "me", "GIT_PASSWORD": "p"}, ("me", "p")),
        ({"GIT_USERNAME": "me", "GIT_PASSWORD": "p"}, ("me", "p")),
        ({"GIT_TOKEN": "t", "GIT_USER": "me"}, ("t", "x-oauth-basic")),
        ({"GIT_PASSWORD": "p"}, None),
    ],
)
def test_credentials_are_those_of_the_environment(
    environ: dict[str, str], who: tuple[str, str] | None
) -> None:
    """§4, C-12: GIT_TOKEN by its kind, or GIT_USER or GIT_USERNAME with a password."""
    assert who == git_sources.credentials(environ)


def test_credentials_are_given(repo: Path, site: Site, call: Fetch, by: str) -> None:
    """A site that wants to know who asks is told, whatever is in the password."""
    site.password = "me:it's $ecret \"%s\\"
    environ = {"GIT_USER": "me", "GIT_PASSWORD": "it's $ecret \"%s\\"}

    assert "second" == call(f"git+http://{site.host}/git/code/.git", environ=environ)


def test_wrong_credentials_are_told_without_them(
    repo: Path, site: Site, call: Fetch, by: str
) -> None:
    """No secret is in an error, and the error says which ones to give."""
    site.password = "somebody:else"

    with pytest.raises((BadArgument, HostError), match="GIT_TOKEN") as caught:
        call(
            f"git+http://{site.host}/git/code/.git",
            environ={"GIT_TOKEN": "github_pat_very_secret"},
        )

    assert "very_secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_missing_reference_is_told_with_the_nearest(
    repo: Path, call: Fetch, by: str
) -> None:
    """A branch that is not there is answered with the one that was meant."""
    with pytest.raises(BadArgument, match=r"'mian'; did you mean 'main'"):
        call(f"git+file://{repo}#mian")


def test_missing_commit_is_told(repo: Path, call: Fetch, by: str) -> None:
    """A commit that the repository does not have is an error that says so."""
    with pytest.raises(BadArgument, match="has no commit '00000"):
        call(f"git+file://{repo}#{'0' * 40}")


def test_missing_repository_is_told(tmp_path: Path, call: Fetch, by: str) -> None:
    """A path without a repository is told with the address."""
    with pytest.raises(BadArgument, match=r"git\+file:///.*nothing' cannot be"):
        call(f"git+file://{tmp_path}/nothing")


def test_site_that_is_not_there_is_told(call: Fetch, by: str) -> None:
    """A site that refuses connections is a failure of the other side."""
    with pytest.raises(HostError, match=r"'git\+http://127.0.0.1:9/x' cannot be"):
        call("git+http://127.0.0.1:9/x")


def test_link_that_leads_out_is_refused(repo: Path, call: Fetch, by: str) -> None:
    """A repository cannot make the runtime read what lies outside of it."""
    (repo / "secret").symlink_to("../../../etc/passwd")
    commit(repo)

    with pytest.raises(BadArgument, match="links have to stay inside"):
        call(f"git+file://{repo}")


def test_link_inside_and_mode_are_kept(
    repo: Path, store: Store, call: Fetch, by: str
) -> None:
    """A link to a file of the repository, and what may be executed, stay that."""
    (repo / "alias.py").symlink_to("sub/helper.py")
    (repo / "tool.sh").write_text("#!/bin/sh\necho hi\n", encoding="utf-8")
    (repo / "tool.sh").chmod(0o755)
    commit(
        repo,
        main="""
import alias, pathlib, subprocess
def f():
    tool = pathlib.Path(__file__).with_name("tool.sh")
    return alias.X, subprocess.check_output([tool])
""",
    )

    assert ("second", b"hi\n") == call(f"git+file://{repo}")


@pytest.fixture
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that allow 50,000 bytes."""
    settings = tmp_path / "pybridge.toml"
    settings.write_text("[functions.sources]\nmax_download = 50_000\n")
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(settings))


@pytest.mark.usefixtures("limited")
def test_pack_that_is_too_long_is_refused(
    repo: Path, site: Site, call: Fetch, by: str
) -> None:
    """What a repository may send is limited, however long that is."""
    (repo / "big.bin").write_bytes(os.urandom(200_000))
    commit(repo)

    with pytest.raises(TooLarge, match="max_download"):
        call(f"git+http://{site.host}/git/code/.git")
