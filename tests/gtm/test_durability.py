"""Journals, transactions, crashes, users, many calls: the database stays whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from pybridge.gtm.install import install
from tests.gtm.conftest import M, execute, mupip

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = "$pybridge_gtm/database.dat"
NOBODY = 65534

# Run a command as nobody, who sees the Python of this environment though it may be in a
# folder that is root's alone.
_VISIBLE = f"""
if ! setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups test -x "$1"; then
  top=/$(echo "$1" | cut -d/ -f2)
  kept=$(mktemp -d)
  mount --bind "$1" "$kept"
  mount -t tmpfs -o mode=755 none "$top"
  mkdir -p "$1"
  mount --bind "$kept" "$1"
  umount "$kept"
  rmdir "$kept"
fi
shift
exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups "$@"
"""


def test_frames_take_part_in_a_transaction_of_m(m: M) -> None:
    """A frame sees what the transaction has set, and is dropped with it."""
    printed = m.run(f"""
set ^p(1)="a"
{execute("import pandas as pd; df = pd.DataFrame({'x': [7, 8]})")}
tstart ():serial
set ^p(2)="b"
set sc=$$ExecuteGlobal^pybridge("^p","seen",,,,,,,.n) write n,!
set sc=$$WriteGlobal^pybridge("df","^w") write sc,$data(^w(2)),!
set o("atomic")=1,sc=$$WriteGlobal^pybridge("df","^w",,"append",.o) write sc,$tlevel,!
trollback
write $data(^p(2)),$data(^w),!
""")

    assert "2\n11\n11\n00\n" == printed


def test_restart_of_a_transaction_does_not_double_rows(m: M) -> None:
    """Where another process comes between, GT.M runs the transaction once more."""
    m.routine("other", "set ^p(1)=^p(1)+1,^other=1")
    printed = m.run(f"""
set ^p(1)=1,^p(2)=2
{execute("import pandas as pd; df = pd.DataFrame({'x': [7, 8, 9]})")}
set runs=0
tstart (o):serial
set runs=runs+1,x=^p(1),o("atomic")=1
set sc=$$ExecuteGlobal^pybridge("^p","seen",,,,,,,.n)
set sc=$$WriteGlobal^pybridge("df","^w",,"append",.o)
if $trestart=0 zsystem "mumps -run other"
set ^p(3)=3
tcommit
write runs>1,n,x," ",$order(^w(""),-1),!
""")

    assert "122 3\n" == printed


@pytest.mark.parametrize("atomic", [True, False])
def test_kill_in_the_middle_of_a_write_leaves_a_whole_database(
    m: M, atomic: bool
) -> None:
    """With a journal; where one transaction was asked for nothing is half written."""
    said = mupip(m, "set -journal=enable,on,before -region DEFAULT")
    assert "JNLSTATE" in said
    rows = 3000 if atomic else 10**6
    # The rows come slowly, so that it is in their middle that the process ends.
    program = m.begin(f"""
set ^w(0)="old"
{
        execute(f'''
import pyarrow as pa, time
def rows():
    yield pa.record_batch({{'x': list(range({rows // 2}))}})
    print('go', end='', flush=True)
    time.sleep(60)
    yield pa.record_batch({{'x': list(range({rows // 2}))}})
schema = pa.schema([('x', pa.int64())])
df = pa.RecordBatchReader.from_batches(schema, rows())''')
    }
set o("atomic")={int(atomic)}
set sc=$$WriteGlobal^pybridge("df","^w",,"append",.o) write sc,!
""")
    program.send_signal(signal.SIGKILL)
    program.communicate(timeout=60)

    recovered = mupip(m, "journal -recover -backward $pybridge_gtm/database.mjl")
    assert "%GTM-S-JNLSUCCESS" in recovered, recovered

    assert "No errors detected" in mupip(m, f"integ -file {FILE}")
    last = m.run('write $order(^w(""),-1),^w(0)').strip()
    assert ("0old" == last) if atomic else (0 < int(last.removesuffix("old")) < rows)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """Return a folder whose parents everybody may enter."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


def test_another_user_has_python_in_a_database_of_his_own(open_path: Path) -> None:
    """Nothing of it wants the rights of root."""
    m = M(install(open_path))
    words = []
    if os.geteuid() == 0:
        words = ["unshare", "-m", "/bin/sh", "-ec", _VISIBLE, "sh", sys.base_prefix]
        for path in (open_path, *open_path.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    m.routine(
        "test",
        f"""
{execute("import os, pandas as pd; df = pd.DataFrame({'x': [7, 8]})")}
set sc=$$WriteGlobal^pybridge("df","^w") write sc,!
set sc=$$ExecuteGlobal^pybridge("^w","back",,,,,,,.n) write sc,n,!
{execute("print(os.getuid() != 0)")}
""",
    )

    done = subprocess.run(
        [*words, *m.start("mumps -run test", {"HOME": str(open_path)})],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ("1\n12\nTrue\n", "") == (done.stdout, done.stderr)


def test_many_calls_leave_nothing(m: M) -> None:
    """Neither memory nor what the library keeps grows with calls of all kinds."""
    m.routine(
        "round",
        """
for i=1:1:n do
. set sc=$$ExecuteCode^pybridge("x="_(i#97))
. set sc=$$Evaluate^pybridge("[x]*9","json",.r)
. set p(1)=i,sc=$$ExecuteFunction^pybridge("f",.p,,,,.r)
. set sc=$$SetVariable^pybridge("v",$justify("",i#500))
. set sc=$$GetVariable^pybridge("v",,.r),sc=$$Evaluate^pybridge("1/0",,.r)
. set sc=$$Evaluate^pybridge("nested()",,.r)
. if i#20=0 set sc=$$ExecuteGlobal^pybridge("^s","df")
. if i#20=1 set sc=$$WriteGlobal^pybridge("df","^t",,"replace")
""",
    )
    printed = m.run(f"""
{
        execute('''
import gc, resource
from pybridge import _plane
from pybridge.host import globals as g
def f(a): return a
def nested():
    g.xecute('set z=$$ExecuteCode^pybridge("y=1")')
    return g['^s'][1]
def state():
    gc.collect()
    size = [l for l in open('/proc/self/status') if l.startswith('VmRSS')][0]
    return _plane.live(), int(size.split()[1])''')
    }
set ^s(1)="a^1",^s(2)="b^2",sc=$$ExecuteGlobal^pybridge("^s","df") write:'sc sc
set n={MANY // 4} do ^round
{execute("before = state()")}
set n={MANY} do ^round write sc,!
{execute("after = state()")}
{execute("print(after[0] <= before[0], after[1] - before[1] < 4096)")}
{execute("print(after[1] - before[1] if not after[1] - before[1] < 4096 else '')")}
""")

    assert "1\nTrue True\n\n" == printed


# Rounds, each of seven calls and more; by hand it was ten times as many.
MANY = 1500
