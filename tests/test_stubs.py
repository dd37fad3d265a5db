"""Wrappers of real modules, used where they are meant for."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pybridge.stubs import TARGETS, filename, survey, write
from pybridge.stubs.words import Options
from tests.hard import HARD
from tests.programs import ROOT, build, flags, run
from tests.sqlite.hosts import Shell, SqlError

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = (
    *("collections", "datetime", "decimal", "fractions", "itertools", "json", "math"),
    *("numpy", "pandas", "random", "re", "statistics", "string", "textwrap"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wrappers of all modules, and of a hard one, for all targets."""
    written = tmp_path_factory.mktemp("stubs")
    (written / "hard_one.py").write_text(HARD, encoding="utf-8")
    said = run(
        *(sys.executable, "-m", "pybridge", "stubs", *MODULES, "hard_one"),
        *("--target", "sql", "--output", written / "sql"),
        cwd=written,
    )
    assert 0 == said.returncode, said.stderr
    assert len(MODULES) + 1 == len(said.stdout.splitlines())
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(written)
        surveys = [survey(name) for name in (*MODULES, "hard_one")]
    for one in surveys:
        for target in TARGETS:
            path = written / target / filename(one, target, Options())
            text = write(one, target, Options())
            if target == "sql":  # nothing of the process is in it
                assert text == path.read_text(encoding="utf-8")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return written


def test_stubs_are_the_same_in_every_process(folder: Path) -> None:
    """No address, no order of a hash and no time of day is in them."""
    for seed in ("1", "2"):
        said = run(
            *(
                sys.executable,
                "-m",
                "pybridge",
                "stubs",
                "enum",
                "re",
                "--target",
                "sql",
            ),
            env={**os.environ, "PYTHONHASHSEED": seed},
        )

        assert (
            said.stdout.partition("The Python module re as")[2]
            == (
                (folder / "sql/re.sql")
                .read_text(encoding="utf-8")
                .partition("module re as")[2]
            )
        )


# ---- SQL ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def _shell(folder: Path) -> Iterator[Shell]:
    started = Shell(env={"PYTHONPATH": str(folder)})
    yield started
    started.close()


@pytest.fixture
def shell(_shell: Shell) -> Shell:
    """The sqlite3 shell with a new connection."""
    _shell.open()
    return _shell


def read(shell: Shell, path: Path) -> None:
    """Do what a user does with a script of wrappers; it prints nothing."""
    assert "" == shell.output(f".read {path}")


