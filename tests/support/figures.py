"""Runs a long suite and writes what it printed last into docs/figures.md: `figures.py NAME COMMAND [ARGUMENT...]`."""

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "figures.md"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def main(name: str, command: list[str]) -> int:
    """Run the command, show what it prints, and keep the last line of it in the row that has this name."""
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            last = COLOUR.sub("", line).strip(" =\n") or last
    row = f"| `{name}` | {_commit()} | {datetime.now(UTC):%Y-%m-%d} | {last.replace('|', '/')} |"
    lines = PAGE.read_text().splitlines()
    others = [line for line in lines if not line.startswith(f"| `{name}` |")]
    PAGE.write_text("\n".join([*others, row]) + "\n")
    return process.returncode


def _commit() -> str:
    """Return which commit ran; changes of the tree count, but for those of the page itself."""
    commit = _git("rev-parse", "--short", "HEAD") or "no commit"
    changed = _git("status", "--porcelain", "--", ".", f":!{PAGE.relative_to(ROOT)}")
    return f"{commit} and changes" if changed else commit


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
