"""Python objects in SQL: pointer values that release themselves, and kept numbers."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import apsw
import pytest

from tests.sqlite.hosts import SqlError, load, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sqlite.hosts import Driver, Host, Shell

SEED = """
class Person:
    def __init__(self, name, age=0):
        self.name, self.age = name, age
    def getAge(self):
        return self.age
    def getAgePlus(self, n):
        return self.age + n
    def greet(self, word, *, end="!"):
        return f"{word}, {self.name}{end}"
    def older(self, n):
        return Person(self.name, self.age + n)
    def fail(self):
        raise KeyError("no such thing")

ended = []
def count(n=None):
    i = 0
    try:
        while n is None or i < n:
            yield i
            i += 1
    finally:
        ended.append(i)

def broken():
    yield 1
    1 / 0

def stops():
    yield 1
    raise StopIteration

def spin():
    while True:
        pass

ada = Person("Ada", 36)
"""
COUNT = "__import__('pybridge._plane', fromlist=['x']).handle_count()"


@pytest.fixture
def people(host: Host) -> Iterator[Host]:
    """A host with people; afterwards no object is held that was not held before."""
    before = host.eval(COUNT)
    host.run(SEED)
    yield host
    assert before == host.eval(COUNT)


# ---- What the seed shows ------------------------------------------------------------


def test_person_of_the_seed(people: Host) -> None:
    """Attributes are got and set, a new one too, and methods called."""
    assert "Ada" == people.value(
        "select py_attr(py_object('Person', 'Ada', 36), 'name')"
    )

    people.rows("select py_setattr(py_object('ada'), 'name', 'Eve')")
    people.rows("select py_setattr(py_object('ada'), 'pet', 'cat')")

    assert [("Eve", "cat", 36, 46)] == people.rows(
        "select py_attr(py_object('ada'), 'name'), py_attr(py_object('ada'), 'pet'), "
        "py_method(py_object('ada'), 'getAge'), "
        "py_method(py_object('ada'), 'getAgePlus', 10)"
    )


def test_modules_of_the_seed(people: Host) -> None:
    """A module is an object too; its arrays stay objects until they are asked for."""
    assert 7 == people.value("select py_method(py_module('random'), 'randint', 7, 7)")
    assert [1.0, 1.0] == json.loads(
        people.value(
            "select py_value(py_method(py_module('numpy'), 'exp', "
            "py_method(py_module('numpy'), 'zeros', 2)), 'json')"
        )
    )
    assert 0 == people.eval("'random' in globals() or 'numpy' in globals()")


def test_reading_and_dropping_a_relative_leaves_it_there(people: Host) -> None:
    """An attribute that was read is still there when the object that came is gone."""
    people.rows(
        "select py_setattr(py_object('ada'), 'relative', py_object('Person', 'Bob', 4))"
    )

    read = "select py_attr(py_attr(py_object('ada'), 'relative'), 'name')"

    assert ["Bob", "Bob"] == [people.value(read), people.value(read)]
    assert "Bob" == people.eval("ada.relative.name")


# ---- Verbs --------------------------------------------------------------------------


def test_object_takes_keywords_and_objects(people: Host) -> None:
    """Arguments may be named, and objects themselves."""
    assert "hi, Ada?" == people.value(
        "select py_method(py_object('Person', py_kw('name', 'Ada')), 'greet', 'hi', "
        "py_kw('end', '?'))"
    )
    assert 3 == people.value(
        "select py_len(py_attr(py_object('Person', py_kw('name', "
        "py_object('[1, 2, 3]'))), 'name'))"
    )


def test_object_of_an_object_calls_it(people: Host) -> None:
    """With arguments it is called; without it is the same object."""
    assert "Ada" == people.value(
        "select py_attr(py_object(py_object('Person'), 'Ada'), 'name')"
    )
    assert 1 == people.value(
        "select py_compare(py_object(py_object('ada')), 'is', py_object('ada'))"
    )


def test_existing_functions_take_objects(people: Host) -> None:
    """py_call, py_apply, py_set and functions of one's own are given the object."""
    people.rows("select py_define('kind', 'scalar', 'lambda x: type(x).__name__')")
    people.run(
        "class Ages:\n"
        "    def __init__(self): self.sum = 0\n"
        "    def step(self, person): self.sum += person.age\n"
        "    def finish(self): return self.sum\n"
    )
    people.rows("select py_define('ages', 'aggregate', 'Ages')")

    assert "Person" == people.value("select kind(py_object('ada'))")
    assert 72 == people.value(
        "select ages(py_object('ada')) from (select 1 union all select 2)"
    )
    assert 36 == people.value("select py_call('Person.getAge', py_object('ada'))")
    assert 5 == people.value(
        "select py_attr(py_call(py_object('Person'), 'Eve', 5), 'age')"
    )
    assert 6 == people.value(
        "select py_attr(py_apply(py_object('Person'), '[\"Eve\"]', '{\"age\": 6}'), "
        "'age')"
    )
    people.rows("select py_set('same', py_object('ada'))")
    assert 1 == people.eval("same is ada")


