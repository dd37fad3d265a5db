"""Globals from Python: a mapping of subscripts, transactions, locks, M's errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.gtm.conftest import M


def python(m: M, code: str, before: str = "", after: str = "") -> str:
    """Run Python code in M; `g` is the mapping of globals, `p` is ^person."""
    lines = [
        "from pybridge.host import globals as g",
        "p = g['^person']",
        *code.split("\n"),
    ]
    fed = "\n".join(
        f'set code({i})="{line.replace(chr(34), chr(34) * 2)}"_$char(10)'
        for i, line in enumerate(lines, 1)
    )
    return m.run(f"""
{before}
{fed}
set sc=$$ExecuteCode^pybridge(.code) write:'sc sc,!
{after}
""")


def test_nodes_are_set_read_and_killed(m: M) -> None:
    """A subscript or several; values come as what M holds."""
    printed = python(
        m,
        """p[1] = 'Ada^1815'; p[1, 'city'] = 'Lon\\x00"don'; p['x'] = .25; p[-2.5] = 10
p['ü'] = b'\\xff'; p['n'] = None; p['b'] = True
print(p[1], p[1, 'city'] == 'Lon\\x00"don', p['x'], p[-2.5], p['ü'])
print(repr(p['n']), p['b'])
del p['b'], p['n'], p[1]
print('b' in p, p.get('b'), list(p), dict(p.items()))""",
        after="zwrite ^person",
    )

    assert (
        "Ada^1815 True 0.25 10 b'\\xff'\n'' 1\n"
        "False None [-2.5, 'x', 'ü'] {-2.5: 10, 'x': 0.25, 'ü': b'\\xff'}\n"
        "^person(-2.5)=10\n"
        '^person("x")=.25\n'
        '^person("ü")=$C(255)\n'
    ) == printed


def test_levels_are_walked(m: M) -> None:
    """node, value, data, order, length: as M has them."""
    printed = python(
        m,
        """n = p.node(1)
print(n, n.value, n.data(), list(n), len(p), p.data(1), p.data(2), p.data(3))
print(p.order(), p.order(1), p.order(2), p.order(reverse=True))
n.value = 5; n.node('a').kill(); print(n.value, n.data(), sorted(g))""",
        before='set ^person(1)="v",^person(1,"a")=1,^person(2,"b")=2,^z=1',
    )

    assert (
        "<^person(1)> v 11 ['a'] 2 11 10 0\n1 2  2\n5 1 ['^person', '^z']\n" == printed
    )


def test_numbers_are_written_as_m_does(m: M) -> None:
    """A number from Python is the same subscript and value as M's own."""
    printed = python(
        m,
        """from decimal import Decimal as D
p[0.5] = 1e20; p[D('2.50')] = D('-0.10'); p[10**20] = 2**62; p[1e-3] = 1e-10""",
        after="""zwrite ^person
write ^person(.5)=1E20,^person(2.5)=-.1,^person(.001)=1E-10,!""",
    )

    assert printed.endswith("\n111\n")


def test_increment_and_lock(m: M) -> None:
    """$increment and a lock that is given back."""
    printed = python(
        m,
        """print(p.increment(1), p.increment(1, 2), p.increment((1, 'n'), .5))
with p.lock(1, timeout=1): print(g.evaluate("$zlkid") != '' or 'locked')
""",
        after='zshow "L"',
    )

    assert printed.startswith("1 3 0.5\n")
    assert "LOCK ^person" not in printed


def test_transaction_is_all_or_nothing(m: M) -> None:
    """Writes of a block are one transaction; an exception drops them."""
    printed = python(
        m,
        """with g.transaction():
    p[1] = 'a^b:c'; p[2] = 'ü'; p[3] = 1; del p['old']
    print(list(p))
print(dict(p.items()))
try:
    with g.transaction():
        p[4] = 1
        raise ValueError
except ValueError: print(4 in p)
try:
    with g.transaction():
        p[5] = 1; p[''] = 2
except Exception as e: print(type(e).__name__, 5 in p)""",
        before='set ^person("old")=1',
    )

    assert "['old']\n{1: 'a^b:c', 2: 'ü', 3: 1}\nFalse\nHostError False\n" == printed


def test_errors_of_m_have_their_status(m: M) -> None:
    """An M error is a HostError with $ZSTATUS; a missing node is a KeyError."""
    printed = python(
        m,
        """from pybridge.errors import BadArgument, HostError
for code in ('set x=1/0', 'set x=', 'do ^nowhere', 'set $etrap="" zmessage 150373850'):
    try: g.xecute(code)
    except HostError as e: print(str(e).split('%')[1].split(',')[0])
try: p['none']
except KeyError as e: print('KeyError', e)
for bad in ('a b', '^', '1x', '^x(1)'):
    try: g[bad]
    except BadArgument as e: print('BadArgument')
try: p[[1]]
except BadArgument as e: print(e)
try: p[1] = [1]
except BadArgument as e: print(e)""",
    )

    assert (
        "GTM-E-DIVZERO\nGTM-E-EXPR\nGTM-E-ZLINKFILE\nGTM-E-UNDEF\nKeyError 'none'\n"
        "BadArgument\nBadArgument\nBadArgument\nBadArgument\n"
        "a subscript is text or a number, not list\n"
        "M has no value for an object of type list; make it text or a number\n"
    ) == printed


def test_m_cannot_be_called_in_a_transaction(m: M) -> None:
    """What GT.M forbids is a clear error beforehand, and the transaction lives."""
    printed = python(
        m,
        "print(1, end='')\np[1] = 2",
        before="tstart ():serial",
        after="write $tlevel,! trollback",
    )

    assert "1" == printed[0]
    assert "M cannot be called inside a transaction" in printed
    assert printed.endswith("\n1\n")


def test_calls_within_each_other_end_in_an_error(m: M) -> None:
    """M and Python that call each other stop at GT.M's limit, with a clear error."""
    printed = python(
        m,
        """def down(n):
    g.xecute('set ^depth=' + str(n))
    g.xecute(f'set sc=$$ExecuteCode^pybridge("down({n + 1})") if \\'sc set ^error=sc')
down(1)""",
        after='write ^depth," ",^error["GT.M\'s limit",!',
    )

    assert printed.endswith("10 1\n")
