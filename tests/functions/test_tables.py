"""Tables in files and databases, in both directions."""

from __future__ import annotations

import datetime as dt
import sqlite3
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from pybridge.errors import BadArgument
from pybridge.functions import database, inputs, material, tables

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.functions.project import Project

# Databases load pybridge into Python's own SQLite.
pytestmark = pytest.mark.apart

BIG = 2**60 + 1


def times(*texts: Any) -> Any:
    """Return moments, None among them."""
    return pd.to_datetime(list(texts), format="ISO8601")


def frames() -> dict[str, pd.DataFrame]:
    """Return frames with the edges of what they may hold."""
    return {
        "empty": pd.DataFrame({"a": pd.Series([], dtype="int64")}),
        "no columns": pd.DataFrame(index=range(3)),
        "integers": pd.DataFrame({"a": [0, -BIG, BIG], "b": [True, False, True]}),
        "small": pd.DataFrame(
            {kind: np.array([1, 2], kind) for kind in ("int8", "uint64", "float32")}
        ),
        "nulls": pd.DataFrame(
            {
                "i": pd.array([BIG, None], "Int64"),
                "b": pd.array([True, None], "boolean"),
                "f": [1.5, np.nan],
                "t": ["x", None],
            }
        ),
        "floats": pd.DataFrame({"a": [np.inf, -np.inf, -0.0, 1e-300]}),
        "times": pd.DataFrame(
            {
                "d": [dt.date(2024, 2, 29), None],
                "t": [dt.time(1, 2, 3, 4), None],
                "ts": times("2024-02-29 01:02:03.123456", None),
                "ns": pd.array(
                    ["2024-02-29T01:02:03.123456789", None], "datetime64[ns]"
                ),
                "tz": times("2024-10-27T00:30:00Z", None).tz_convert("Europe/Berlin"),
                "td": pd.to_timedelta(["1 days 00:00:01", None]),
            }
        ),
        "texts": pd.DataFrame({"a": ["a\0b", "", "ü€\U0001f600", None]}),
        "bytes": pd.DataFrame({"a": [b"\x00\xff", b"", None]}),
        "decimals": pd.DataFrame({"a": [Decimal("1.10"), Decimal("-0.01"), None]}),
        "categories": pd.DataFrame({"a": pd.Categorical(["x", "y", "x"])}),
        "lists": pd.DataFrame(
            {"a": [[1, 2], [], None], "s": [{"x": 1}, {"x": 2}, None]}
        ),
        "index": pd.DataFrame({"a": [1, 2]}, index=pd.Index(["p", "q"], name="k")),
        "dates index": pd.DataFrame(
            {"a": [1, 2]}, index=pd.date_range("2024-01-01", periods=2)
        ),
        "multi": pd.DataFrame(
            {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, "x"), (2, "y")])
        ),
        "surrogates": pd.DataFrame({"a": pd.Series(["\ud800 x", "y"], dtype=object)}),
        "mixed": pd.DataFrame({"a": [1, "x", None, 2.5]}, dtype=object),
        "objects": pd.DataFrame({"a": [1 + 2j, {1, 2}]}, dtype=object),
    }


def shown(frame: pd.DataFrame) -> list[Any]:
    """Return all of a frame in a form that can be compared."""
    cells = frame.reset_index().astype(object)
    cells = cells.where(~cells.isna(), None) if len(cells) else cells
    return [
        [str(name) for name in cells.columns],
        [
            [list(one) if isinstance(one, np.ndarray) else one for one in row]
            for row in cells.itertuples(index=False, name=None)
        ],
    ]


@pytest.mark.parametrize("name", frames())
def test_a_table_comes_back_as_it_was(project: Project, name: str) -> None:
    """S-21: NULL, large integers, dates, zones, any text, nested types, any index."""
    frame = frames()[name]

    item = project.log_dataitem(name="t", kind="table", data=frame)
    found = project.get_dataitem("t").as_df()

    assert shown(frame) == shown(found)
    assert [str(one) for one in frame.dtypes if one.kind != "O"] == [
        str(kind)
        for kind, one in zip(found.dtypes, frame.dtypes, strict=True)
        if one.kind != "O"
    ]
    assert item.key == project.get_dataitem("t").key