def test_items_are_got_set_and_deleted(people: Host) -> None:
    """Keys are values or objects, such as a slice."""
    people.run("d = {'a': 1}; xs = [10, 20, 30]")

    people.rows("select py_setitem(py_object('d'), 'b', 2)")
    people.rows("select py_delitem(py_object('d'), 'a')")
    people.rows("select py_delitem(py_object('xs'), py_object('slice(0, 2)'))")

    assert [(2, 30, 1, 1, 0)] == people.rows(
        "select py_item(py_object('d'), 'b'), py_item(py_object('xs'), -1), "
        "py_len(py_object('xs')), py_contains(py_object('xs'), 30), "
        "py_contains(py_object('d'), 'a')"
    )


def test_value_stands_for_itself(people: Host) -> None:
    """Verbs can be chained whatever comes back, and text is never run."""
    people.run("ada.name = '1 / 0'")

    assert 5 == people.value("select py_len(py_attr(py_object('ada'), 'name'))")
    assert "ABC" == people.value("select py_method('abc', 'upper')")
    assert "36" == people.value(
        "select py_value(py_attr(py_object('ada'), 'age'), 'str')"
    )
    assert 36 == people.value("select py_value(py_attr(py_object('ada'), 'age'))")


@pytest.mark.parametrize(
    ("form", "given"),
    [("str", "[1, 'x']"), ("repr", "[1, 'x']"), ("json", '[1,"x"]')],
)
def test_value_serializes(people: Host, form: str, given: str) -> None:
    """Each serialization is that of py_get."""
    assert given == people.value(
        f"select py_value(py_object('[1, \"x\"]'), {quote(form)})"
    )


def test_loads_makes_the_object_of_a_serialization(people: Host) -> None:
    """JSON and pickles become objects."""
    assert 3 == people.value(
        "select py_item(py_item(py_loads('{\"a\": [1, 3]}', 'json'), 'a'), 1)"
    )
    assert 2 == people.value(
        "select py_len(py_loads(py_value(py_object('{1, 2}'), 'pickle'), 'pickle'))"
    )


def test_objects_are_described(people: Host) -> None:
    """py_info and py_dir say what there is, as JSON."""
    info = json.loads(people.value("select py_info(py_object('Person'))"))
    names = json.loads(people.value("select py_dir(py_object('ada'))"))

    assert ("type", True, "Person", True) == (
        info["type"],
        info["class"],
        info["name"],
        info["callable"],
    )
    assert {"name", "age", "getAge"} <= set(names)


