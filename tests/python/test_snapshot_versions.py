"""Snapshots under another Python than the one that has saved them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pybridge import context as contexts
from pybridge import main, snapshot
from tests.programs import ROOT
from tools.matrix import environment, pythons

if TYPE_CHECKING:
    from pathlib import Path

OWN = ".".join(map(str, sys.version_info[:2])) + "."
OTHERS = {name: path for name, path in pythons().items() if not name.startswith(OWN)}

CODE = """
import math as m, dataclasses, enum, functools, collections, typing
from math import sin as s
import numpy as np, pandas as pd
x = [1]
y = x
def f(a=2): return a + m.floor(1.5) + g()
def g(): return len(x)
def loud(fn):
  @functools.wraps(fn)
  def wrap(*args): return ('!', fn(*args))
  return wrap
@loud
def hello(v): return [w + v for w in (1, 2)]
def counter():
  n = 5
  def inc():
    nonlocal n
    n += 1
    return n
  return inc
inc = counter()
lams = [lambda v: v + 1, lambda v: v + 2]
class Base:
  made = 3
  def __init__(self, v): self.v = v
  def get(self): return self.v
class Sub(Base):
  def get(self): return super().get() * 2
  @property
  def twice(self): return self.get() * 2
@dataclasses.dataclass
class D:
  x: int = 5
class Color(enum.Enum):
  RED = 1
P = collections.namedtuple('P', 'a b')
class Q(typing.NamedTuple):
  a: int = 1
  def get(self): return self.a
one, two, d, red, p, q = Base(5), Sub([7]), D(), Color.RED, P(1, 2), Q()
df = pd.DataFrame({'a': np.arange(20_000), 's': ['x'] * 20_000})
"""
GENERATED = "exec(compile('def lost(): return 1', '<string>', 'exec'))\nheld = [lost]"
EXPRESSIONS = [
    "f() == 4 and s(0) == 0 and y is x",
    "hello(1) == ('!', [2, 3]) and hello.__name__ == 'hello'",
    "inc() == 6 and inc() == 7",
    "[one(1) for one in lams] == [2, 3]",
    "one.get() == 5 and type(one) is Base and Base.made == 3",
    "two.get() == [7, 7] and two.twice == [7, 7, 7, 7]",
    "d == D(5) and dataclasses.asdict(d) == {'x': 5}",
    "red is Color.RED",
    "p == (1, 2) and type(p) is P and q.get() == 1",
    "df.a.sum() == 199990000 and df.s[7] == 'x'",
]
PROGRAM = """
import json, sys
from pybridge import main, snapshot
report = snapshot.restore("s", context="r")
found = report.json()
found["failing"] = []
for one in json.loads(sys.stdin.read()):
    try:
        assert main.evaluate(one, context="r")
    except Exception as exc:
        found["failing"].append([one, repr(exc)])
print(json.dumps(found))
"""


@pytest.mark.parametrize("version", OTHERS)
def test_restore_under_another_python_compiles_sources_anew(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has a source works there; what has none is named, and stops nothing."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("PYBRIDGE_STORE", raising=False)
    contexts.reset()
    main.execute_code(CODE, context="v")
    main.execute_code(GENERATED, context="v")
    assert [] == snapshot.save("v", "s").skipped
    contexts.reset()

    done = subprocess.run(
        [str(environment(version, OTHERS[version])), "-c", PROGRAM],
        input=json.dumps(EXPRESSIONS),
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert "" == done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert [] == found["failing"]
    assert ["lost", "held"] == [one["name"] for one in found["skipped"]]
    assert "its source is not known; define it again" in found["skipped"][0]["reason"]
    assert any(
        f"this is {version}" in one and "without source: lost" in one
        for one in found["notes"]
    )