@pytest.mark.parametrize(
    ("module", "calls"),
    [
        (
            "random",
            {
                "random_randint(3, 3)": 3,
                "random_choice(json_array(5))": 5,
                "random_sample(json_array(7), 1)": "[7]",
                "random_choices(json_array(1), py_kw('k', 3))": "[1,1,1]",
                "random_uniform(2, 2)": 2.0,
                "random_randrange(5, 6)": 5,
                "typeof(random_random())": "real",
                "random_randbytes(0)": b"",
                "random_seed(null)": None,
                "random_Random_randint(7, 1, 1)": 1,
            },
        ),
        (
            "math",
            {
                "math_sqrt(16)": 4.0,
                "math_hypot(3, 4)": 5.0,
                "math_pi() between 3.141592 and 3.141593": 1,
                "math_gcd(12, 18, 27)": 3,
                "math_factorial(30)": "265252859812191058636308480000000",
                "math_log(8, 2)": 3.0,
                "math_fsum(json_array(0.5, 0.25))": 0.75,
                "math_isclose(1, 1.1)": 0,
                "math_isclose(1, 1.1, py_kw('rel_tol', 0.2))": 1,
                "math_modf(1.5)": "[0.5,1.0]",
                "math_sqrt(null)": None,
                "math_prod(json_array(2, 3), py_kw('start', 4))": 24,
            },
        ),
        (
            "statistics",
            {
                "statistics_mean(json_array(1, 2, 6))": 3,
                "statistics_median(json_array(1, 5, 30))": 5,
                "statistics_quantiles(json_array(1, 2, 3, 4), py_kw('n', 2))": "[2.5]",
                "statistics_NormalDist_cdf(json_array(0, 1), 0)": 0.5,
                "statistics_NormalDist_mean(json_array(3, 1))": 3.0,
                "statistics_mode('aab')": "a",
            },
        ),
        (
            "datetime",
            {
                "datetime_date(2024, 2, 29)": "2024-02-29",
                "datetime_date_weekday('2024-02-29')": 3,
                "datetime_date_year(json_array(2024, 2, 29))": 2024,
                "datetime_date_isoformat(json_array(2024, 2, 29))": "2024-02-29",
                "datetime_date_replace('2024-02-29', py_kw('day', 1))": "2024-02-01",
                "datetime_date_fromordinal(1)": "0001-01-01",
                "datetime_datetime_strftime('2024-02-29 12:00:00', '%H')": "12",
                "datetime_timedelta_total_seconds(json_array(1))": 86400.0,
                "datetime_MINYEAR()": 1,
            },
        ),
        (
            "json",
            {
                "json_dumps(json('{\"a\": [1, null]}'))": '{"a": [1, null]}',
                "json_dumps('text')": '"text"',
                "json_dumps(json_array(1), py_kw('indent', 1))": "[\n 1\n]",
                "json_loads('[1, 2]')": "[1,2]",
                "json_loads('3')": 3,
            },
        ),
        (
            "re",
            {
                "re_findall('a.', 'abac')": '["ab","ac"]',
                "re_findall('A.', 'abac', re_IGNORECASE())": '["ab","ac"]',
                "json_array(re_findall('a', 'a'))": '[["a"]]',
                "re_sub('a', 'b', 'aaa', py_kw('count', 1))": "baa",
                "re_split(',', 'a,b')": '["a","b"]',
                "re_escape('a.b')": "a\\.b",
            },
        ),
        (
            "collections",
            {"collections_Counter_most_common('abca', 1)": '[["a",2]]'},
        ),
        (
            "string",
            {
                "string_capwords('a bc')": "A Bc",
                "string_digits()": "0123456789",
                "string_Template_substitute('$x!', py_kw('x', 1))": "1!",
            },
        ),
        (
            "textwrap",
            {
                "textwrap_wrap('aaa bbb', 3)": '["aaa","bbb"]',
                "textwrap_indent('a', '> ')": "> a",
                "textwrap_fill('a b', py_kw('width', 1))": "a\nb",
            },
        ),
        (
            "decimal",
            {
                "decimal_Decimal('1.50')": "1.50",
                "decimal_Decimal_sqrt('4')": "2",
                "decimal_Decimal_is_nan('nan')": 1,
                "decimal_Decimal_from_float(0.5)": "0.5",
                "decimal_ROUND_UP()": "ROUND_UP",
            },
        ),
        (
            "fractions",
            {
                "fractions_Fraction_numerator(json_array(6, 4))": 3,
                "fractions_Fraction_denominator('1.25')": 4,
            },
        ),
        (
            "numpy",
            {
                "numpy_mean(json_array(1, 2, 6))": 3.0,
                "numpy_exp(0)": 1.0,
                "numpy_arange(3)": "[0,1,2]",
                "numpy_dot(json_array(1, 2), json_array(3, 4))": 11,
                "numpy_linspace(0, 1, py_kw('num', 3))": "[0.0,0.5,1.0]",
                "numpy_double(2)": 2.0,
                "numpy_pi() > 3": 1,
                "numpy_sort(json_array(3, 1))": "[1,3]",
            },
        ),
        (
            "pandas",
            {
                "pandas_Series_sum(json('[[1, 2]]'))": 3,
                "pandas_isna(1)": 0,
                "pandas_to_datetime('2024-01-02')": "2024-01-02 00:00:00",
                "pandas_DataFrame_to_csv(json('{\"a\": [1]}'), py_kw('index', 0))": (
                    "a\n1\n"
                ),
                "pandas_DataFrame_shape(json('{\"a\": [1, 2]}'))": "[2,1]",
                "pandas_Timestamp_year('2024-01-02')": 2024,
            },
        ),
    ],
)
def test_sql_wrappers_give_what_python_gives(
    folder: Path, shell: Shell, module: str, calls: dict[str, object]
) -> None:
    """In the sqlite3 shell, with defaults, keyword arguments, JSON and methods."""
    read(shell, folder / "sql" / f"{module}.sql")

    assert calls == {call: shell.value(f"select {call}") for call in calls}
    assert "[]" == shell.value(
        "select py_eval('[n for n in globals() if n[:2] != \"__\"]', 'json')"
    )