def test_compare_gives_what_the_objects_answer(people: Host) -> None:
    """Comparisons are Python's: of two arrays an array, of lists 0 or 1."""
    assert [(1, 0, 1, 1)] == people.rows(
        "select py_compare(py_object('[1]'), '==', py_object('[1]')), "
        "py_compare(py_object('[1]'), 'is', py_object('[1]')), "
        "py_compare('a', '<', 'b'), py_compare(3, '>=', 3)"
    )
    assert "[true,false]" == people.value(
        "select py_value(py_compare(py_method(py_module('numpy'), 'array', "
        "py_object('[1, 2]')), '<', 2), 'json')"
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("py_object()", "py_object: expression is missing"),
        ("py_object('nobody')", "py_object: pybridge.Undefined: 'nobody' is not"),
        ("py_object('Person', 1, 2, 3)", "py_object: TypeError"),
        ("py_object(12)", "py_object: this connection keeps no object under 12"),
        ("py_module('no.such')", "py_module: ModuleNotFoundError"),
        ("py_loads('[', 'json')", "py_loads: pybridge.BadArgument"),
        ("py_loads('[]', 'jsn')", "py_loads: pybridge.BadArgument"),
        ("py_attr(py_object('ada'), 'nix')", "py_attr: AttributeError"),
        ("py_attr(py_object('ada'), null)", "py_attr: the attribute's name is missing"),
        ("py_attr(null, 'x')", "py_attr: the object is NULL"),
        ("py_setattr(py_object('object()'), 'x', 1)", "py_setattr: AttributeError"),
        ("py_delattr(py_object('ada'), 'nix')", "py_delattr: AttributeError"),
        ("py_method(py_object('ada'), 'fail')", "py_method: KeyError: 'no such thing'"),
        ("py_method(py_object('ada'))", "py_method: an object and the method's name"),
        (
            "py_method(py_object('ada'), 'greet', py_kw('end', 1), 2)",
            "py_method: argument 2 has no name but comes after keyword",
        ),
        ("py_item(py_object('[]'), 0)", "py_item: IndexError"),
        ("py_setitem(py_object('()'), 0, 0)", "py_setitem: TypeError"),
        ("py_delitem(py_object('{}'), 'a')", "py_delitem: KeyError: 'a'"),
        ("py_len(py_object('ada'))", "py_len: TypeError"),
        ("py_contains(5, 5)", "py_contains: TypeError"),
        ("py_compare(1, '=', 1)", 'py_compare: there is no comparison "="'),
        ("py_compare(1, '<', 'a')", "py_compare: TypeError"),
        ("py_value(py_object('[1]'))", "py_value: pybridge.Unsupported"),
        ("py_value(py_object('ada'), 'jsn')", "py_value: pybridge.BadArgument"),
        ("py_dir(null)", "py_dir: the object is NULL"),
        ("py_keep(null)", "py_keep: the object is NULL"),
        ("py_release('a')", "py_release: the number of a kept object is wanted"),
        ("py_release(-1)", "py_release: this connection keeps no object under -1"),
        ("py_call(py_object('ada'))", "py_call: TypeError"),
        ("py_apply(py_object('Person'), '{}', null)", "py_apply: pybridge.BadArgument"),
        ("py_apply(py_object('Person'), '[]', null, 'x')", "py_apply: an object is"),
        (
            "py_query('select ?', 'r', 'list', null, py_object('ada'))",
            "py_query: parameter 1 is a Python object",
        ),
    ],
)
def test_verb_says_what_is_wrong(people: Host, call: str, said: str) -> None:
    """An error names the function, and what it wanted."""
    assert people.error(f"select {call}").startswith(said)


# ---- Pointer values -----------------------------------------------------------------


@pytest.mark.parametrize(
    "forged",
    ["1", "x'0100000000000000'", "'<object>'", "py_kw('a', 1)", "zeroblob(8)", "1.0"],
)
def test_object_cannot_be_forged(people: Host, forged: str) -> None:
    """What is no object is a value, or NULL, never an object."""
    said = people.error(f"select py_method({forged}, 'getAge')")

    assert "has no attribute 'getAge'" in said or "the object is NULL" in said


def test_number_of_an_object_is_no_object(people: Host) -> None:
    """The number of a kept object is a number to all but py_object."""
    number = people.value("select py_keep(py_object('ada'))")

    said = people.error(f"select py_method({number}, 'getAge')")

    assert "'int' object has no attribute 'getAge'" in said
    assert 36 == people.value(f"select py_method(py_object({number}), 'getAge')")
    people.rows(f"select py_release({number})")


def test_pointers_of_others_are_null(driver: Driver) -> None:
    """A pointer that another extension made is not an object."""
    with pytest.raises(SqlError, match="the object is NULL"):
        driver.rows("select py_len(?)", (apsw.pyobject([1]),))


