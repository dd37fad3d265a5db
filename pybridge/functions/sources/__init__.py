"""Sources: the code of a function, checked at creation and fetched for a run.

`code` comes before `base64`, and that before `code_src`. What lies on this machine is
taken along at creation; what lies elsewhere is fetched when it runs. Either way it
becomes a tree: a read-only directory in the store's cache, named by its content.
"""

from __future__ import annotations

from pybridge.functions.sources.checking import check
from pybridge.functions.sources.fetching import Tree, fetch, needs

__all__ = ["Tree", "check", "fetch", "needs"]
