"""Saving and restoring a context: everything comes back as it was, or is listed."""

# ruff: noqa: E501 - the lines are code in texts

from __future__ import annotations

import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybridge import context as contexts
from pybridge import main, snapshot
from pybridge.errors import BadArgument, UnknownSnapshot
from tests.values import SCALARS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pybridge.snapshot import Report
    from tests.values import Scalar


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep store and key in a folder of the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("PYBRIDGE_STORE", raising=False)
    monkeypatch.delenv("PYBRIDGE_KEY", raising=False)
    return tmp_path


@pytest.fixture
def live(home: Path) -> Iterator[None]:
    """Give empty contexts; all are dropped afterwards."""
    contexts.reset()
    yield
    contexts.reset()


def run(code: str, context: str = "a") -> None:
    """Run code."""
    main.execute_code(code, context=context)


def get(name: str, context: str = "b") -> Any:
    """Return a variable."""
    return contexts.get(context).namespace[name]


def there_and_back(code: str) -> Report:
    """Save what code makes, and restore it into another context."""
    run(code)
    saved = snapshot.save("a", "s")
    assert [] == saved.skipped
    return snapshot.restore("s", context="b")


# ---- What comes back ----------------------------------------------------------------

# What is made, and what then holds where it was restored.
THINGS: dict[str, tuple[str, list[str]]] = {
    "modules with every alias": (
        "import math, math as m, os.path, xml.dom.minidom, json as j\n"
        "from math import sin as s, floor\n"
        "from collections import OrderedDict as OD\n"
        "from random import random as rnd\n"
        "from os import environ as env\n",
        [
            "math is m",
            "m.pi > 3",
            "s is math.sin",
            "floor(2.5) == 2",
            "OD.__name__ == 'OrderedDict'",
            "rnd is __import__('random').random",
            "env is __import__('os').environ",
            "os.path.sep == '/'",
            "xml.dom.minidom.parseString('<a/>') is not None",
            "j.dumps([1]) == '[1]'",
        ],
    ),
    "a function with defaults, annotations, docs": (
        "def f(a: int = 3, /, *rest, k=[1], **more) -> str:\n"
        "  'docs of f'\n"
        "  return (a, rest, k, more)\n"
        "f.note = 'n'\n",
        [
            "f() == (3, (), [1], {})",
            "f(1, 2, k=4, z=5) == (1, (2,), 4, {'z': 5})",
            "f.__doc__ == 'docs of f'",
            "f.__annotations__ == {'a': int, 'return': str}",
            "f.note == 'n'",
            "f.__globals__ is globals()",
            "f.__module__ == __name__",
        ],
    ),
    "functions that refer to each other": (
        "limit = 5\n"
        "def even(n): return True if n == 0 else odd(n - 1)\n"
        "def odd(n): return False if n == 0 else even(n - 1)\n"
        "def get(): return limit\n"
        "table = {'even': even, 'odd': odd}\n",
        [
            "even(10)",
            "table['even'] is even",
            "get() == 5",
            "[limit := 6, get() == 6][1]",
        ],
    ),
    "closures that share a cell": (
        "def counter():\n"
        "  n = 0\n"
        "  def inc():\n"
        "    nonlocal n\n"
        "    n += 1\n"
        "    return n\n"
        "  def peek(): return n\n"
        "  return inc, peek\n"
        "inc, peek = counter()\n"
        "inc()\n",
        ["peek() == 1", "inc() == 2", "peek() == 2"],
    ),
    "a recursive closure": (
        "def outer():\n"
        "  def fact(n): return 1 if n < 2 else n * fact(n - 1)\n"
        "  return fact\n"
        "fact = outer()\n"
        "keep = [outer(), fact]\n",
        ["fact(5) == 120", "keep[0](4) == 24", "keep[1] is fact"],
    ),
    "lambdas and decorators": (
        "import functools\n"
        "double = lambda v, by=2: v * by\n"
        "several = [lambda v: v + 1, lambda v: v + 2]\n"
        "def loud(fn):\n"
        "  @functools.wraps(fn)\n"
        "  def wrap(*args): return ('!', fn(*args))\n"
        "  return wrap\n"
        "@loud\n"
        "def hello(name): return name + suffix\n"
        "suffix = '?'\n"
        "part = functools.partial(double, by=5)\n"
        "@functools.lru_cache(maxsize=7)\n"
        "def cached(n): return n + 1\n"
        "@functools.singledispatch\n"
        "def show(v): return 'any'\n"
        "@show.register\n"
        "def _(v: int): return 'int'\n",
        [
            "double(3) == 6",
            "[f(1) for f in several] == [2, 3]",
            "hello('x') == ('!', 'x?')",
            "hello.__name__ == 'hello'",
            "part(2) == 10 and part.func is double",
            "cached(1) == 2 and cached.cache_parameters()['maxsize'] == 7",
            "show(1) == 'int' and show('') == 'any'",
        ],
    ),
    "classes and their instances": (
        "class Base:\n"
        "  made = 0\n"
        "  def __init__(self, v): self.v = v; Base.made += 1\n"
        "  def __eq__(self, other): return type(other) is type(self) and self.v == other.v\n"
        "  __hash__ = None\n"
        "  @staticmethod\n"
        "  def plain(): return 'plain'\n"
        "  @classmethod\n"
        "  def make(cls, v): return cls(v)\n"
        "  @property\n"
        "  def twice(self): return self.v * 2\n"
        "class Sub(Base):\n"
        "  def __init__(self, v): super().__init__(v); self.me = self\n"
        "  class Inner: pass\n"
        "one, two = Base(5), Sub(7)\n"
        "inner = Sub.Inner()\n"
        "pair = [one, one]\n"
        "bound, method = one.__eq__, Sub.make\n",
        [
            "type(one) is Base and isinstance(two, Base)",
            "Base.made == 2",
            "one.twice == 10 and two.me is two",
            "pair[0] is one and pair[1] is one",
            "Sub.make(3).v == 3 and Base.made == 3",
            "Base.plain() == 'plain'",
            "type(inner) is Sub.Inner",
            "bound.__self__ is one and type(method(1)) is Sub",
            "Base.__module__ == __name__",
            "Sub.__mro__ == (Sub, Base, object)",
        ],
    ),
    "metaclasses and hooks of bases do not run again": (
        "class Meta(type):\n"
        "  made = []\n"
        "  def __new__(mcs, name, bases, body, **more):\n"
        "    made = super().__new__(mcs, name, bases, body, **more)\n"
        "    mcs.made.append(name)\n"
        "    return made\n"
        "  def __init__(cls, *args, **more): pass\n"
        "  @property\n"
        "  def loud(cls): return cls.__name__.upper()\n"
        "class Root(metaclass=Meta):\n"
        "  def __init_subclass__(cls, /, word, **more): cls.word = word\n"
        "class Leaf(Root, word='w'): pass\n"
        "leaf = Leaf()\n",
        [
            "type(Leaf) is Meta and Leaf.loud == 'LEAF'",
            "Leaf.word == 'w' and Leaf.__bases__ == (Root,)",
            "Meta.made == ['Root', 'Leaf']",
            "isinstance(leaf, Root)",
            "type('New', (Root,), {}, word='z') if 0 else True",
        ],
    ),
    "slots": (
        "class S:\n"
        "  __slots__ = ('p', '__q', '__weakref__')\n"
        "  def __init__(self): self.p = 1; self.__q = 2\n"
        "  def q(self): return self.__q\n"
        "s = S()\n",
        ["s.p == 1 and s.q() == 2", "not hasattr(s, '__dict__')"],
    ),
    "dataclasses": (
        "import dataclasses\n"
        "@dataclasses.dataclass\n"
        "class D:\n"
        "  x: int\n"
        "  y: list = dataclasses.field(default_factory=list)\n"
        "@dataclasses.dataclass(frozen=True, slots=True, order=True)\n"
        "class F:\n"
        "  x: int = 5\n"
        "d, f = D(1), F()\n",
        [
            "d == D(1) and repr(d) == 'D(x=1, y=[])'",
            "f == F(5) and f < F(6) and hash(f) == hash(F())",
            "dataclasses.asdict(f) == {'x': 5}",
            "dataclasses.replace(d, x=2).x == 2",
        ],
    ),
    "enums": (
        "import enum\n"
        "class Color(enum.Enum):\n"
        "  RED = 1\n"
        "  GREEN = 'g'\n"
        "  CRIMSON = 1\n"
        "  def hi(self): return self.name\n"
        "class Number(enum.IntEnum): ONE = 1; TWO = 2\n"
        "class Way(enum.Flag): A = enum.auto(); B = enum.auto(); AB = A | B\n"
        "class Planet(enum.Enum):\n"
        "  EARTH = (1, 2)\n"
        "  def __init__(self, mass, size): self.mass = mass\n"
        "class Coded(bytes, enum.Enum):\n"
        "  def __new__(cls, value, label):\n"
        "    made = bytes.__new__(cls, [value]); made._value_ = value; made.label = label\n"
        "    return made\n"
        "  X = (1, 'ex')\n"
        "class Word(enum.StrEnum): P = enum.auto()\n"
        "all_ = [Color.RED, Number.TWO, Way.A | Way.B, Planet.EARTH, Coded.X, Word.P]\n",
        [
            "all_[0] is Color.RED is Color.CRIMSON is Color(1)",
            "Color('g').hi() == 'GREEN' and len(Color) == 2",
            "list(Color.__members__) == ['RED', 'GREEN', 'CRIMSON']",
            "all_[1] is Number.TWO and Number.TWO + 1 == 3",
            "all_[2] is Way.AB and Way.A in Way.AB",
            "all_[3] is Planet.EARTH and Planet.EARTH.mass == 1",
            "all_[4] is Coded.X is Coded(1) and bytes(Coded.X) == b'\\x01'",
            "Coded.X.label == 'ex' and Word.P == 'p' and all_[5] is Word.P",
        ],
    ),
    "named tuples, generics, protocols, abstract classes": (
        "import abc, collections, typing\n"
        "P = collections.namedtuple('P', 'x y', defaults=[3])\n"
        "class Q(typing.NamedTuple):\n"
        "  'docs of Q'\n"
        "  a: int\n"
        "  b: str = 'x'\n"
        "  def first(self): return self.a\n"
        "T = typing.TypeVar('T')\n"
        "class Box(typing.Generic[T]):\n"
        "  def __init__(self, v: T): self.v = v\n"
        "class Proto(typing.Protocol):\n"
        "  def go(self): ...\n"
        "class TD(typing.TypedDict, total=False): a: int\n"
        "class Ab(abc.ABC):\n"
        "  @abc.abstractmethod\n"
        "  def go(self): ...\n"
        "class Real(Ab):\n"
        "  def go(self): return 1\n"
        "Ab.register(int)\n"
        "UserId = typing.NewType('UserId', int)\n"
        "p, q, box, real = P(1), Q(2), Box[int](4), Real()\n",
        [
            "p == (1, 3) and type(p) is P and p._replace(y=9).y == 9",
            "q.first() == 2 and Q.__doc__ == 'docs of Q' and Q(1).b == 'x'",
            "box.v == 4 and Box.__parameters__ == (T,)",
            "Box[int].__origin__ is Box",
            "issubclass(int, Ab) and isinstance(real, Ab)",
            "Ab.__abstractmethods__ == {'go'} and real.go() == 1",
            "TD(a=1) == {'a': 1} and TD.__total__ is False",
            "UserId(3) == 3 and isinstance(Proto, type)",
        ],
    ),
    "one object under several names": (
        "import numpy as np\n"
        "x = [1]\n"
        "y = x\n"
        "z = {'x': x, 'deep': [[x]]}\n"
        "loop = []; loop.append(loop)\n"
        "a, b = [], []\n"
        "a.append(b); b.append(a)\n"
        "arr = np.zeros(3); again = arr\n"
        "class Node: pass\n"
        "n1, n2 = Node(), Node()\n"
        "n1.next, n2.next = n2, n1\n"
        "hidden = (lambda: type('Hidden', (), {}))()\n"
        "h1, h2 = hidden(), hidden()\n"
        "space = globals()\n"
        "f = lambda: x\n"
        "def grab(v=x): return v\n",
        [
            "y is x and z['x'] is x and z['deep'][0][0] is x",
            "loop[0] is loop and a[0] is b and b[0] is a",
            "again is arr",
            "n1.next is n2 and n2.next is n1",
            "type(h1) is type(h2) is hidden",
            "space is globals()",
            "f() is x and grab() is x",
        ],
    ),
    "odd names": (
        "größe = 1\nЖизнь = 'x'\n_private = 2\n__dunder = 3\n"
        "globals()['a.b'] = 4\nglobals()[''] = 5\nglobals()['x\\0y'] = 6\n",
        [
            "größe == 1 and Жизнь == 'x' and _private == 2 and __dunder == 3",
            "globals()['a.b'] == 4 and globals()[''] == 5 and globals()['x\\0y'] == 6",
        ],
    ),
    "values of the standard library": (
        "import collections, datetime, decimal, fractions, pathlib, re, types, uuid\n"
        "import weakref, zoneinfo, array\n"
        "tz = datetime.datetime(2020, 1, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Rome'))\n"
        "dec, frac = decimal.Decimal('1.10'), fractions.Fraction(1, 3)\n"
        "path, uid, pat = pathlib.Path('/x'), uuid.UUID(int=5), re.compile('a+', re.I)\n"
        "deq, count = collections.deque([1, 2], 2), collections.Counter('aab')\n"
        "default = collections.defaultdict(list, {1: [2]})\n"
        "space = types.SimpleNamespace(a=1)\n"
        "view, keys = memoryview(b'abc'), {'a': 1}.keys()\n"
        "huge, nan, cpx = 10 ** 5000, float('nan'), 1 + 2j\n"
        "surrogate, nul = '\\ud800', 'a\\0b'\n"
        "ex = ValueError('bad', 3)\n"
        "class Key: pass\n"
        "key = Key()\n"
        "weak, ref = weakref.WeakKeyDictionary({key: 1}), weakref.ref(key)\n"
        "arr = array.array('d', [1.5])\n"
        "raw, mutable, gen = b'\\x00\\xff', bytearray(b'x'), list[int]\n",
        [
            "str(tz) == '2020-01-01 00:00:00+01:00'",
            "str(dec) == '1.10' and frac * 3 == 1",
            "str(path) == '/x' and uid.int == 5 and pat.match('AA').end() == 2",
            "deq.maxlen == 2 and count['a'] == 2 and default[9] == []",
            "space.a == 1 and bytes(view) == b'abc' and list(keys) == ['a']",
            "huge == 10 ** 5000 and nan != nan and cpx.imag == 2",
            "surrogate == '\\ud800' and nul == 'a\\0b'",
            "ex.args == ('bad', 3) and type(ex) is ValueError",
            "weak[key] == 1 and ref() is key",
            "arr[0] == 1.5 and raw == b'\\x00\\xff' and gen == list[int]",
            "mutable == bytearray(b'x')",
        ],
    ),
    "frames and arrays": (
        "import numpy as np, pandas as pd, pyarrow as pa, polars as pl\n"
        "n = 20000\n"
        "df = pd.DataFrame({'i': np.arange(n), 'f': np.arange(n) / 3,\n"
        "  's': [f't{i}' for i in range(n)], 'o': [None, 1] * (n // 2),\n"
        "  't': pd.date_range('2020', periods=n, freq='s', tz='Europe/Rome'),\n"
        "  'c': pd.Categorical(['a', 'b'] * (n // 2))})\n"
        "both = {'df': df}\n"
        "empty = df.iloc[:0]\n"
        "multi = df.head(4).set_index(['i', 's'])\n"
        "series = df['f']\n"
        "arr = np.arange(30000.).reshape(100, 300)\n"
        "view, turned = arr[::2], arr.T\n"
        "zero, obj = np.array(5), np.array([1, 'a', None], dtype=object)\n"
        "rec = np.array([(1, 2.)], dtype=[('a', 'i4'), ('b', 'f8')])\n"
        "frozen = np.zeros(10); frozen.flags.writeable = False\n"
        "table = pa.table({'a': [1, None], 'b': ['x', 'y']})\n"
        "pol = pl.DataFrame({'a': list(range(n)), 'b': ['x'] * n})\n",
        [
            "both['df'] is df and len(df) == n and df.f[3] == 1.0",
            "df.s[7] == 't7' and str(df.t.dtype) == 'datetime64[us, Europe/Rome]'",
            "list(df.c.cat.categories) == ['a', 'b']",
            "len(empty) == 0 and list(empty.columns) == list(df.columns)",
            "multi.index.nlevels == 2 and series[4] == 4 / 3",
            "arr[1, 1] == 301 and (view == arr[::2]).all() and (turned == arr.T).all()",
            "zero == 5 and obj[1] == 'a' and rec['b'][0] == 2",
            "not frozen.flags.writeable and arr.flags.writeable",
            "[arr.__setitem__((0, 0), 9.), arr[0, 0] == 9][1]",
            "[df.__setitem__('new', 1), df.isna().sum().sum() >= 0][1]",
            "table.num_rows == 2 and pol.height == n and pol['b'][5] == 'x'",
        ],
    ),
}