def test_columns_of_one_name_are_numbered(project: Project) -> None:
    """Two columns of a name become x and x_1, as everywhere in pybridge."""
    frame = pd.DataFrame([[1, 2, 3]], columns=["x", "x", ("a", "b")])

    item = project.log_dataitem(name="t", kind="table", data=frame)

    assert ["x", "x_1", "a_b"] == item.as_df().columns.tolist()


@pytest.mark.parametrize("library", tables.LIBRARIES)
def test_every_library_reads_and_writes(project: Project, library: str) -> None:
    """Frames of pandas, polars and arrow become each other, NULL and all."""
    source = pa.table({"i": [BIG, None], "t": ["ü", None], "f": [1.5, None]})

    item = project.log_dataitem(
        name="t", kind="table", data=tables.converted(source, library)
    )

    assert source.to_pylist() == item.as_df(engine="arrow").to_pylist()
    assert source.to_pylist() == item.as_df(engine="polars").to_dicts()
    found = item.as_df()
    assert BIG == found["i"][0]
    assert found["i"].isna()[1]


@pytest.mark.parametrize(
    "form", ["parquet", "csv", "tsv", "json", "jsonl", "xlsx", "arrow", "pickle"]
)
def test_every_format_is_written_and_read(tmp_path: Path, form: str) -> None:
    """Files are told by their names: parquet, csv, json, xlsx and others."""
    frame = pd.DataFrame({"a": [1, 2], "t": ["x", "ü"], "f": [1.5, -2.0]})
    path = str(tmp_path / f"t.{form}")

    told = tables.write(frame, path)

    assert frame.equals(tables.read(path))
    for library in ("polars", "arrow"):
        found = tables.converted(tables.read(path, engine=library), "pandas")
        assert shown(frame) == shown(found)
    assert told["size"] == (tmp_path / f"t.{form}").stat().st_size
    assert [f"t.{form}"] == [one.name for one in tmp_path.iterdir()]


def test_options_go_to_the_reader(tmp_path: Path) -> None:
    """S-17: as_df(file_format, engine, **options of the library's own reader)."""
    (tmp_path / "data.txt").write_text("a;b\n1;x\n2;y\n")
    path = str(tmp_path / "data.txt")

    assert [1, 2] == tables.read(path, sep=";")["a"].tolist()
    assert 1 == len(tables.read(path, sep=";", nrows=1))
    assert 2 == len(tables.read(path, engine="polars", separator=";"))
    (tmp_path / "noname").write_text("a\n1\n")
    assert 1 == len(tables.read(str(tmp_path / "noname"), file_format="csv"))
    frame = pd.DataFrame({"a": [1], "b": [2]})
    tables.write(frame, str(tmp_path / "t.parquet"))
    for library in tables.LIBRARIES:
        found = tables.read(str(tmp_path / "t.parquet"), engine=library, columns=["b"])
        assert ["b"] == list(tables.converted(found, "pandas").columns)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p: tables.read(str(p / "nope.csv")), "there is no file"),
        (lambda p: tables.read(str(p)), "has no parquet file in it"),
        (lambda _: tables.format_of("a.xyz"), "the format of 'a.xyz' is unknown"),
        (lambda p: tables.read(str(p / "a.csv"), engine="spark"), "engine 'spark'"),
        (
            lambda p: tables.write(pd.DataFrame(), str(p / "a.xls")),
            "not written as xls",
        ),
    ],
)
def test_what_cannot_be_read_or_written_is_told(
    tmp_path: Path, call: Any, words: str
) -> None:
    """Wrong paths, formats and engines are errors that say what there is."""
    with pytest.raises(BadArgument, match=words):
        call(tmp_path)


