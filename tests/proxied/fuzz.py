"""Fuzzes what strangers send, and prints the counts: `python tests/proxied/fuzz.py --inputs 1000000 [--seed N]`.

A million inputs are a million signatures and 200,000 of everything else. A wrong answer ends it with the seed and the
number of the input.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

sys.path.extend(str(Path(__file__).parents[1] / folder) for folder in ("proxied", "support", "http", ".."))

from targets import SHARES, TARGETS, Target
from wrong import Wrong


def tried(kind: type[Target], inputs: int, seed: int) -> Counter[str]:
    """Give a target its inputs; return how often each answer was given."""
    return run(kind(Random(f"{kind.name} {seed}")), inputs, seed)


def run(target: Target, inputs: int, seed: int) -> Counter[str]:
    """Run a target that was made; raise `Wrong` with what is needed to see it again."""
    answers: Counter[str] = Counter()
    for number in range(inputs):
        try:
            answers[target.once()] += 1
        except Exception as error:
            raise Wrong(f"{target.name}, seed {seed}, input {number}: {type(error).__name__}: {error}") from error
    return answers


def main() -> int:
    """Run all targets; exit code 1 when one answered wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    failed = False
    for kind in TARGETS:
        inputs, started = int(arguments.inputs * SHARES[kind.name]), time.monotonic()
        try:
            answers = tried(kind, inputs, arguments.seed)
        except Wrong as wrong:
            failed = True
            print(f"{kind.name:>10}  WRONG: {wrong}", flush=True)
        else:
            said = ", ".join(f"{answer} {count:,}" for answer, count in answers.most_common())
            print(
                f"{kind.name:>10}  {inputs:,} inputs in {time.monotonic() - started:.0f} s, 0 wrong: {said}", flush=True
            )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
