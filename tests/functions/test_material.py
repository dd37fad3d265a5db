"""Dataitems, artifacts and models: entities with files."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from pybridge.errors import BadArgument, HostError
from pybridge.functions import files, material, tables
from pybridge.functions.faults import Faults
from tests.functions.calls import ran

if TYPE_CHECKING:
    from pybridge.functions.project import Project


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket on it."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    system, _ = files.filesystem("s3://bucket/x")
    if not system.exists("bucket"):
        system.mkdir("bucket")
    return "s3://bucket"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of the test's own, where it works."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


# ---- Files ---------------------------------------------------------------------------


def test_an_artifact_keeps_a_file_of_its_own(project: Project, here: Path) -> None:
    """S-12: the file is copied, with its size, hash and type noted."""
    (here / "a.txt").write_text("hello")

    artifact = project.log_artifact(name="a", kind="artifact", source="a.txt")
    (here / "a.txt").write_text("changed")

    (path,) = artifact.as_file()
    assert "hello" == Path(path).read_text()
    (file,) = project.get_artifact("a").status.files
    assert ("a.txt", "a.txt", "text/plain", 5) == (
        file["path"],
        file["name"],
        file["content_type"],
        file["size"],
    )
    assert "sha256:" + hashlib.sha256(b"hello").hexdigest() == file["hash"]
    assert "READY" == artifact.status.state


def test_source_and_source_path_are_the_same(project: Project, here: Path) -> None:
    """C-3: both are taken, but not at once."""
    (here / "a.txt").write_text("hello")

    for given in ({"source": "a.txt"}, {"source_path": here / "a.txt"}):
        assert project.log_artifact(name="a", kind="artifact", **given).as_file()
    with pytest.raises(BadArgument, match="source and source_path are the same"):
        project.log_artifact(name="a", source="a.txt", source_path="a.txt")


def test_all_faults_are_told_together(project: Project) -> None:
    """Each with its field, what came and what would do; nothing is stored."""
    with pytest.raises(Faults) as caught:
        project.new_dataitem(
            "a b",
            kind="tabl",
            path=3,
            uuid="../x",
            description=4,
            labels=[5],
            embedded="yes",
            colour="red",
        )

    fields = [one["field"] for one in caught.value.faults]
    assert {
        *("name", "kind", "path", "uuid"),
        *("description", "labels", "embedded", "colour"),
    } == set(fields)
    assert "path: 3 is not a path or an address" in str(caught.value)
    assert [] == project.list_dataitems()


def test_an_artifact_may_be_a_directory_or_several_files(
    project: Project, here: Path
) -> None:
    """All files of a directory are kept below it."""
    (here / "d" / "e").mkdir(parents=True)
    (here / "d" / "e" / "x.txt").write_text("x")
    (here / "d" / "y.txt").write_text("y")

    whole = project.log_artifact(name="d", source="d")
    several = project.log_artifact(name="s", source=["d/y.txt", "d/e/x.txt"])

    assert ["e/x.txt", "y.txt"] == [one["path"] for one in whole.status.files]
    assert ["x", "y"] == [Path(one).read_text() for one in whole.as_file()]
    assert ["x.txt", "y.txt"] == [Path(one).name for one in several.as_file()]


def test_files_of_one_name_are_refused(project: Project, tmp_path: Path) -> None:
    """None is lost because another one has its name."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.txt").write_text(folder)

    with pytest.raises(BadArgument, match=r"'x\.txt' twice"):
        project.log_artifact("s", source=[tmp_path / "a/x.txt", tmp_path / "b/x.txt"])
    assert [] == project.list_artifacts()


def test_download_copies_and_does_not_overwrite(project: Project, here: Path) -> None:
    """§2.3: download(destination, overwrite)."""
    (here / "a.txt").write_text("hello")
    artifact = project.log_artifact(name="a", source="a.txt")
    (here / "folder").mkdir()

    assert str(Path("folder/a.txt")) == artifact.download("folder")
    assert "b.txt" == artifact.download("b.txt")
    assert "hello" == (here / "b.txt").read_text()
    with pytest.raises(BadArgument, match=r"'b.txt' exists already; pass overwrite"):
        artifact.download("b.txt")
    (here / "b.txt").write_text("other")
    artifact.download("b.txt", overwrite=True)
    assert "hello" == (here / "b.txt").read_text()
    assert (here / "new" / "a.txt") == here / artifact.download("new/")


