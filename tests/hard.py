"""A module with all that makes it hard to wrap, as text."""

from __future__ import annotations

__all__ = ["HARD"]

HARD = '''
"""A module */ that is /* hard\\0 to "wrap"\u202e; \'it\'\'s"""
import functools, json, warnings
from functools import partial
from json import dumps

def plain(a, b=1, /, c=2, *args, d, e=None, **kwargs):
    """Ends a comment: */ --> and \\\\"""

def _hidden(): pass
def trailing_(): pass
def nothing(): return None
def Nothing(): return 1
def printf(register, int, session, result, linux, default=3): return locals()
def größe(straße): return straße * 2
def callable_default(f=lambda: 1, g=object()): pass
wide = eval("lambda " + ", ".join(f"a{i}" for i in range(130)) + ": a129")
many = eval("lambda " + ", ".join(f"a{i}=0" for i in range(60)) + ": a59")
other = plain
aliased = property
LIMIT = 3
_LIMIT = 4

class Base:
    """A base."""
    size = 1
    def __init__(self, x, *, y=2): self.x, self.y = x, y
    def inherited(self): return self.x
    @property
    def hot(self): raise RuntimeError("a property was read")
    @classmethod
    def made(cls, x): return cls(x)
    @staticmethod
    def fixed(x=1): return x
    @functools.cached_property
    def cached(self): raise RuntimeError("a property was read")
    def _private(self): pass
    class Inner: pass
    def __eq__(self, other): return True
    __hash__ = None

class Derived(Base):
    def own(self, self_=1): return self.y

class Meta(type):
    def __call__(cls, *args): raise RuntimeError("a class was called")
class Odd(metaclass=Meta):
    __signature__ = 5
    def __init__(self, x): pass

class Broken(Exception):
    """An exception."""
    def more(self): return 1

def __getattr__(name):
    if name == "lazy":
        return len
    if name == "old":
        warnings.warn("old is deprecated", DeprecationWarning)
        return len
    if name == "broken":
        raise RuntimeError("not today")
    raise AttributeError(name)

def __dir__():
    return [*globals(), "lazy", "old", "broken", "not a name", "class"]
'''