@pytest.mark.parametrize(
    "statement",
    [
        "with t as materialized (select py_object('[1]') as o) select py_len(o) from t",
        "select py_len(o) from (select py_object('[1]') as o union select 1)",
        "select py_len(max(py_object('[1]')))",
        "select py_len(coalesce(py_object('[1]'), null))",
        "select py_len(o) from (select py_object('[1]') as o, value from "
        "json_each('[2, 1]') order by value limit 2)",
        "create temp table k(o); insert into k select py_object('[1]'); "
        "select py_len(o) from k",
    ],
)
def test_object_that_sqlite_stores_becomes_null(people: Host, statement: str) -> None:
    """Rows that are stored keep no objects, and a verb says so."""
    assert "the object is NULL" in people.error(statement)


def test_object_goes_from_function_to_function(people: Host) -> None:
    """Where no row is stored an object is handed on: through case, rows and joins."""
    assert [(2,), (2,)] == people.rows(
        "select py_len(case value when 1 then py_object('[1, 2]') else py_object("
        "'\"ab\"') end) from json_each('[1, 2]')"
    )
    assert [("Ada",), ("Bob",)] == people.rows(
        "select py_attr(value, 'name') from py_iter(py_object('[ada, Person(\"Bob\")]')"
        ") where py_method(value, 'getAge') >= 0"
    )
    assert [(1, "a"), (2, "b")] == people.rows(
        "select py_item(pair.value, 1), py_item(pair.value, 0) from "
        "py_iter(py_method(py_object('{\"a\": 1, \"b\": 2}'), 'items')) as pair"
    )
    assert [(1,), (2,), (3,)] == people.rows(
        "select b.value from py_iter(py_object('[[1, 2], [3]]')) a, py_iter(a.value) b"
    )


def test_aggregates_see_null(people: Host) -> None:
    """To count, max and group by an object is NULL."""
    assert [(0, None)] == people.rows(
        "select count(py_object('ada')), max(py_object('ada')) from json_each('[1, 2]')"
    )
    assert [(2,)] == people.rows(
        "select count(*) from json_each('[1, 2]') group by py_object('ada')"
    )


def test_object_goes_when_its_expression_is_over(people: Host) -> None:
    """Ten thousand rows hold one object at a time."""
    most = people.value(
        "with recursive n(i) as (select 1 union all select i + 1 from n limit 10000)"
        f" select max(py_eval({quote(COUNT)}) + 0 * py_len(py_object('[1]'))) from n"
    )

    assert most <= people.eval(COUNT) + 2


def test_failed_statement_leaves_no_object(people: Host) -> None:
    """What was made before the failure is released; the fixture counts."""
    people.error(
        "select py_method(py_object('Person', py_object('[1]')), 'fail', "
        "py_object('ada'), py_kw('x', py_object('ada')))"
    )


def test_objects_are_for_direct_use_only(people: Host) -> None:
    """Views and triggers cannot use them."""
    people.rows("create view v as select py_object('ada')")
    people.rows("create view w as select value from py_iter(1)")
    people.rows("create view x as select row from py_rows(1)")
    people.rows("create table t(x)")
    people.rows("create trigger g after insert on t begin select py_keep(new.x); end")

    for statement in (
        "select * from v",
        "select * from w",
        "select * from x",
        "insert into t values (1)",
    ):
        assert "unsafe use of" in people.error(statement)


# ---- Iteration ----------------------------------------------------------------------


def test_endless_generator_is_read_as_far_as_wanted(people: Host) -> None:
    """LIMIT asks for no more than it needs, and closes the generator."""
    assert [(0,), (1,)] == people.rows(
        "select value from py_iter(py_object('count()')) limit 2"
    )
    assert "[1]" == people.value("select py_get('ended', 'json')")


def test_generator_of_the_user_is_left_open(people: Host) -> None:
    """One that a variable holds goes on where it was."""
    people.run("numbers = count()")
    first = people.rows("select value from py_iter(py_object('numbers')) limit 2")
    second = people.rows("select value from py_iter(py_object('numbers')) limit 1")

    assert ([(0,), (1,)], [(2,)]) == (first, second)
    assert "[]" == people.value("select py_get('ended', 'json')")


