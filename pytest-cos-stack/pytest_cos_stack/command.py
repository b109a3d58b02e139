"""The `cos` command as a process of its own, which nothing of the project under test can enter.

It is never imported: it may live in another virtual environment, and its packages may be called
what the tested project's are called. So it gets no `PYTHONPATH`, no user site-packages and no
working folder that somebody else has modules in; the systems that it starts inherit that.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pytest_cos_stack.errors import CosError

TIMEOUT = 300.0  # seconds: the first start makes every key
VARIABLE = "COS_COMMAND"


@dataclass(frozen=True)
class Cos:
    """A `cos` executable."""

    executable: str

    def run(self, *arguments: str, data: Path, stdin: bytes = b"") -> bytes:
        """Run a command on a data folder; its standard output.

        Raises:
            CosError: it failed: with what it said.
        """
        try:
            done = subprocess.run(  # noqa: S603 - the executable is the tester's own choice
                [self.executable, *arguments, "--data", str(data)],
                input=stdin, capture_output=True, check=False, timeout=TIMEOUT,
                cwd=data if data.is_dir() else data.parent, env=isolated(),
            )  # fmt: skip
        except OSError as error:
            raise CosError(f"{self.executable} cannot be run: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise CosError(f"cos {arguments[0]} did not end in {TIMEOUT:.0f} s") from error
        if done.returncode != 0:
            raise CosError(f"cos {' '.join(arguments)}: {_said(done)}")
        return done.stdout


def find_cos(named: str | None) -> Cos:
    """The `cos` to run: the one named, `COS_COMMAND`'s, the one beside this Python, or PATH's.

    Raises:
        CosError: there is none.
    """
    beside = Path(sys.executable).with_name("cos")
    for candidate in (named, os.environ.get(VARIABLE)):
        if candidate:
            found = shutil.which(candidate)
            if found is None:
                raise CosError(f"{candidate} is no executable")
            return Cos(str(Path(found).absolute()))
    found = shutil.which(str(beside)) or shutil.which("cos")
    if found is None:
        raise CosError(
            f"no cos command: install the stack, and name its cos by --cos-command or {VARIABLE}"
        )
    return Cos(str(Path(found).absolute()))


def isolated() -> dict[str, str]:
    """The environment without what would have Python import the tested project's modules."""
    kept = {
        name: value for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name not in {"COS_DATA", "COS_OUT"}
    }  # fmt: skip
    return kept | {"PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1"}


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    try:
        return str(json.loads(done.stdout)["error"])
    except (ValueError, KeyError, TypeError):
        text = (done.stderr or done.stdout).decode(errors="replace").strip()
        return text.removeprefix("error: ") or f"exit code {done.returncode}"
