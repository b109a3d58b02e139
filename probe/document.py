"""docs/attacks.md: how much attackers have, what each check holds, what is not attacked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from probe.catalogue import NOT_RUN, sample
from probe.matrix import Repeats
from probe.model import RUNGS, Attack, Rung
from probe.world import COS

Check = Mapping[str, str]
"""One check of one party: `party`, `id`, `title`."""


def document(attacks: Sequence[Attack], lines: Repeats, checks: Sequence[Check]) -> str:
    """The same for the same attacks and behaviour, whenever it is made."""
    held: dict[tuple[str, str], list[Attack]] = defaultdict(list)
    for attack in attacks:
        if attack.expected is not None and attack.id in lines:
            held[attack.expected.party, attack.expected.check].append(attack)
    rows = {(c["party"], c["id"]): _row(held[c["party"], c["id"]], lines) for c in checks}
    return "\n".join([
        *_head(attacks), *_matrix(rows), *_untested([key for key, row in rows.items() if not row]),
        "",
    ])  # fmt: skip


def _head(attacks: Sequence[Attack]) -> list[str]:
    out = [
        "# Attacks, and which check holds what",
        "",
        "Made by `cos probe matrix`; do not edit. `cos probe matrix --check` says whether it is",
        f"current. There are {len(attacks):,} attacks: `cos probe list` shows each, with `--json`",
        "also what the attacker holds and the requirement.",
        "",
        "TCoS and ECoS run the same code. So `cos probe` runs the whole catalogue against ECoS,",
        "and of what would be the same at TCoS the first attack of each family, check and rung:",
        f"{len(sample(attacks)):,} attacks. `cos probe --all` runs every one; so does the matrix.",
        "",
        "## Rungs",
        "",
        "| rung | the attacker has | attacks |",
        "|---|---|---|",
    ]
    for rung, title in RUNGS.items():
        count = sum(a.rung is rung for a in attacks)
        shown = "every refused attack, again" if rung is Rung.CHECK_OFF else str(count)
        out.append(f"| {int(rung)} | {title} | {shown} |")
    out += ["", "## What is not attacked here, and why", ""]
    out += [f"- **{what}**: {' '.join(why.split())}" for what, why in NOT_RUN]
    return [*out, ""]


Row = tuple[int, int, tuple[str, ...]]
"""How many attacks a check refuses, how many get through without it, who refuses the others."""


def _row(held: Sequence[Attack], lines: Repeats) -> Row | None:
    if not held:
        return None
    through = sum(lines[a.id] is None for a in held)
    return len(held), through, tuple(sorted({r.check for a in held if (r := lines[a.id])}))


def _matrix(rows: Mapping[tuple[str, str], Row | None]) -> list[str]:
    out = [
        "## The matrix",
        "",
        "One line per check: how many attacks it refuses, how many of them get through when it is",
        "off, and who refuses the others then. (Order decides: with a check off, only what that",
        "check refused can end otherwise.) Where a check stands behind itself, nothing can be made",
        "of such octets: there is nothing to go on with, on or off. Where nothing gets through,",
        "others stand behind the check (defence in depth). `cos.` stands for `tcos.` and `ecos.`",
        "where both CoS Parties' lines are the same.",
        "",
        "| party | check | refuses | get through without it | still refused by |",
        "|---|---|---|---|---|",
    ]
    shared = {key for key in rows if key[0] in COS.values() and _same(rows, key[1])}
    for (party, check), row in rows.items():
        if row is None or (party == COS["ecos"] and (party, check) in shared):
            continue
        both = (party, check) in shared
        whose, short = (", ".join(COS.values()), _of_both) if both else (party, _as_it_is)
        refuses, through, behind = row
        names = ", ".join(f"`{name}`" for name in sorted({short(b) for b in behind})) or "-"
        out.append(f"| {whose} | `{short(check)}` | {refuses} | {through} | {names} |")
    return [*out, ""]


def _same(rows: Mapping[tuple[str, str], Row | None], check: str) -> bool:
    """Whether the lines of both CoS Parties say the same."""

    def told(whose: str, name: str) -> object:
        row = rows.get((whose, name))
        return row and (*row[:2], sorted({_of_both(b) for b in row[2]}))

    tcos, ecos = COS["tcos"], COS["ecos"]
    name = _of_both(check)
    at_tcos = told(tcos, name.replace("cos.", "tcos.", 1) if name != check else name)
    at_ecos = told(ecos, name.replace("cos.", "ecos.", 1) if name != check else name)
    return at_tcos == at_ecos


def _as_it_is(check: str) -> str:
    return check


def _of_both(check: str) -> str:
    cos, _, rest = check.partition(".")
    return f"cos.{rest}" if cos in COS else check


def _untested(checks: Sequence[tuple[str, str]]) -> list[str]:
    out = ["### Untested here", "", "No attack of this bench is refused by them first.", ""]
    by_party: dict[str, list[str]] = defaultdict(list)
    for party, check in checks:
        by_party[party].append(f"`{check}`")
    return out + [f"- {party}: {', '.join(names)}" for party, names in by_party.items()]