@pytest.mark.parametrize("what", THINGS)
def test_restore_brings_back(what: str, live: None) -> None:
    """What was saved is there under its names, in a context of another name."""
    code, expressions = THINGS[what]

    report = there_and_back(code)

    assert [] == report.skipped
    failing = [one for one in expressions if not main.evaluate(one, context="b")]
    assert [] == failing


def test_restore_works_in_a_process_that_has_nothing(live: None) -> None:
    """All of it comes back in a new process too, and changes nothing in the old one."""
    names = [name for name in THINGS if "odd" not in name]
    for number, what in enumerate(names):
        run(THINGS[what][0], f"c{number}")
        assert [] == snapshot.save(f"c{number}", f"s{number}").skipped
    program = (
        "import sys, ast\n"
        "from pybridge import main, snapshot\n"
        "for n, expressions in ast.literal_eval(sys.stdin.read()).items():\n"
        "    snapshot.restore(f's{n}', context=f'd{n}')\n"
        "    for one in expressions:\n"
        "        assert main.evaluate(one, context=f'd{n}'), one\n"
    )
    wanted = {number: THINGS[what][1] for number, what in enumerate(names)}

    done = subprocess.run(
        [sys.executable, "-c", program],
        input=repr(wanted),
        text=True,
        capture_output=True,
        check=False,
        timeout=120,
    )

    assert "" == done.stderr


