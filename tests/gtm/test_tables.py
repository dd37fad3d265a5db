"""Tables over globals: described by hand, from a frame, from the data; and SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.gtm.test_globals import SHOW

if TYPE_CHECKING:
    from tests.gtm.conftest import M

PERSON = """
set ^person(1)="Ada^1815^London^.5",^person(2)="Grace^1906^New York^7"
set ^%pybridge("table","person")="^person",^("person","keys")="id"
set ^%pybridge("table","person","field",1)="name",^(1,"type")="s"
set ^%pybridge("table","person","field",2)="born",^(2,"type")="i"
set ^%pybridge("table","person","field",4)="weight"
"""


@pytest.mark.parametrize(
    ("properties", "columns"),
    [
        (
            "*",
            "{'id': [1, 2], 'name': ['Ada', 'Grace'], 'born': [1815, 1906], "
            "'weight': [0.5, 7.0]} ['int64', 'str', 'int64', 'float64']",
        ),
        (
            "n*, weigh?",
            "{'id': [1, 2], 'name': ['Ada', 'Grace'], 'weight': [0.5, 7.0]} "
            "['int64', 'str', 'float64']",
        ),
        ("born", "{'id': [1, 2], 'born': [1815, 1906]} ['int64', 'int64']"),
    ],
)
def test_table_has_the_fields_that_are_like_the_masks(
    m: M, properties: str, columns: str
) -> None:
    """Properties are masks; a position without a field is left out."""
    printed = m.run(f"""{PERSON}
set sc=$$ExecuteTable^pybridge("person","df",,,,"{properties}",,.n) write sc,n,!
{SHOW}
""")

    assert f"12\n{columns}\n" == printed


def test_table_that_is_not_there_names_those_that_are(m: M) -> None:
    """An unknown table, and masks that nothing is like, say what there is."""
    printed = m.run(f"""{PERSON}
set sc=$$ExecuteClass^pybridge("nobody","df") write sc,!
set sc=$$ExecuteTable^pybridge("person","df",,,,"x*") write sc,!
set sc=$$ExecuteTable^pybridge("person","df",,2,2) write sc,!
set sc=$$Evaluate^pybridge("len(df)",,.n) write n,!
""")

    assert (
        "0^there is no table 'nobody' in ^%pybridge; known: person\n"
        "0^no field of table 'person' is like 'x*'; it has: name, born, weight\n"
        "1\n1\n"
    ) == printed


def test_table_is_described_from_a_frame(m: M) -> None:
    """What WriteGlobal wrote comes back with the types that it had."""
    printed = m.run("""
set c="import pandas as pd, datetime as dt; df=pd.DataFrame({'k':['a','b'],'n':[1,2],"
set c=c_"'t':pd.to_datetime(['2026-11-22','1999-12-31']),'b':[True,False],"
set c=c_"'d':[dt.date(2000,1,1)]*2,'s':['007','x']})"
set sc=$$ExecuteCode^pybridge(c) write:'sc sc,!
set o("keys")="k",o("delimiter")="|"
set sc=$$WriteGlobal^pybridge("df","^t",,,.o) write sc
set sc=$$DefineTable^pybridge("things","^t","df",.o) write sc
set sc=$$ExecuteTable^pybridge("things","back") write sc,!
set sc=$$ExecuteCode^pybridge("print(back.astype(object).equals(df.astype(object)))")
zwrite ^%pybridge
""")

    assert printed.startswith("111\nTrue\n")
    assert '^%pybridge("table","things","field",2,"type")="m"\n' in printed


def test_table_is_guessed_from_the_data(m: M) -> None:
    """GuessTable looks at all records."""
    printed = m.run(f"""
for i=1:1:2000 set ^g(i)=i_"^a"
set ^g(1500)="x^b"
set sc=$$GuessTable^pybridge("t","^g","id,n,s") write sc,!
set sc=$$ExecuteTable^pybridge("t","df",,1500,1500) write sc,!
{SHOW}
set sc=$$GetVariableDefined^pybridge("guessed",.d) write d,!
""")

    assert (
        "1\n1\n{'id': [1500], 'n': ['x'], 's': ['b']} ['int64', 'str', 'str']\n0\n"
        == printed
    )


def test_sql_runs_over_the_tables_that_it_names(m: M) -> None:
    """ExecuteQuery joins tables; the context has the result and nothing else."""
    printed = m.run(f"""{PERSON}
set ^%pybridge("table","city")="^city",^("city","keys")="city"
set ^%pybridge("table","city","field",1)="country"
set ^city("London")="UK",^city("New York")="US"
set ^%pybridge("table","person","field",3)="city"
set q="select p.name, c.country from Person p join city c using (city)"
set q=q_" where born < 1900 order by 1"
set sc=$$ExecuteQuery^pybridge(q,"df",,,,.n) write sc,n,!
{SHOW}
set sc=$$Evaluate^pybridge("[n for n in dir() if n[0] != '_']","str",.x) write x,!
set sc=$$ExecuteQuery^pybridge("select nothing from person","df") write sc,!
set sc=$$ExecuteQuery^pybridge("select 7 as x","l","list") write sc
set sc=$$Evaluate^pybridge("l[0][0]",,.x) write x,!
""")

    assert printed.startswith(
        "11\n{'name': ['Ada'], 'country': ['UK']} ['str', 'str']\n['df']\n0^"
    )
    assert 'DuckDB: Binder Error: Referenced column "nothing" not found' in printed
    assert printed.endswith("\n17\n")
