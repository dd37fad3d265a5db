"""py_query with LIKE and GLOB is read below SQL, and matches what SQLite matches."""

from __future__ import annotations

import random
import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.programs import ROOT, run
from tests.sqlite.scans import MORE, compare_query, fill, quote

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sqlite.scans import Database

OTHERS = "query: a pattern is matched with what is not text"
OWN = "query: LIKE or GLOB is not SQLite's own"


@pytest.mark.parametrize(
    "query",
    [
        "select i, s from t where s like 'A TE%'",
        "select * from t where s not like '%THAT%' and n > 4",
        "select i from t where s like 'a text' or s like '_' or s like ''",
        "select i from t where s glob 'a [s-u]*' and not s glob '*[^a-t]'",
        "select i from t where not (s like '%is' and x = 2) order by s, i limit 9",
        "select i from t where i like '1%' or rowid like '%7'",
        "select i from t where n glob '[0-4]*6' or n not like '%2'",
        "select s from (select s, n from t) where s like '%t t%t%' and n in (1, 2, 3)",
        "select i from t where s like '%' and r > 1.5",
    ],
)
def test_pattern_is_read_by_pages(db: Database, query: str) -> None:
    """Constant patterns, with text and integers, joined with other conditions."""
    fill(db, 700)

    assert "pages" == compare_query(db, query)


@pytest.mark.parametrize(
    ("query", "how"),
    [
        ("select i from t where s like 'a/%' escape '/'", MORE),
        ("select i from t where s like null", MORE),
        ("select i from t where s like 5", MORE),
        ("select i from t where 'a text' like s", MORE),
        ("select i from t where x like s", MORE),
        ("select i from t where upper(s) like 'A%'", MORE),
        ("select i from t where (s like 'a%') = 1", MORE),
        ("select i from t where (s like 'a%') is null", MORE),
        ("select i, s like 'a%' from t", MORE),
        ("select i from t where s like cast(x'ff41' as text)", MORE),
        ("select i from t where r like '1%'", OTHERS),
        ("select i from t where b like ''", OTHERS),
        (f"select i from t where s like '{'a' * 60000}'", MORE),
    ],
)
def test_pattern_that_wants_more_is_left_to_sql(
    db: Database, query: str, how: str
) -> None:
    """What is computed, escaped, or turned into text is asked of SQL."""
    fill(db, 300)

    assert how == compare_query(db, query)


@pytest.mark.parametrize("name", ["like", "LIKE", "glob"])
@pytest.mark.parametrize("arity", [2, -1])
def test_pattern_of_a_function_of_that_name_is_left_to_sql(
    db: Database, name: str, arity: int
) -> None:
    """Somebody may have made functions of these names: they are called."""
    fill(db, 30)
    db.do("define", name, arity)

    for operator in ("like", "glob"):
        how = compare_query(db, f"select i from t where s {operator} 'a*'")
        assert how in (OWN, MORE)


def test_pattern_that_tells_cases_apart_is_left_to_sql(db: Database) -> None:
    """The pragma makes another LIKE, and so does the one that takes it back."""
    fill(db, 30)
    query = "select i from t where s like 'A T%'"

    assert "pages" == compare_query(db, query)
    db.sql("pragma case_sensitive_like = on")
    assert OWN == compare_query(db, query)
    db.sql("pragma case_sensitive_like = off")
    assert OWN == compare_query(db, query)


def test_pattern_is_no_longer_than_the_limit(db: Database) -> None:
    """A pattern beyond SQLite's limit is an error, which SQL reports."""
    fill(db, 30)
    db.do("limit_pattern", 6)

    assert "pages" == compare_query(db, "select i from t where s like 'a te%'")
    compare_query(db, "select i from t where s like 'a text%'")
    how = db.sql("select py_option('scanned')")[0][0]
    assert "query: a pattern is too long" == how


def test_pattern_in_a_parameter_may_choose_an_index(db: Database) -> None:
    """SQLite plans with the value of a pattern: the order of the rows depends on it."""
    fill(db, 500)
    query = "select n from t where s glob ?"
    assert "pages" == compare_query(db, query, "'a te*'")
    db.sql("create index by_s on t(s)")

    how = compare_query(db, query, "'a te*'")

    assert "query: an index may be taken for the values of the parameters" == how


# ---- At random ---------------------------------------------------------------------