@pytest.mark.parametrize("scalar", SCALARS, ids=str)
def test_restore_brings_back_a_scalar(scalar: Scalar, live: None) -> None:
    """Each scalar comes back as itself, NaN included, of its own type."""
    contexts.get("a").namespace["x"] = scalar.python

    snapshot.restore(snapshot.save("a").id, context="b")

    assert repr(scalar.python) == repr(get("x"))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    values=st.lists(VALUES, min_size=2, max_size=5),
    links=st.lists(st.integers(0, 4), max_size=6),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_restore_keeps_values_and_what_they_share(
    values: list[Any], links: list[int], live: None
) -> None:
    """Nested values come back equal, and what two names share they share again."""
    space = contexts.get("h").namespace
    for number, value in enumerate(values):
        space[f"v{number}"] = value
    for number, link in enumerate(links):
        space[f"l{number}"] = [values[link % len(values)], values[number % len(values)]]

    snapshot.restore(snapshot.save("h", mask="v*,l*").id, context="i", clear=True)

    back = contexts.get("i").namespace
    mutable = (list, dict)
    for number, value in enumerate(values):
        assert value == back[f"v{number}"]
        assert type(value) is type(back[f"v{number}"])
    for number, link in enumerate(links):
        if isinstance(values[link % len(values)], mutable):
            assert back[f"l{number}"][0] is back[f"v{link % len(values)}"]
    contexts.get("h").namespace.clear()