def test_schema_and_preview_are_kept(project: Project) -> None:
    """§2.3: Frictionless types, and the first ten values of each column."""
    table = pa.table(
        {
            "i": pa.array(range(12)),
            "f": pa.array([0.5] * 12),
            "d": pa.array([Decimal("1.1")] * 12),
            "b": pa.array([True] * 12),
            "t": pa.array(["x"] * 12),
            "c": pa.array(["x"] * 12).dictionary_encode(),
            "day": pa.array([dt.date(2024, 1, 1)] * 12),
            "at": pa.array([dt.datetime(2024, 1, 1)] * 12),
            "clock": pa.array([dt.time(1)] * 12),
            "took": pa.array([dt.timedelta(1)] * 12),
            "list": pa.array([[1]] * 12),
            "struct": pa.array([{"x": float("nan")}] * 12),
            "none": pa.nulls(12),
            "blob": pa.array([b"\xff"] * 12),
        }
    )

    item = project.log_dataitem(name="t", kind="table", data=table)

    types = {one["name"]: one["type"] for one in item.schema["fields"]}
    assert {
        "i": "integer", "f": "number", "d": "number", "b": "boolean", "t": "string",
        "c": "string", "day": "date", "at": "datetime", "clock": "time",
        "took": "duration", "list": "array", "struct": "object", "none": "any",
        "blob": "string",
    } == types  # fmt: skip
    stored = project.get_dataitem("t").preview
    columns = {one["name"]: one["value"] for one in stored["cols"]}
    assert (12, list(range(10))) == (stored["rows"], columns["i"])
    assert ("2024-01-01", "ff", {"x": "nan"}) == (
        columns["day"][0],
        columns["blob"][0],
        columns["struct"][0],
    )


def test_a_large_preview_is_left_out(project: Project) -> None:
    """§2.3: a preview of 64,000 bytes or more is not kept."""
    small = project.log_dataitem(
        name="s", kind="table", data=pd.DataFrame({"a": ["x" * 6000]})
    )
    large = project.log_dataitem(
        name="l", kind="table", data=pd.DataFrame({"a": ["x" * 64_000]})
    )

    assert small.preview is not None
    assert large.preview is None


# ---- Databases -----------------------------------------------------------------------


def kept(frame: pd.DataFrame) -> list[list[Any]]:
    """Return the cells of a frame, NULL as None."""
    return [list(row) for row in shown(frame)[1]]


