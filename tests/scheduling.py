"""Which tests run in one process of pytest-xdist: those of a file, and those that share a stack.

pytest-xdist's own `loadgroup` sends every test without a group by itself, so each process makes the
fixtures of every module; and with pytest 9.2 it forgets groups without a word, so that each process
starts every stack (pytest-xdist issue 1386). Here a group is what a file's `pytestmark` says.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parent.parent
GROUP = re.compile(r'^pytestmark = [^@]*?xdist_group\("([\w-]+)"\)', re.MULTILINE)


@cache
def group_of(file: str) -> str:
    """The group that a file names, else the file."""
    named = GROUP.search((ROOT / file).read_text(encoding="utf-8"))
    return named[1] if named else file


class ByGroup(LoadScopeScheduling):
    """One unit of work for each group, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid.partition("::")[0])