def test_save_holds_a_long_and_a_deep_list(live: None) -> None:
    """A hundred thousand elements are nothing special; too deep a nest says so."""
    run(
        "long = list(map(str, range(100000)))\ndeep = []\nfor _ in range(100000): deep = [deep]"
    )

    report = snapshot.save("a", "s")
    snapshot.restore("s", context="b")

    assert ["it is nested too deeply for a pickle"] == [
        one.reason for one in report.skipped
    ]
    assert get("long", "a") == get("long")
    # Freed step by step: Python itself takes one C stack frame a level.
    deep = contexts.get("a").namespace.pop("deep")
    while deep:
        deep = deep[0]


# ---- What cannot be saved -----------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import threading; v = threading.Lock()", "cannot pickle '_thread.lock' object"),
        ("import threading; v = threading.Thread()", "cannot pickle '_thread.lock' object"),
        ("v = (i for i in [])", "cannot pickle 'generator' object"),
        ("v = open('/dev/null')", "cannot pickle an open file ('/dev/null')"),
        (
            "v = open('/dev/null', 'rb')",
            "cannot pickle 'BufferedReader' instances"
            if sys.version_info[:2] == (3, 12)
            else "cannot pickle '_io.BufferedReader' object",
        ),
        ("import socket; v = socket.socket()", "cannot pickle 'socket' object"),
        ("import sqlite3; v = sqlite3.connect(':memory:')",
         "cannot pickle 'sqlite3.Connection' object"),
        ("class Bad:\n  def __reduce__(self): raise SystemExit(3)\nv = Bad()",
         "SystemExit: 3"),
        ("class Bad:\n  def __reduce__(self): raise RecursionError\nv = Bad()",
         "it is nested too deeply for a pickle"),
        ("class Bad:\n  def __reduce__(self): raise ValueError('no\\n way')\nv = Bad()",
         "ValueError: no way"),
        ("import threading\nl = threading.Lock()\ndef v(a=l): pass\ndel l",
         "cannot pickle '_thread.lock' object"),
    ],
)  # fmt: skip
def test_save_lists_what_cannot_be_saved(code: str, reason: str, live: None) -> None:
    """It is reported with its reason, also later, and never stops the rest."""
    run(code + "\nkept = 5")

    report = snapshot.save("a", "s")
    run("v.close() if hasattr(v, 'close') else None")
    snapshot.restore("s", context="b")

    assert [("v", reason)] == [(one.name, one.reason) for one in report.skipped]
    assert [("v", reason)] == [
        (one.name, one.reason) for one in snapshot.describe("s").skipped
    ]
    assert 5 == get("kept")