PIECES = {
    "like": [*"%%%___aAbBzZé€", "\U0001f600", "\ud7ff", "K", "İ", "[", "^", "@", "`"],
    "glob": [*"***??[]^-aAbBzé€", "[a-c]", "[^b]", "[]a]", "[^]-é]", "[a-", "[]", "%"],
}
TEXTS = [*"aaAbBzZé€%_*?[]^-@`{", "\U0001f600", "\ud7ff", "\ufffd", "K", "İ", "ab"]
BROKEN = [
    "ff",
    "c3",
    "c1a1",
    "eda080",
    "f4908080",
    "efbfbe",
    "e282",
    "80",
    "61c3",
    "00",
]


def random_text(pick: random.Random) -> str:
    """Return a literal of text, of which some is no UTF-8, or has NUL in it."""
    raw = "".join(pick.choices(TEXTS, k=pick.choice([0, 1, 2, 3, 5, 9, 30]))).encode()
    if pick.randrange(20) == 0:
        at = pick.randrange(len(raw) + 1)
        raw = raw[:at] + bytes.fromhex(pick.choice(BROKEN)) + raw[at:]
    return f"cast(x'{raw.hex()}' as text)"


def random_pattern(pick: random.Random, how: str, texts: list[str]) -> str:
    """Return a pattern, of pieces, or of one of the texts with some of it replaced."""
    if pick.randrange(2):
        return "".join(pick.choices(PIECES[how], k=pick.randrange(7)))
    raw = bytes.fromhex(pick.choice(texts)[7:-10])
    letters = list(raw.decode(errors="ignore").replace("\0", ""))
    for _ in range(pick.randrange(4) if letters else 0):
        letters[pick.randrange(len(letters))] = pick.choice(PIECES[how])
    return "".join(letters)


@pytest.mark.parametrize("seed", range(2))
def test_patterns_match_what_they_match_in_sql(db: Database, seed: int) -> None:
    """Nasty patterns and texts: sets that do not end, other alphabets, broken UTF-8."""
    pick = random.Random(seed)  # noqa: S311 (no secrets)
    texts = sorted({random_text(pick) for _ in range(200)})
    db.sql("create table t(i integer primary key, s text); create table whole(s text)")
    db.sql(f"insert into t(s) values {', '.join(f'({text})' for text in texts)}")
    db.sql("insert into t(s) values (null), (12345)")
    for text in texts:
        raw = bytes.fromhex(text[7:-10])
        if not any(bytes.fromhex(broken) in raw for broken in BROKEN):
            db.sql(f"insert into whole values ({text})")
    seen = {"pages": 0, "query": 0}

    for _ in range(30):
        how = pick.choice(["like", "glob"])
        pattern = quote(random_pattern(pick, how, texts))
        if pick.randrange(9) == 0:
            pattern = random_text(pick)
        source, no = pick.choice(["whole", "whole", "t"]), pick.choice(["", "not "])
        query = f"select rowid from {source} where s {no}{how} "
        if pick.randrange(2) or pattern.startswith("cast"):
            actual = compare_query(db, query + "?", pattern)
        else:
            actual = compare_query(db, query + pattern)
        seen[actual.partition(":")[0]] += 1

    assert seen["pages"] > 10
    assert seen["query"] > 0


def test_patterns_match_as_in_sqlite_under_the_sanitizers(tmp_path: Path) -> None:
    """Half a million patterns and texts at random, each in memory of its very size."""
    program = tmp_path / "patterns"
    command: list[str | Path] = ["gcc", "-std=gnu11", "-g", "-O1", "-Wall", "-Wextra"]
    command += ["-Werror", "-DSQLITE_CORE", "-fno-sanitize-recover=all"]
    command += ["-fsanitize=address,undefined", "-o", program]
    folders = ("include", "core", "hosts/sqlite")
    command += [f"-I{ROOT / 'c' / folder}" for folder in folders]
    command += [ROOT / "tests/c/patterns.c", ROOT / "c/hosts/sqlite/pattern.c"]
    compiled = run(*command, "-lsqlite3")
    assert 0 == compiled.returncode, compiled.stderr

    ended = run(program, "60000", str(time.time_ns() % 10**9))

    assert 0 == ended.returncode, ended.stdout + ended.stderr
    counts = dict(re.findall(r"(\w+) (\d+)", ended.stdout))
    assert int(counts["matched"]) > 10000
    assert int(counts["unknown"]) > 1000
    assert int(counts["unread"]) > 10
