"""Runs the simulation of the tree it stands in, seed by seed, until one shows a problem; says which, and what."""

import sys

from simulation.run import run_many

STEPS = 200


def main(count: int, known: set[int], *, is_whole: bool) -> None:
    """Print `seed: properties: problem` for the first seed with a problem that is not known; `is_whole`: for each."""
    for chunk in run_many(range(count), STEPS, 1):
        for result in chunk:
            if result.problems and result.seed not in known:
                properties = sorted({problem.split()[0] for problem in result.problems})
                print(f"seed {result.seed}: {', '.join(properties)}", repr(result.problems[0]), sep="\t", flush=True)
                if not is_whole:
                    return


if __name__ == "__main__":
    main(int(sys.argv[1]), {int(each) for each in sys.argv[3:]}, is_whole=sys.argv[2] == "all")