def test_save_survives_values_that_answer_no_question(live: None) -> None:
    """A value whose every attribute raises, and a name that is no text, stop nothing."""
    run(
        "class Hostile:\n"
        "  def __getattribute__(self, name): raise SystemExit(name)\n"
        "  def __repr__(self): raise SystemExit\n"
        "  @property\n"
        "  def __class__(self): raise SystemExit\n"
        "h = Hostile()\n"
        "x = 1\n"
        "from unittest.mock import MagicMock\n"
        "mock = MagicMock()\n"
    )
    contexts.get("a").namespace["\ud800"] = 1

    report = snapshot.save("a")
    snapshot.describe(context="a")

    assert {"x", "Hostile", "MagicMock"} <= {one.name for one in report.saved}
    assert {"h", "\\ud800"} <= {one.name for one in report.skipped}


def test_save_lists_who_holds_what_cannot_be_saved(live: None) -> None:
    """A function that holds one is listed; who only calls it by name is saved."""
    run(
        "import threading\n"
        "lock = threading.Lock()\n"
        "def holder(l=lock): return l\n"
        "def user(): return holder\n"
        "table = [holder]\n"
    )

    report = snapshot.save("a")

    assert {"lock", "holder", "table"} == {one.name for one in report.skipped}
    assert {"threading", "user"} == {one.name for one in report.saved}