@pytest.mark.parametrize("fast", [True, False], ids=["columns", "plain"])
def test_a_table_of_a_database_comes_back_as_it_was(
    project: Project, tmp_path: Path, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sqlite:///file.db#table`: int64 with NULL, dates, decimals, text are exact."""
    if not fast:  # as in environments of an older Python
        monkeypatch.setattr(database, "_OLDEST", (99,))
    frame = pd.DataFrame({
        "i": pd.array([BIG, None, -1], "Int64"),
        "f": [1.5, np.nan, np.inf],
        "t": ["a\0b", None, "ü"],
        "b": pd.array([True, None, False], "boolean"),
        "d": [dt.date(2024, 2, 29), None, dt.date(1, 1, 1)],
        "ts": times("2024-02-29 01:02:03.123456", None, "2024-01-01"),
        "x": [b"\x00\xff", None, b""],
        "n": [Decimal("1.10"), None, Decimal("-0.01")],
    })  # fmt: skip

    item = project.log_dataitem(
        name="t", kind="table", data=frame, path=f"sqlite:///{tmp_path}/a b.db#my table"
    )
    found = project.get_dataitem("t").as_df()

    assert kept(frame) == kept(found)
    assert item.path.endswith("/a%20b.db#my%20table")
    rows = sqlite3.connect(tmp_path / "a b.db").execute(
        'select i, d, typeof(i) from "my table"'
    )
    assert (BIG, "2024-02-29", "integer") == rows.fetchone()
    assert [BIG, None, -1] == item.as_df(engine="polars")["i"].to_list()
    assert [True, None, False] == item.as_df(engine="arrow")["b"].to_pylist()
    assert ["t"] == item.as_df(columns=["t"]).columns.tolist()


@pytest.mark.parametrize("fast", [True, False], ids=["columns", "plain"])
def test_a_database_is_written_whole_or_not(
    tmp_path: Path, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modes fail, replace, append; what fails leaves the table as it was."""
    if not fast:
        monkeypatch.setattr(database, "_OLDEST", (99,))
    path = f"sqlite:///{tmp_path}/x.db#t"
    database.write(pd.DataFrame({"a": [1, 2]}), path)

    with pytest.raises(BadArgument, match="exists"):
        database.write(pd.DataFrame({"a": [3]}), path, mode="fail")
    database.write(pd.DataFrame({"a": [3]}), path, mode="append")
    assert [1, 2, 3] == database.read(path)["a"].tolist()

    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("create unique index u on t (a)")
    connection.close()
    with pytest.raises(BadArgument, match=r"(?i)unique"):
        database.write(pd.DataFrame({"a": [4, 4]}), path, mode="append")
    assert [1, 2, 3] == database.read(path)["a"].tolist()
    database.write(pd.DataFrame({"b": ["x"]}), path, mode="replace")
    assert ["x"] == database.read(path)["b"].tolist()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("sqlite:///a.db", "names no table"),
        ("sqlite://a.db#t", "is no table; one looks like"),
        ("sqlite:///#t", "is no table"),
        ("sqlite:///nope/a.db#t", "there is no database"),
    ],
)
def test_a_path_of_a_database_is_checked(path: str, words: str) -> None:
    """What is wrong with a path is told, with how one looks."""
    with pytest.raises(BadArgument, match=words):
        database.read(path)


@pytest.mark.parametrize("fast", [True, False], ids=["columns", "plain"])
def test_a_missing_table_is_told_with_those_that_there_are(
    tmp_path: Path, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong name of a table shows the right ones."""
    if not fast:
        monkeypatch.setattr(database, "_OLDEST", (99,))
    database.write(pd.DataFrame({"a": [1]}), f"sqlite:///{tmp_path}/x.db#trips")

    with pytest.raises(BadArgument, match="has no table 'trip'; it has trips"):
        database.read(f"sqlite:///{tmp_path}/x.db#trip")


def test_a_view_is_a_table_too(tmp_path: Path) -> None:
    """A path may name a view."""
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("create view v as select 1 as a, 'x' as b")
    connection.close()

    found = database.read(f"sqlite:///{tmp_path}/x.db#v")

    assert [{"a": 1, "b": "x"}] == found.to_dict("records")


@pytest.mark.parametrize("fast", [True, False], ids=["columns", "plain"])
def test_mixed_cells_of_a_column_are_all_exact(
    tmp_path: Path, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column takes the one type that holds all its cells: nothing is rounded."""
    if not fast:
        monkeypatch.setattr(database, "_OLDEST", (99,))
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("create table t (a, b, c, d)")
        connection.executemany(
            "insert into t values (?, ?, ?, ?)",
            [(1, BIG, 1, None), (2.5, 0.5, b"\xff", None), (None, None, "x", None)],
        )
    connection.close()

    found = database.read(f"sqlite:///{tmp_path}/x.db#t", engine="arrow")

    assert [1.0, 2.5, None] == found["a"].to_pylist()
    assert [str(BIG), "0.5", None] == found["b"].to_pylist()
    assert [b"1", b"\xff", b"x"] == found["c"].to_pylist()
    assert [None, None, None] == found["d"].to_pylist()


def test_the_hosts_own_connection_is_used_where_there_is_one(tmp_path: Path) -> None:
    """In a host that has the file open, what is not committed yet is seen."""
    from pybridge import host
    from pybridge.beside import Beside

    path = f"sqlite:///{tmp_path}/x.db#t"
    database.write(pd.DataFrame({"a": [1]}), path)

    def question() -> Any:
        with host.transaction():
            host.execute("insert into t values (2)")
            seen = database.read(path)["a"].tolist()
            database.write(pd.DataFrame({"a": [3]}), path, mode="append")
        return seen

    with Beside(tmp_path / "x.db") as opened:
        assert [1, 2] == opened.call(question)
    assert [1, 2, 3] == database.read(path)["a"].tolist()


# ---- Queries -------------------------------------------------------------------------


@pytest.mark.parametrize("fast", [True, False], ids=["columns", "plain"])
@pytest.mark.parametrize("place", ["file", "database", "without duckdb"])
def test_a_dataitem_is_asked_in_sql(
    project: Project,
    tmp_path: Path,
    place: str,
    fast: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """§2.3: query(sql): the table is `dataitem`, or what it is called."""
    if not fast:
        monkeypatch.setattr(database, "_OLDEST", (99,))
    path = f"sqlite:///{tmp_path}/x.db#trips" if place == "database" else None
    if place == "without duckdb":
        monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    item = project.log_dataitem(
        name="trips",
        kind="table",
        data=pd.DataFrame({"km": [1, 2, BIG], "to": ["a", "b", "b"]}),
        path=path,
    )

    for name in ("dataitem", "trips"):
        sql = f'select "to", max(km) as km from {name} group by 1 order by 1'
        assert [("a", 1), ("b", BIG)] == list(
            item.query(sql).itertuples(index=False, name=None)
        )
    assert isinstance(item.query("select 1 as x", engine="polars"), pl.DataFrame)
    sql = "select count(*) as n from dataitem where km > ?"
    assert [{"n": 1}] == item.query(sql, [2], engine="arrow").to_pylist()
    with pytest.raises(BadArgument, match=r"(?i)nope"):
        item.query("select nope from dataitem")


@pytest.mark.parametrize("fast", [True, False], ids=["columns", "plain"])
@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("select d, n from t where n >= ? and d <> '?1' limit ?2;\n", [2, 5]),
        ("select d, n from t /* :no */ where n >= :n -- ?", {"n": 2}),
        ('select d, n as "n" from t where n between $a$ and @b', {"a$": 2, "b": 2}),
        ("select d, n from t where n = (select ? + 1)", [1]),
    ],
)
def test_a_query_of_a_database_takes_parameters(
    tmp_path: Path,
    sql: str,
    params: Any,
    fast: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By place or by name; what is declared a date is one with them as without."""
    if not fast:
        monkeypatch.setattr(database, "_OLDEST", (99,))
    days = [dt.date(2024, 2, 28), dt.date(2024, 2, 29)]
    path = f"sqlite:///{tmp_path}/x.db#t"
    database.write(pa.table({"d": days, "n": [1, 2]}), path)

    found = database.query(database.parse(path), sql, params, engine="arrow")

    assert [{"d": days[1], "n": 2}] == found.to_pylist()


@pytest.mark.parametrize("fast", [True, False], ids=["columns", "plain"])
def test_a_database_is_asked_what_is_no_select(
    tmp_path: Path, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pragma gives rows too."""
    if not fast:
        monkeypatch.setattr(database, "_OLDEST", (99,))
    path = f"sqlite:///{tmp_path}/x.db#t"
    database.write(pd.DataFrame({"a": [1], "b": ["x"]}), path)

    found = database.query(database.parse(path), "pragma table_info(t)")

    assert ["a", "b"] == found["name"].tolist()


def test_a_table_of_a_database_is_had_as_a_file(
    project: Project, tmp_path: Path
) -> None:
    """download, as_file and upload of a table of a database go through files."""
    item = project.log_dataitem(
        name="t",
        kind="table",
        data=pd.DataFrame({"a": [1, 2]}),
        path=f"sqlite:///{tmp_path}/x.db#t",
    )

    done = item.download(str(tmp_path / "out.csv"))

    assert "a\n1\n2\n" == (tmp_path / "out.csv").read_text()
    assert str(tmp_path / "out.csv") == done
    assert [1, 2] == tables.read(item.as_file()[0])["a"].tolist()
    (tmp_path / "in.csv").write_text("a\n7\n")
    item.upload(tmp_path / "in.csv")
    assert [7] == item.as_df()["a"].tolist()
    with pytest.raises(BadArgument, match="exists already"):
        item.download(str(tmp_path / "out.csv"))


def test_write_df_replaces_the_table(project: Project, tmp_path: Path) -> None:
    """§2.3: write_df(df, extension): the schema and the preview go along."""
    item = project.log_dataitem(name="t", kind="table", data=pd.DataFrame({"a": [1]}))

    item.write_df(pd.DataFrame({"b": ["x", "y"]}))

    stored = inputs.find("t", store=project.store, project="p")
    assert isinstance(stored, material.Dataitem)
    assert ["x", "y"] == stored.as_df()["b"].tolist()
    assert [{"name": "b", "type": "string"}] == stored.schema["fields"]
    assert 2 == stored.preview["rows"]


@pytest.mark.parametrize("engine", ["pandas", "polars", "arrow"])
@pytest.mark.parametrize(
    ("name", "content"),
    [("t.parquet", b"hello"), ("t.csv", b"a,b\n1,2\n3,4,5\n"), ("t.json", b"{")],
)
def test_file_that_is_damaged_is_named(
    tmp_path: Path, name: str, content: bytes, engine: str
) -> None:
    """Which file, as what it was read, and what is wrong, whichever library says so."""
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(BadArgument, match=rf"{name}' cannot be read as \w+: .+"):
        tables.read(str(path), engine=engine)