def test_upload_replaces_the_file(project: Project, here: Path) -> None:
    """§2.3: upload(source)."""
    (here / "a.txt").write_text("hello")
    (here / "b.txt").write_text("others")
    artifact = project.log_artifact(name="a", source="a.txt")

    artifact.upload("b.txt")

    assert "others" == Path(artifact.as_file()[0]).read_text()
    assert 6 == project.get_artifact("a").status.files[0]["size"]


def test_new_takes_files_where_they_are(project: Project, here: Path) -> None:
    """new_artifact(path=…) copies nothing, and its path is whole."""
    (here / "a.txt").write_text("hello")

    artifact = project.new_artifact(name="a", kind="artifact", path="a.txt")

    assert str(here / "a.txt") == artifact.spec.path
    assert [str(here / "a.txt")] == artifact.as_file()
    gone = project.new_artifact(name="b", kind="artifact", path="nope.txt")
    with pytest.raises(BadArgument, match="has no file"):
        gone.as_file()


def test_log_writes_to_a_path_that_is_given(project: Project, here: Path) -> None:
    """A path of this machine is written to, unlike in the original's local mode."""
    (here / "a.txt").write_text("hello")

    artifact = project.log_artifact(name="a", source="a.txt", path="out/b.txt")
    item = project.log_dataitem(
        name="t", kind="table", data=pd.DataFrame({"a": [1]}), path="out/t.csv"
    )

    assert "hello" == (here / "out" / "b.txt").read_text()
    assert "a\n1\n" == (here / "out" / "t.csv").read_text()
    assert str(here / "out" / "t.csv") == item.path
    assert str(here / "out" / "b.txt") == artifact.spec.path


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kind": "artefact"}, "'artefact' is no kind of artifact"),
        ({"name": "a b"}, "'a b' is not a name"),
        ({"pth": "x"}, "did you mean 'path'"),
        ({"source": "nope.txt"}, "there is no file"),
        ({}, "give source"),
    ],
)
def test_what_is_wrong_is_told_at_once(
    project: Project, here: Path, given: dict[str, Any], words: str
) -> None:
    """Wrong kinds, names and fields are refused, nothing is kept."""
    with pytest.raises(BadArgument, match=words):
        project.log_artifact(**{"name": "a", **given})

    assert [] == project.list_artifacts()


def test_a_dataitem_is_of_source_or_data(project: Project, here: Path) -> None:
    """§2.3: exactly one of source and data."""
    (here / "a.csv").write_text("x,y\n1,a\n")

    item = project.log_dataitem(name="a", kind="table", source="a.csv")

    assert [{"name": "x", "type": "integer"}, {"name": "y", "type": "string"}] == (
        item.schema["fields"]
    )
    assert [1] == item.as_df()["x"].tolist()
    assert [1] == project.log_dataitem(name="b", data=[{"x": 1}]).as_df()["x"].tolist()
    for given in ({}, {"source": "a.csv", "data": pd.DataFrame()}):
        with pytest.raises(BadArgument, match="either source"):
            project.log_dataitem(name="a", **given)


def test_a_table_may_be_kept_in_another_format(project: Project) -> None:
    """log_dataitem(data, extension): csv where parquet is not wanted."""
    item = project.log_dataitem(
        name="a", data=pd.DataFrame({"x": [1]}), extension="csv"
    )

    assert item.path.endswith("/a.csv")
    assert [1] == item.as_df()["x"].tolist()