@pytest.mark.parametrize(
    ("iterated", "said"),
    [
        ("broken()", "py_iter: ZeroDivisionError"),
        ("stops()", "py_iter: RuntimeError: generator raised StopIteration"),
        ("5", "py_iter: TypeError"),
    ],
)
def test_iteration_that_fails_ends_the_statement(
    people: Host, iterated: str, said: str
) -> None:
    """What the iterator raises is the statement's error."""
    assert people.error(
        f"select value from py_iter(py_object('{iterated}'))"
    ).startswith(said)


def test_iteration_of_what_changes_is_python_s(people: Host) -> None:
    """A list may grow meanwhile; a dict may not."""
    people.run("xs = [1, 2]; d = {1: 1}")

    grown = (
        "select value, py_call('xs.append', 9) from py_iter(py_object('xs')) limit 4"
    )
    assert [1, 2, 9, 9] == [row[0] for row in people.rows(grown)]
    assert "changed size during iteration" in people.error(
        "select py_call('d.setdefault', value + 1, 0) from py_iter(py_object('d'))"
    )


def test_iteration_needs_an_object(people: Host) -> None:
    """Without one the statement is refused."""
    assert "the object is missing" in people.error("select * from py_iter")
    assert "the object is missing" in people.error("select * from py_rows")
    assert "the object is NULL" in people.error("select * from py_iter(null)")


def test_iterations_nest_and_correlate(people: Host) -> None:
    """Cursors are their own; an argument may come from the row of another table."""
    assert [(0, 0), (1, 0), (1, 1)] == people.rows(
        "select j.value, i.value from json_each('[1, 2]') j0 "
        "join json_each('[0, 1]') j on j0.key = j.key "
        "join py_iter(py_object('range', j0.value)) i order by 1, 2"
    )
    assert [("a",), ("b",)] == people.rows("select value from py_iter('ab')")


def test_rows_come_as_json_and_as_cells(people: Host) -> None:
    """A row is JSON in `row`, and cells with their types in c1 and on."""
    people.run("import pandas as pd")
    frame = 'py_object(\'pd.DataFrame({"a": [1, 2], "b": ["x", None]})\')'

    assert ['{"a":1,"b":"x"}', '{"a":2,"b":null}'] == [
        row[0] for row in people.rows(f"select * from py_rows({frame})")
    ]
    assert [(1, "x", None, 1), (2, None, None, 2)] == people.rows(
        f"select c1, c2, c3, rowid from py_rows({frame})"
    )
    assert [("x", 1), (None, 2)] == people.rows(
        f"select c1, c2 from py_rows({frame}, ' b, a ')"
    )
    assert "'z'" in people.error(f"select c1 from py_rows({frame}, 'z')")
    assert people.error("select c1 from py_rows(py_object('ada'))").startswith(
        "py_rows"
    )


# ---- Kept objects -------------------------------------------------------------------


def test_kept_object_is_there_in_other_statements(people: Host) -> None:
    """Its number can be stored, and the object outlives its variable."""
    people.rows("create temp table k as select py_keep(py_object('ada')) as ada")
    people.run("del ada")

    assert [(36, 1)] == people.rows(
        "select py_method(py_object(ada), 'getAge'), py_kept() from k"
    )
    people.rows("select py_release(ada) from k")
    assert 0 == people.value("select py_kept()")
    assert "keeps no object" in people.error("select py_object(ada) from k")
    assert "keeps no object" in people.error("select py_release(ada) from k")


def test_kept_numbers_are_positive_and_short(people: Host) -> None:
    """They fit 18 digits, and no number is given twice."""
    rows = people.rows(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 500) "
        "select py_keep(py_object('ada')) from n"
    )
    numbers = [row[0] for row in rows]
    for number in numbers[::2]:
        people.rows(f"select py_release({number})")
    again = people.value("select py_keep(py_object('ada'))")

    assert all(0 < number < 10**18 for number in numbers)
    assert 501 == len({*numbers, again})
    assert 251 == people.value("select py_kept()")
    for number in [*numbers[1::2], again]:
        people.rows(f"select py_release({number})")