def test_sql_wrappers_of_a_hard_module(folder: Path, shell: Shell) -> None:
    """Names that clash, letters beyond ASCII, 130 and 60 arguments, quotes and ends."""
    read(shell, folder / "sql" / "hard_one.sql")

    assert [(1, None, "aa", 59, 1, 2, 5, 1)] == shell.rows(
        "select hard_one_Nothing(), hard_one_nothing_2(), hard_one_größe('a'),"
        " hard_one_many(py_kw('a59', 59)), hard_one_Base_fixed(),"
        " hard_one_Base_size() + 1, hard_one_Base_inherited(5),"
        " hard_one_lazy('x')"
    )
    assert "no such function" in shell.error("select hard_one_wide(1)")
    assert "py_apply('hard_one.wide', a JSON array)" in (
        folder / "sql" / "hard_one.sql"
    ).read_text(encoding="utf-8")


def test_sql_wrappers_take_objects(folder: Path, shell: Shell) -> None:
    """What py_object holds may be the object of a method, or any argument."""
    read(shell, folder / "sql" / "decimal.sql")
    read(shell, folder / "sql" / "statistics.sql")

    assert [("2", 2)] == shell.rows(
        "select decimal_Decimal_sqrt(py_object('__import__(\"decimal\").Decimal', 4)),"
        " statistics_mean(py_object('[1, 3]'))"
    )


def test_sql_wrappers_say_what_is_wrong(folder: Path, shell: Shell) -> None:
    """A wrong number of arguments, a wrong type, and a method of nothing."""
    read(shell, folder / "sql" / "random.sql")

    assert "wrong number of arguments" in shell.error("select random_randint(1)")
    assert "ValueError" in shell.error("select random_randint('a', 1)")
    assert "unexpected keyword" in shell.error("select random_seed(py_kw('z', 1))")


def test_sql_wrappers_may_be_read_twice(folder: Path, shell: Shell) -> None:
    """A second time changes nothing; another prefix makes other names."""
    read(shell, folder / "sql" / "random.sql")
    read(shell, folder / "sql" / "random.sql")
    other = folder / "other.sql"
    other.write_text(write(survey("random"), "sql", Options("my")), encoding="utf-8")
    read(shell, other)

    assert [(2, 2)] == shell.rows(
        "select random_randint(2, 2), my_random_randint(2, 2)"
    )


def test_sql_wrapper_of_a_lost_module_says_so(folder: Path, shell: Shell) -> None:
    """What is gone from the module since is told when the script is read."""
    script = folder / "gone.sql"
    text = write(survey("textwrap"), "sql", Options())
    script.write_text(text.replace('"TextWrapper", "wrap"', '"TextWrapper", "gone"'))

    with pytest.raises(SqlError, match="TextWrapper has no 'gone'"):
        shell.rows(script.read_text(encoding="utf-8"))


# ---- A typed stub -------------------------------------------------------------------

