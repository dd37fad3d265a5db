"""zpy in M: one line of Python, or the shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.terminals import CTRL_C, CTRL_D, Terminal

if TYPE_CHECKING:
    from tests.gtm.conftest import M


def test_zpy_runs_a_line_and_shows_its_value(m: M) -> None:
    """What the original's documentation shows; every expression has a value."""
    printed = m.run("""
do ^zpy("import random")
do ^zpy("x=random.random()")
do ^zpy("0 < x < 1")
do ^zpy("1 + 1")
do ^zpy("'a'")
do ^zpy("None")
do ^zpy("def f(a):"_$char(10)_"    return a*2"_$char(10,10)_"f(21)")
write "end",!
""")

    assert "True\n2\n'a'\n42\nend\n" == printed


def test_zpy_shows_an_error_with_the_users_line(m: M) -> None:
    """A failure is shown, and the next line works."""
    printed = m.run("""
do ^zpy("1/0")
do ^zpy("6*7")
""")

    assert printed.startswith("42\n")
    assert "    1/0\nZeroDivisionError: division by zero\n" in printed
    assert "pybridge/" not in printed


def test_shell_runs_on_the_terminal_of_m(m: M) -> None:
    """Do ^zpy opens the shell; leaving it gives the terminal back to M."""
    with Terminal(*m.start("mumps -direct")) as terminal:
        terminal.expect("GTM>")
        terminal.type("do ^zpy\r")
        terminal.expect(">>> ", 60)
        terminal.ask("x = 20")
        assert "23" == terminal.ask("x + 3")
        terminal.type(CTRL_D)
        terminal.expect("GTM>")
        terminal.type('do ^zpy("x*2") write "m",!\r')
        terminal.expect("40")
        terminal.expect("\nm")


def test_ctrl_c_interrupts_python_and_then_m(m: M) -> None:
    """Python code is interrupted and M lives; M's own Ctrl-C works as before."""
    with Terminal(*m.start("mumps -direct")) as terminal:
        terminal.expect("GTM>")
        terminal.type('set sc=$$ExecuteCode^pybridge("import pandas")\r')
        terminal.expect("\n")
        terminal.expect("GTM>", 60)
        code = 'print(10**6,flush=True)"_$c(10)_"while True: pass'
        terminal.type(f'set sc=$$ExecuteCode^pybridge("{code}") write sc,!\r')
        terminal.expect("1000000", 60)
        terminal.type(CTRL_C)
        terminal.expect("0^KeyboardInterrupt")
        terminal.expect("GTM>")
        terminal.type('write "g","o" for  set x=1\r')
        terminal.expect("go")
        terminal.type(CTRL_C)
        terminal.expect("CTRLC")
        terminal.expect("GTM>")
        terminal.type("write 6*7,!\r")
        terminal.expect("42")