def test_kept_object_is_its_connection_s(driver: Driver) -> None:
    """Another connection cannot use the number, and closing releases it."""
    driver.run(SEED)
    before = driver.eval(COUNT)
    other = apsw.Connection(":memory:")
    load(other)
    ((number,),) = other.execute("select py_keep(py_object('[1]'))")
    list(other.execute("select py_keep(py_object('[2]'))"))

    assert "keeps no object" in driver.error(f"select py_object({number})")
    assert before + 2 == driver.eval(COUNT)
    other.close()
    assert before == driver.eval(COUNT)


def test_shell_that_opens_another_database_releases(shell: Shell) -> None:
    """The objects of a connection go with it."""
    before = shell.eval(COUNT)
    shell.rows("select py_keep(py_object('[1]')), py_keep(py_object('[2]'))")
    held = shell.eval(COUNT)

    shell.open()

    assert (before + 2, before) == (held, shell.eval(COUNT))


def test_reset_drops_kept_objects(people: Host) -> None:
    """A number from before is an error, and no other object ever has it."""
    number = people.value("select py_keep(py_object('ada'))")

    people.rows("select py_reset()")

    assert "is not the handle of an object" in people.error(
        f"select py_attr(py_object({number}), 'age')"
    )
    people.error(f"select py_release({number})")
    assert "keeps no object" in people.error(f"select py_release({number})")


def test_reset_in_the_middle_is_an_error(people: Host) -> None:
    """Objects at hand are gone; the statement ends with an error and no crash."""
    said = people.error("select value, py_reset() from py_iter(py_object('[1, 2, 3]'))")
    assert "is not the handle of an object" in said

    said = people.error(
        "select py_len(case when py_reset() is null then value end) "
        "from py_iter(py_object('[[1], [2]]'))"
    )
    assert "is not the handle of an object" in said


def test_object_that_goes_has_no_host(people: Host) -> None:
    """__del__ that asks for a query, while SQLite ends a statement, gets an error."""
    people.run(
        "from pybridge import host\nfrom pybridge.errors import HostError\nseen = []\n"
        "class Last:\n"
        "    def __del__(self):\n"
        "        try:\n"
        "            seen.append(len(host.query('select 1', type='list')))\n"
        "        except HostError:\n"
        "            seen.append('no host')\n"
    )

    people.rows("select py_info(py_object('Last()'))")
    number = people.value("select py_keep(py_object('Last()'))")
    people.rows(f"select py_release({number})")

    assert '["no host",1]' == people.value("select py_get('seen', 'json')")


# ---- Stopping -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "endless",
    [
        "select count(*) from py_iter(py_object('count()'))",
        "select py_call(py_object('spin'))",
        "select sum(value) from py_iter(py_object('iter(spin, 0)'))",
    ],
)
def test_endless_statement_can_be_interrupted(driver: Driver, endless: str) -> None:
    """sqlite3_interrupt ends a generator without end, and a call that lasts."""
    driver.run(SEED)
    before = driver.eval(COUNT)
    stop = threading.Event()

    def interrupt() -> None:
        while not stop.wait(0.1):
            driver.db.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(SqlError):
            driver.rows(endless)
    finally:
        stop.set()
        thread.join()

    assert before == driver.eval(COUNT)


def test_deadline_ends_a_method(people: Host) -> None:
    """The option timeout_ms holds for objects too."""
    people.rows("select py_option('timeout_ms', 50)")
    said = people.error("select py_call(py_object('spin'))")
    people.rows("select py_option('timeout_ms', 0)")

    assert "deadline" in said


def test_capture_keeps_what_a_method_prints(people: Host) -> None:
    """py_option('capture') holds for objects too."""
    people.rows("select py_option('capture', 1)")
    people.rows("select py_call(py_object('print'), 'words')")
    people.rows("select py_option('capture', 0)")

    assert "words\n" == json.loads(people.value("select py_status()"))["stdout"]