USE = """\
from typing import Any
from wrapped import datetime, decimal, hard_one, json, math, numpy, pandas, random

random.randint(1, 6)
random.choices([1], weights=None, k=3)
random.Random(3).choice([1])
math.isclose(1, 2, rel_tol=0.5)
math.hypot(1, 2, 3)
json.dumps({}, indent=2)
datetime.date(2024, 2, 29).isoformat()
pandas.DataFrame({}).merge(3, how="left")
pandas.isnull(3)
numpy.double(1)
numpy.exp(1)
decimal.Decimal("1").sqrt().anything
hard_one.plain(1, 2, 3, 4, d=5, z=6)
hard_one.printf(1, 2, 3, 4, 5)
hard_one.Base.made(1)
hard_one.Base.fixed()
size: int = hard_one.Base(1).size
hot: Any = hard_one.Derived(1, y=3).hot
try:
    raise hard_one.Broken("x")
except decimal.Inexact:
    pass
"""

MISUSE = {
    "random.randint(1)": "Missing positional argument",
    "random.randint(1, 2, 3)": "Too many arguments",
    "random.choices([1], None, [1])": "Too many positional arguments",
    "math.isclose(1, 2, 3)": "Too many positional arguments",
    "hard_one.plain(a=1, d=2)": "Too few arguments",
    "hard_one.Base(1).gone": "has no attribute",
    "hard_one._hidden()": "has no attribute",
    "json.dumps()": "Missing positional argument",
}


def test_typed_stubs_pass_the_type_checker(folder: Path, tmp_path: Path) -> None:
    """The checker accepts each of them, right calls, and no wrong ones."""
    shutil.copytree(folder / "pyi", tmp_path / "wrapped")
    (tmp_path / "wrapped/__init__.pyi").touch()
    (tmp_path / "use.py").write_text(USE, encoding="utf-8")
    head = "from wrapped import hard_one, json, math, random\n"
    (tmp_path / "misuse.py").write_text(head + "\n".join(MISUSE), encoding="utf-8")
    check = (sys.executable, "-m", "mypy", "--strict", "--no-incremental")

    right = run(*check, "use.py", "wrapped", cwd=tmp_path)
    wrong = run(*check, "misuse.py", cwd=tmp_path)

    assert 0 == right.returncode, right.stdout + right.stderr
    said = dict(re.findall(r"misuse.py:(\d+): error: (.*)", wrong.stdout))
    assert [str(line + 2) for line in range(len(MISUSE))] == list(said)
    for words, line in zip(MISUSE.values(), said.values(), strict=True):
        assert words in line


# ---- M ------------------------------------------------------------------------------


def mumps() -> Path:
    """Return the program of GT.M."""
    found = sorted(Path("/usr/lib").glob("*/fis-gtm/*/mumps"))
    assert found, "GT.M is missing; run: tools/setup.sh test"
    return found[-1]


def test_routines_compile(folder: Path) -> None:
    """GT.M's compiler finds nothing wrong in any of them."""
    for path in sorted((folder / "m").glob("*.m")):
        said = run(
            *(mumps(), "-noobject", path),
            cwd=folder / "m",
            env={"gtm_dist": str(mumps().parent), "gtmroutines": "."},
        )

        assert (0, "", "") == (said.returncode, said.stdout, said.stderr), path


def test_routines_have_names_that_m_knows(folder: Path) -> None:
    """Labels and routines are letters and digits, 31 at most, each once."""
    for path in sorted((folder / "m").glob("*.m")):
        text = path.read_text(encoding="utf-8")
        labels = re.findall(r"^([^ (]+)", text, re.MULTILINE)

        assert path.stem == labels[0]
        assert len(labels) == len(set(labels))
        assert [] == [
            label for label in labels if not re.fullmatch(r"[%A-Za-z]\w{,30}", label)
        ]


# ---- C ------------------------------------------------------------------------------