def test_interrupt_while_saving_is_no_reason(live: None) -> None:
    """Ctrl-C ends the save; nothing is stored then."""
    run("class Slow:\n  def __reduce__(self): raise KeyboardInterrupt\nv = Slow()")

    with pytest.raises(KeyboardInterrupt):
        snapshot.save("a")

    assert [] == snapshot.contexts()


# ---- Mask, length, names ------------------------------------------------------------


@pytest.mark.parametrize(
    ("mask", "names"),
    [
        ("*", "A ab abc b f m"),
        ("", ""),
        (" ab , b", "ab b"),
        ("a*", "ab abc"),
        ("a?", "ab"),
        ("A", "A"),
        (",,b,,", "b"),
        ("m,f", "f m"),
        ("[ab]*", ""),
    ],
)
def test_mask_means_names_of_all_kinds(mask: str, names: str, live: None) -> None:
    """A comma list with * and ?, trimmed, case-sensitive, for save and restore."""
    run("import math as m\nab = abc = b = 1\nclass A: pass\ndef f(): pass")
    whole = snapshot.save("a")

    part = snapshot.save("a", mask=mask)
    back = snapshot.restore(whole.id, mask, context="b")

    assert names.split() == sorted(one.name for one in part.saved)
    assert names.split() == sorted(one.name for one in back.restored)
    assert [] == part.skipped