def test_a_model_has_what_is_known_of_it(project: Project, here: Path) -> None:
    """§2.3: framework, algorithm, parameters, metrics; log_metric."""
    (here / "m.bin").write_bytes(b"m")

    model = project.log_model(
        name="m",
        kind="sklearn",
        source="m.bin",
        framework="sklearn",
        algorithm="svm",
        parameters={"c": 1},
        metrics={"loss": 0.5},
    )
    model.log_metric("loss", 0.25)
    model.log_metric("acc", 0.9, single_value=True)

    stored = project.get_model("m")
    assert ("svm", {"c": 1}) == (stored.spec.algorithm, stored.spec.parameters)
    assert {"loss": [0.5, 0.25], "acc": 0.9} == stored.metrics
    assert b"m" == Path(stored.as_file()[0]).read_bytes()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"metrics": {"loss": float("nan")}}, "metrics: loss is nan, which JSON has"),
        ({"parameters": {"c": [1, float("inf")]}}, r"parameters: c\[1\] is inf, which"),
        ({"parameters": {"c": object()}}, "parameters: object of type object is not"),
    ],
)
def test_what_is_no_json_is_refused_before_files_are_kept(
    project: Project, given: dict[str, Any], told: str
) -> None:
    """A number that is none is told with its place, as log_metric does."""
    with pytest.raises(Faults, match=told):
        project.log_model(name="m", kind="model", data={"w": 1}, **given)

    assert [] == project.list_models()
    assert not (project.store.root / "files" / project.name / "model").exists()


def test_versions_of_a_name_have_files_of_their_own(
    project: Project, here: Path
) -> None:
    """Logged twice, both versions stay."""
    (here / "a.txt").write_text("1")
    first = project.log_artifact(name="a", source="a.txt")
    (here / "a.txt").write_text("2")
    second = project.log_artifact(name="a", source="a.txt")

    assert ["1", "2"] == [Path(one.as_file()[0]).read_text() for one in (first, second)]
    assert second.key == project.get_artifact("a").key


# ---- All or nothing ------------------------------------------------------------------


def test_readers_see_a_file_whole(tmp_path: Path) -> None:
    """While a file is replaced, who reads it sees the old one or the new one."""
    path = tmp_path / "x"
    files.store_bytes(b"a" * 100_000, str(path))
    seen: set[bytes] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for letter in (b"b", b"a") * 20:
        files.store_bytes(letter * 100_000, str(path))
    done.set()
    reader.join()

    assert seen <= {b"a" * 100_000, b"b" * 100_000}
    assert [path] == list(tmp_path.iterdir())


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """A write that fails half-way leaves what was there."""
    path = tmp_path / "x"
    path.write_text("old")

    def fail() -> None:
        with files.replacing(path) as part:
            part.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert ("old", [path]) == (path.read_text(), list(tmp_path.iterdir()))


def test_a_table_that_cannot_be_written_is_no_entity(project: Project) -> None:
    """A dataitem is in the store when its file is there, not before."""
    with pytest.raises(BadArgument):
        project.log_dataitem(name="a", data=pd.DataFrame({"a": [1]}), extension="xls")

    assert [] == project.list_dataitems()


# ---- S3 ------------------------------------------------------------------------------


def test_files_are_kept_in_s3(project: Project, bucket: str, here: Path) -> None:
    """`s3://`: written, read, described, downloaded and replaced there."""
    (here / "a.txt").write_text("hello")

    artifact = project.log_artifact(name="a", source="a.txt", path=f"{bucket}/p/a.txt")

    assert "hello" == Path(artifact.as_file()[0]).read_text()
    assert "b.txt" == artifact.download("b.txt")
    assert "hello" == (here / "b.txt").read_text()
    (here / "a.txt").write_text("other")
    artifact.upload("a.txt")
    assert b"other" == files.read(f"{bucket}/p/a.txt")
    with pytest.raises(BadArgument, match="there is no file"):
        project.new_artifact(name="n", path=f"{bucket}/nope").as_file()


def test_directories_are_kept_in_s3(project: Project, bucket: str, here: Path) -> None:
    """All files of a directory go there and come back."""
    (here / "d" / "e").mkdir(parents=True)
    (here / "d" / "e" / "x.txt").write_text("x")
    (here / "d" / "y.txt").write_text("y")

    artifact = project.log_artifact(name="d", source="d", path=f"{bucket}/dir")

    assert ["x", "y"] == [Path(one).read_text() for one in artifact.as_file()]
    done = Path(artifact.download("out"))
    assert "x" == (done / "e" / "x.txt").read_text()


def test_directory_in_s3_cannot_write_elsewhere(
    project: Project, bucket: str, here: Path
) -> None:
    """Names in a bucket are whatever somebody wrote: none leads out of its copy."""
    system, _ = files.filesystem(bucket)
    system.pipe_file("bucket/out/a.txt", b"a")
    system.pipe_file("bucket/out/../../evil.txt", b"evil")

    with pytest.raises(BadArgument, match="leads out of the directory"):
        project.new_artifact(name="o", path=f"{bucket}/out").download("copy")
    assert [] == list(here.iterdir())


