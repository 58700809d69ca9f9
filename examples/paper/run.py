"""Compare the learner with the baselines, and repeat the paper's figures.

    python run.py                 # all of it, then the pages of the documentation
    python run.py --small         # the comparison alone
    python run.py --figure 10     # one figure
    python run.py --page          # only the pages, from the results so far

It needs ``pip install '.[paper]'``, in the root of the repository. Rows that the results file has
are not run again. Ensembles whose features have not been made are left out, with a note that says
how to make them.
"""

import argparse
import time
from pathlib import Path

from ensembles import N_SPLITS
from figures import NUMBERS, all_figures
from harness import RESULTS, Cell, available, read_results, run_cells, runnable
from report import DOCS, all_ensembles, main_cells, write_pages


def wanted_cells(args: argparse.Namespace) -> list[Cell]:
    """What the arguments ask for, without ensembles that are not there."""
    figures = [f for f in all_figures() if args.figure in (None, f.number)]
    of_figures = [] if args.small else [c for f in figures for c in f.cells(args.splits)]
    names = [] if args.figure else all_ensembles()
    here = available(names)
    cells = main_cells(args.splits, [n for n in names if n in here]) + runnable(of_figures)
    return [c for c in cells if not args.ensembles or c.ensemble in args.ensembles]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="the comparison, without the figures")
    parser.add_argument("--figure", choices=NUMBERS, help="one figure, without the comparison")
    parser.add_argument("--page", action="store_true", help="run nothing, write the pages")
    parser.add_argument("--ensembles", nargs="*", help="these alone")
    parser.add_argument("--splits", type=int, default=N_SPLITS, choices=range(1, N_SPLITS + 1))
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the pages")
    args = parser.parse_args()
    if args.page:
        results = read_results(args.results)
    else:
        begin = time.perf_counter()
        results = run_cells(wanted_cells(args), args.results, n_jobs=args.n_jobs)
        print(f"{(time.perf_counter() - begin) / 60:.1f} minutes")
    if not len(results):
        raise SystemExit(f"{args.results} has no rows.")
    write_pages(results, args.docs)
    print(f"The first page is {args.docs / 'results.rst'}.")


if __name__ == "__main__":
    main()