def test_max_length_counts_the_pickle_with_its_buffers(live: None) -> None:
    """What is longer is listed; 0 is no limit."""
    run("import numpy as np\nsmall = 'x'\nlarge = np.zeros(100_000)\ntext = 'y' * 5000")

    report = snapshot.save("a", max_length=3000)

    assert {"np", "small"} == {one.name for one in report.saved}
    assert {"large", "text"} == {one.name for one in report.skipped}
    assert "its pickle has more than 3000 bytes, which is the max_length" == (
        report.skipped[0].reason
    )
    assert 800_000 < next(
        one.size for one in snapshot.save("a").saved if one.name == "large"
    )


def test_snapshot_is_found_by_number_and_by_name(live: None) -> None:
    """A name means the newest snapshot that has it; without one it is the context's."""
    run("x = 1")
    first = snapshot.save("a")
    run("x = 2")
    second = snapshot.save("a")

    snapshot.restore("a", context="b")
    snapshot.restore(first.id, context="c")

    assert (2, 1) == (get("x"), get("x", "c"))
    assert [second.id, first.id] == [one.id for one in snapshot.contexts()]
    with pytest.raises(UnknownSnapshot, match="there is no saved context 'nix'"):
        snapshot.restore("nix")


def test_save_touches_nothing_and_leaves_no_names(live: None) -> None:
    """After save, describe and restore a context has the user's names only."""
    run("import math\nx = [1]\ndef f(): return x")
    before = dict(contexts.get("a").namespace)

    report = snapshot.save("a")
    snapshot.describe(context="a")
    snapshot.restore(report.id, context="b")

    assert before == contexts.get("a").namespace
    fresh = set(contexts.get("c").namespace)
    assert {"math", "x", "f"} == set(contexts.get("b").namespace) - fresh


# ---- Restoring ----------------------------------------------------------------------


def test_restore_overwrites_and_clear_drops_the_rest(live: None) -> None:
    """Without clear other names stay; with it they go."""
    run("x = 1")
    number = snapshot.save("a").id
    run("x = 5\nother = 6", "b")

    snapshot.restore(number, context="b")
    assert (1, 6) == (get("x"), get("other"))

    snapshot.restore(number, clear=True, context="b")
    assert "other" not in contexts.get("b").namespace


BROKEN = (
    "import sys\n"
    "class Picky:\n"
    "  def __init__(self): self.a = 1\n"
    "  def __setstate__(self, state):\n"
    "    if hasattr(sys, '_refuse'): raise ValueError('refused')\n"
    "x = 1\n"
    "picky = Picky()\n"
    "z = 3\n"
)


