#!/usr/bin/env python3
"""Plants faults of our own making, one a run, and requires that the judgement of the parity suite finds every one.

    tests/parity/faults.py [--per-kind N] [--only TEXT] [--list]

A fault is named 'CASE SITE'. Prints one line for each, then the survivors and 'N of M found'. Without a fault each case
must agree.
"""

import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import judge
import runner
from cases import Case

# All three axes, both tensor modes and schedules, even and uneven parts. With AdamW, whose steps are as large for small
# gradients: a weight that is one step old then shows. (In the other GPTs the softmax is nearly flat, and a query
# or key weight that is one step old makes less of a difference than rounding does.)
CASES = [
    Case("gpt_tiny.ts17", (2, 2, 2), "megatron", "1f1b", 2, "adamw"),
    Case("gpt_tiny.dynamo", (1, 2, 2), "gather", "gpipe", 3, "adamw"),
    Case("gpt_tiny.ts17", (2, 1, 3), "megatron", "1f1b", 1, "adamw"),
    Case("gpt_tiny.dynamo", (1, 4, 1), "auto", "1f1b", 4, "adamw"),
    Case("mlp_digits.ts17", (3, 1, 1), "auto", "1f1b", 2),
]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=runner.BINARY.with_name("dmltrain_faulty"), type=Path)
    parser.add_argument("--per-kind", default=0, type=int, metavar="N", help="of each case, so many sites of each kind")
    parser.add_argument("--only", default="", metavar="TEXT", help="only faults whose name holds this")
    parser.add_argument("--list", action="store_true", help="only name the faults")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time")
    return parser.parse_args()


def run(case, fixture, binary, fault):
    """The worst finding of a run with `fault` in its environment, or the text of its failure."""
    with tempfile.TemporaryDirectory() as folder:
        out, dump = Path(folder) / "run", Path(folder) / "dump.safetensors"
        try:
            runner.execute(case.command(binary, fixture, out, dump), fault)
            return judge.compare(fixture, case.optimizer, case.steps, runner.losses(out), runner.dumped(dump))[0]
        except runner.RunFailed as failure:
            return failure


def agrees(outcome):
    return isinstance(outcome, judge.Finding) and outcome.share <= 1


def described(outcome):
    if isinstance(outcome, judge.Finding):
        return f"{outcome.name}: {outcome.share:.3g} of what is allowed"
    return str(outcome)


def sites(case, fixture, binary):
    """All sites of a case. The run that lists them has no fault: throws RunFailed where it does not agree."""
    with tempfile.NamedTemporaryFile("r") as listed:
        outcome = run(case, fixture, binary, {"DML_FAULT": "list", "DML_FAULT_LIST": listed.name})
        if not agrees(outcome):
            raise runner.RunFailed(f"{case} without a fault: {described(outcome)}")
        return sorted(set(listed.read().split()))


def kind_of(site):
    return site.split("/")[:2]


def drawn(all_sites, per_kind):
    """As many of each kind as are wanted, at even distances."""
    chosen = []
    for _, group in groupby(all_sites, kind_of):
        group = list(group)
        count = min(per_kind or len(group), len(group))
        chosen += [group[i * len(group) // count] for i in range(count)]
    return chosen


def is_found(case, site, fixture, binary):
    outcome = run(case, fixture, binary, {"DML_FAULT": site})
    found = not agrees(outcome)
    print(f"{'found   ' if found else 'SURVIVED'} {case} {site}  {described(outcome)}", flush=True)
    return found


def main():
    arguments = parse_arguments()
    binary = arguments.binary.resolve()
    fixtures = {case.fixture: judge.Fixture(runner.FIXTURES, case.fixture) for case in CASES}
    faults = []
    for case in CASES:
        try:
            listed = sites(case, fixtures[case.fixture], binary)
        except runner.RunFailed as failure:
            print(failure)
            return 1
        print(f"agrees   {case} without a fault, {len(listed)} sites", flush=True)
        faults += [(case, site) for site in drawn(listed, arguments.per_kind) if arguments.only in f"{case} {site}"]
    if arguments.list:
        print("\n".join(f"{case} {site}" for case, site in faults))
        return 0
    with ThreadPoolExecutor(arguments.workers) as pool:
        found = list(pool.map(lambda fault: is_found(*fault, fixtures[fault[0].fixture], binary), faults))
    for (case, site), was_found in zip(faults, found):
        if not was_found:
            print(f"survivor: {case} {site}")
    print(f"{sum(found)} of {len(faults)} found")
    return 0 if faults and all(found) else 1


if __name__ == "__main__":
    sys.exit(main())
