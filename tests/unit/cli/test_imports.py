"""`cos --help` imports what it needs to list the commands, and none of what the commands need."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cli.app import COMMANDS
from cli.lazy import Entry

TELL = """
import json, sys
before = set(sys.modules)
from cli.app import main
sys.argv = ["cos", {words}]
try:
    main()
except SystemExit:
    pass
print(json.dumps(sorted(set(sys.modules) - before)), file=sys.stderr)
"""
ROOMS = {
    *("acb", "cli", "cos_party", "duis", "ecos_party", "gbcs", "keys", "meter_sim", "probe"),
    *("services", "stack", "tamper", "tcos_party"),
}
COSTLY = {
    *("aiohttp", "cryptography", "fastapi", "httpx", "lxml", "signxml", "sqlalchemy", "starlette"),
    *("structlog", "uvicorn"),
}
OURS = {
    "cli",
    "cli.app",
    "cli.console",
    "cli.lazy",
    "cli.options",
    "keys",
    "keys.errors",
    "stack",
    "stack.errors",
}


@pytest.mark.parametrize("words", ["'--help'", "'--version'", "'no-such-command'"])
def test_only_the_command_line_is_imported(words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TELL.format(words=words)], capture_output=True, text=True, check=True
    )
    imported = json.loads(done.stderr.splitlines()[-1])
    assert {name for name in imported if name.split(".")[0] in ROOMS} == OURS
    assert {name.split(".")[0] for name in imported} & COSTLY == set()


@pytest.mark.parametrize("entry", COMMANDS, ids=[entry.name for entry in COMMANDS])
def test_each_command_is_where_the_table_says(entry: Entry) -> None:
    assert entry.where.split(".")[0] in {"cli", "probe"}  # no way round the walls by a string
    loaded = entry.load()
    assert loaded.name == entry.name
    assert loaded.get_short_help_str(10_000)