def test_tables_and_objects_are_kept_in_s3(project: Project, bucket: str) -> None:
    """Frames and pickles are written to and read from a bucket directly."""
    item = project.log_dataitem(
        name="t", data=pd.DataFrame({"a": [1, 2]}), path=f"{bucket}/t.parquet"
    )
    csv = project.log_dataitem(
        name="c", data=pd.DataFrame({"a": [1, 2]}), path=f"{bucket}/t.csv"
    )

    assert [1, 2] == item.as_df()["a"].tolist() == csv.as_df()["a"].tolist()
    assert [1, 2] == item.as_df(engine="polars")["a"].to_list()
    run = ran(
        project,
        "import pandas as pd\ndef f(di: pd.DataFrame): return di.a.tolist()",
        inputs={"di": f"{bucket}/t.parquet"},
    )
    assert (None, [1, 2]) == (run.status.message, run.result("output_0"))


def test_a_url_of_an_unknown_kind_is_told(project: Project) -> None:
    """A scheme that nothing knows is an error in words."""
    item = project.new_dataitem(name="t", kind="table", path="nope://x/t.parquet")

    with pytest.raises(BadArgument, match=r"nope://x/t\.parquet"):
        item.as_df()


def test_kinds_belong_to_types() -> None:
    """A kind is of one type, and a wrong one is told with the nearest."""
    assert ["artifact", "dataitem", "model"] == [
        material.type_of_kind(kind) for kind in ("artifact", "table", "mlflow")
    ]
    with pytest.raises(BadArgument, match="did you mean 'sklearn'"):
        material.type_of_kind("sklern")


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """A file that has no room is an error in words, and leaves nothing."""
    path = tmp_path / "x"

    with pytest.raises(HostError, match="No space left on device; make room"):
        _fill(path)

    assert [] == list(tmp_path.iterdir())


def _fill(path: Path) -> None:
    with files.replacing(path) as part:
        part.write_text("half")
        os.write(os.open("/dev/full", os.O_WRONLY), b"x")


def test_a_large_table_is_written_without_a_copy(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is large goes to the file directly, with the same hash and size."""
    frame = pd.DataFrame({"a": range(1000)})
    small = project.log_dataitem(name="s", data=frame)
    monkeypatch.setattr(tables, "_LARGE", 10)
    monkeypatch.setattr(tables, "_MANY", 10)

    large = project.log_dataitem(name="s", data=frame)

    assert frame.equals(large.as_df())
    for name in ("hash", "size", "name", "path", "content_type"):
        assert small.status.files[0][name] == large.status.files[0][name]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


def test_files_of_the_web_are_read(
    project: Project, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`http://`: a table is read, and a file downloaded; what is not there is told."""
    monkeypatch.setenv("NO_PROXY", "*")
    (here / "a.csv").write_text("x\n1\n")
    handler = functools.partial(Quiet, directory=here)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        threading.Thread(target=web.serve_forever).start()
        url = f"http://127.0.0.1:{web.server_port}"
        item = project.log_dataitem(name="t", source=f"{url}/a.csv")
        gone = project.new_artifact(name="g", path=f"{url}/nope.txt?token=secret")
        signed = project.new_dataitem(name="s", path=f"{url}/a.csv?token=secret")
        try:
            assert [1] == item.as_df()["x"].tolist() == signed.as_df()["x"].tolist()
            assert "a.csv" == Path(signed.as_file()[0]).name
            assert "b.csv" == item.download("b.csv")
            assert "x\n1\n" == (here / "b.csv").read_text()
            with pytest.raises(BadArgument, match=r"nope\.txt' .*404") as caught:
                gone.as_file()
            assert "secret" not in str(caught.value)
        finally:
            web.shutdown()


def test_an_id_that_is_taken_leaves_the_others_files(project: Project) -> None:
    """A second entity with an id is refused before its file replaces the first's."""
    first = project.log_dataitem(name="t", data=[{"a": 1}], uuid="mine")

    with pytest.raises(BadArgument, match="there is a dataitem with id 'mine'"):
        project.log_dataitem(name="t", data=[{"a": 2}], uuid="mine")

    assert [1] == first.as_df()["a"].tolist()