def test_failed_restore_leaves_the_context_as_it_was(
    live: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With strict, the default, it is all or nothing, clear included."""
    run(BROKEN)
    number = snapshot.save("a").id
    run("x = 5\nother = [6]\nimport json as sys", "b")
    before = list(contexts.get("b").namespace.items())
    monkeypatch.setattr(sys, "_refuse", True, raising=False)

    with pytest.raises(
        BadArgument, match="'picky' cannot be restored: ValueError: ref"
    ):
        snapshot.restore(number, clear=True, context="b")

    assert before == list(contexts.get("b").namespace.items())


def test_restore_without_strict_lists_what_fails(
    live: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is restored."""
    run(BROKEN)
    number = snapshot.save("a").id
    monkeypatch.setattr(sys, "_refuse", True, raising=False)

    report = snapshot.restore(number, strict=False, context="b")

    assert [("picky", "ValueError: refused")] == [
        (one.name, one.reason) for one in report.skipped
    ]
    assert (1, 3) == (get("x"), get("z"))


def test_restored_hooks_find_functions_and_modules(live: None) -> None:
    """An object that needs a function of the context to be made finds it."""
    there_and_back(
        "import math\n"
        "def half(v): return math.floor(v / 2)\n"
        "class C:\n"
        "  def __init__(self, v): self.v = v\n"
        "  def __reduce__(self): return (C, (half(self.v),))\n"
        "c = C(9)\n"
    )

    assert 4 == get("c").v


def test_missing_module_is_named(live: None, tmp_path: Path) -> None:
    """A module that is no longer there fails by its name; the rest can be had."""
    (tmp_path / "gone_module.py").write_text("v = 1")
    run(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport gone_module\nx = 1")
    number = snapshot.save("a", mask="gone_module,x").id
    sys.path.remove(str(tmp_path))
    del sys.modules["gone_module"]

    with pytest.raises(BadArgument, match="No module named 'gone_module'"):
        snapshot.restore(number, context="b")
    report = snapshot.restore(number, strict=False, context="b")

    assert ["gone_module"] == [one.name for one in report.skipped]
    assert 1 == get("x")


def test_tracebacks_of_restored_functions_show_the_source(live: None) -> None:
    """The text goes with the function."""
    there_and_back("def f():\n  return 1 / 0  # here\n")
    contexts.get("a").namespace.clear()

    with pytest.raises(ZeroDivisionError) as caught:
        main.execute_code("f()", context="b")

    assert "# here" in "".join(traceback.format_exception(caught.value))


# ---- Display ------------------------------------------------------------------------


def test_display_has_the_layout_of_the_gateway(live: None) -> None:
    """Mended: functions and classes of the live context too, nothing stored by it."""
    run(
        "import math as m\n"
        "from os import path as p\n"
        "x = 'y' * 200\n"
        "def f(a, b=2):\n  'adds'\n"
        "class C:\n  'a class'\n"
    )

    text = snapshot.describe(context="a").text()
    snapshot.save("a", "a", description="d")
    stored = snapshot.describe("a")

    assert text.splitlines()[5:] == stored.text().splitlines()[5:]
    assert [
        "Name: a",
        "Description: d",
        f"CreatedOn: {stored.created}",
        "Modules:",
        "    math as m",
        "    posixpath as p",
        "Variables:",
        "    Name: x",
        "    Type: str",
        "    Value (truncated): '" + "y" * 99,
        "",
        "Functions:",
        "    f(a, b=2) - adds",
        "    class C() - a class",
    ] == stored.text().splitlines()
    assert stored.text() == snapshot.describe("a").text()


def test_describe_survives_a_repr_that_fails(live: None) -> None:
    """The user's code may do anything; the description goes on."""
    run("class C:\n  def __repr__(self): raise SystemExit\nc = C()\nx = 1")

    found = snapshot.describe(context="a")

    assert ["c", "x"] == [one.name for one in found.variables]
    assert "repr failed" in found.variables[0].repr