PROGRAM = r"""
#include <math.h>
#include <stdio.h>
#include <string.h>
%s

static pyb_session s;
static pyb_value r;
static pyb_error e;

static void show(pyb_status status) {
  if (status != PYB_OK)
    printf("%%s %%s\n", e.type, e.message);
  else if (r.type == PYB_INT64 || r.type == PYB_BOOL)
    printf("%%lld\n", (long long)r.integer);
  else if (r.type == PYB_FLOAT64)
    printf("%%g\n", r.real);
  else if (r.type == PYB_TEXT || r.type == PYB_DECIMAL)
    printf("%%s\n", r.data);
  else
    printf("type %%d\n", r.type);
  pyb_value_release(&r);
}

int main(void) {
  pyb_value text = PYB_STUB_TEXT("aab");
  pyb_value three = PYB_STUB_INT(3), two[] = {PYB_STUB_REAL(3), PYB_STUB_REAL(4)};
  const char *names[] = {"z"};
  pyb_handle h = 0, kept;

  show(py_random_randint(&s, three, three, &r, &e));
  show(py_random_choices(&s, PYB_STUB_JSON("[7]"),
                         &(py_random_choices_options){.k = &three}, &r, &e));
  show(py_random_uniform(&s, three, three, &r, &e));
  show(py_random_choice(&s, PYB_STUB_TEXT("x"), &r, &e));
  show(py_math_floor(&s, two[1], &r, &e));
  show(py_math_pi(&s, &r, &e));
  show(py_math_isclose(&s, three, two[1], NULL, &r, &e));
  show(py_math_isclose(&s, three, two[1],
                       &(py_math_isclose_options){.abs_tol = &two[1]}, &r, &e));
  show(py_statistics_mean(&s, PYB_STUB_JSON("[1, 2, 6]"), &r, &e));
  show(py_json_dumps(&s, PYB_STUB_JSON("{\"a\": [1]}"), NULL, &r, &e));
  show(py_re_findall(&s, PYB_STUB_TEXT("A"), PYB_STUB_TEXT("ab"), NULL, &r, &e));
  show(py_re_escape(&s, PYB_STUB_TEXT("a.b"), &r, &e));
  show(py_string_ascii_lowercase(&s, &r, &e));
  show(py_textwrap_indent(&s, PYB_STUB_TEXT("a"), PYB_STUB_TEXT("> "), NULL, &r, &e));
  show(py_decimal_Decimal(&s, &(py_decimal_Decimal_options){.value = &three}, &h, &e));
  show(py_decimal_Decimal_sqrt(&s, h, NULL, &r, &e));
  show(py_decimal_Decimal_real(&s, h, &r, &e));
  show(pyb_handle_release(&s, h, &e));
  show(pyb_handle_new(&s, "__import__('datetime').date",
                      (pyb_value[]){PYB_STUB_INT(2024), three, three}, 3, NULL, 0, &h,
                      &e));
  show(py_datetime_date_month(&s, h, &r, &e));
  show(pyb_handle_release(&s, h, &e));
  show(py_numpy_mean(&s, PYB_STUB_JSON("[1, 2]"), NULL, &r, &e));
  if (py_numpy_linspace(&s, PYB_STUB_INT(0), three,
                        &(py_numpy_linspace_options){.num = &three}, &r, &e) != PYB_OK)
    return 1;
  h = (pyb_handle)r.integer;
  show(py_numpy_sum(&s, PYB_STUB_HANDLE(h), NULL, &r, &e));
  show(pyb_handle_release(&s, h, &e));
  two[0] = PYB_STUB_JSON("{\"a\": [1, 2]}");
  show(py_pandas_DataFrame(
      &s, &(py_pandas_DataFrame_options){.data = &two[0]}, &h, &e));
  if (py_pandas_DataFrame_sum(&s, h, NULL, &r, &e) != PYB_OK)
    return 2;
  kept = (pyb_handle)r.integer;
  show(py_pandas_Series_iloc(&s, kept, &r, &e));
  show(pyb_handle_release(&s, kept, &e));
  show(pyb_handle_release(&s, h, &e));
  show(py_statistics_NormalDist(
      &s, &(py_statistics_NormalDist_options){.sigma = &three}, &h, &e));
  show(py_statistics_NormalDist_variance(&s, h, &r, &e));
  show(py_statistics_NormalDist_cdf(&s, h, PYB_STUB_INT(0), &r, &e));
  show(pyb_handle_release(&s, h, &e));
  show(py_fractions_Fraction(
      &s, &(py_fractions_Fraction_options){.numerator = &three}, &h, &e));
  show(py_fractions_Fraction_denominator(&s, h, &r, &e));
  show(pyb_handle_release(&s, h, &e));
  show(py_collections_Counter(
      &s, &(py_collections_Counter_options){.iterable = &text}, &h, &e));
  show(py_collections_Counter_total(&s, h, &r, &e));
  show(pyb_handle_release(&s, h, &e));
  show(py_hard_one_printf(&s, three, three, three, three, three, NULL, &r, &e));
  show(py_hard_one_plain(&s, three, three, NULL, 0,
                         &(py_hard_one_plain_options){.extra_names = names,
                                                      .extra_values = &three,
                                                      .n_extra = 1},
                         &r, &e));
  show(py_hard_one_plain(&s, three, three, NULL, 0,
                         &(py_hard_one_plain_options){.c = &three}, &r, &e));
  show(py_random_randint(&s, PYB_STUB_TEXT("x"), three, &r, &e));
  show(py_hard_one_Base_fixed(&s, NULL, &r, &e));
  printf("%%lld\n", (long long)pyb_live());
  return 0;
}
"""

# Type 11 is a handle; type 0 is what a call that makes or releases one has to show.
PRINTED = """\
3
type 11
3
x
4
3.14159
0
1
3
{"a": [1]}
type 11
a\\.b
abcdefghijklmnopqrstuvwxyz
> a
type 0
1.732050807568877293527446342
3
type 0
type 0
3
type 0
1.5
4.5
type 0
type 0
type 11
type 0
type 0
type 0
9
0.5
type 0
type 0
1
type 0
type 0
3
type 0
type 11
type 0
 an argument is missing before one that is given
ValueError invalid literal for int() with base 10: 'x'
1
0
"""


def test_headers_compile_and_call(folder: Path, tmp_path: Path) -> None:
    """All in one program without a warning; values, options, objects and errors."""
    headers = sorted((folder / "c").glob("*.h"))
    source = tmp_path / "program.c"
    source.write_text(
        PROGRAM % "\n".join(f'#include "{path}"' for path in headers), encoding="utf-8"
    )

    ended = run(
        build(source, tmp_path, flags()),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )

    assert (0, PRINTED) == (ended.returncode, ended.stdout), ended.stderr


# ---- The command --------------------------------------------------------------------


def test_command_writes_to_standard_output() -> None:
    """One module without a place; what it prints when it is imported is not in it."""
    said = run(
        *(sys.executable, "-m", "pybridge", "stubs", "this", "--target", "sql"),
        cwd=ROOT,
    )

    assert said.stdout.startswith("-- The Python module this as SQL functions")
    assert "Zen of Python" in said.stderr


def test_command_prints_a_survey() -> None:
    """With --json it is what the modules have."""
    import json

    said = run(
        *(sys.executable, "-m", "pybridge", "stubs", "fractions", "--json"),
        *("--include", "Fraction,limit_denominator"),
    )

    (module,) = json.loads(said.stdout)
    assert "fractions" == module["name"]
    (limit,) = [
        one
        for one in module["classes"][0]["members"]
        if one["path"] == "Fraction.limit_denominator"
    ]
    assert [{"name": "max_denominator", "default": "1000000"}] == [
        {key: one[key] for key in ("name", "default")} for one in limit["parameters"]
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("math",), "name --target or --json, one of them"),
        (("math", "--json", "--target", "c"), "name --target or --json, one of them"),
        (("math", "re", "--target", "m"), "several modules want a folder"),
        (("nope", "--target", "c"), "module 'nope' cannot be imported"),
        (("math", "--target", "c", "--package", "1x"), "cannot be what names begin"),
        (("math", "--target", "c", "--output", "/proc/x/y"), "cannot be written"),
    ],
)
def test_command_says_what_is_wrong(words: tuple[str, ...], message: str) -> None:
    """Each mistake is told, with an exit code that is not 0."""
    said = run(sys.executable, "-m", "pybridge", "stubs", *words)

    assert 0 != said.returncode
    assert message in said.stderr
