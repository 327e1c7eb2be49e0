#!/usr/bin/env python3
"""The parity suite's own tests: it passes PyTorch's numbers, finds small errors in them, and its cover covers."""

import sys
import unittest

import numpy as np

import cases
import judge
import runner


def load(stem):
    return judge.Fixture(runner.FIXTURES, stem)


def perfect_run(fixture, optimizer):
    """What a run prints and dumps that agrees with PyTorch in every bit."""
    return fixture.tensors[f"losses.{optimizer}"].tolist(), dict(fixture.tensors)


class JudgeTest(unittest.TestCase):
    def test_every_fixture_agrees_with_itself(self):
        for path in sorted(runner.FIXTURES.glob("*.safetensors")):
            fixture = load(path.stem)
            for optimizer in cases.OPTIMIZERS:
                findings = judge.compare(fixture, optimizer, 20, *perfect_run(fixture, optimizer))
                self.assertEqual(findings[0].share, 0, f"{path.stem} {optimizer} {findings[0]}")

    def test_an_error_in_any_tensor_is_found(self):
        fixture = load("gpt_tiny.ts17")
        for name in judge.expected_tensors(fixture, "adamw", 20):
            losses, dump = perfect_run(fixture, "adamw")
            spoiled = dump[name].copy()
            spoiled.flat[abs(spoiled).argmax()] *= 1.001
            findings = judge.compare(fixture, "adamw", 20, losses, dump | {name: spoiled})
            self.assertEqual(findings[0].name, name)
            self.assertGreater(findings[0].share, 1)

    def test_an_error_in_any_loss_is_found(self):
        fixture = load("mlp_digits.ts17")
        for step in range(20):
            losses, dump = perfect_run(fixture, "sgd")
            losses[step] *= 1 + 3e-5
            findings = judge.compare(fixture, "sgd", 20, losses, dump)
            self.assertEqual(findings[0].name, f"loss of step {step}")
            self.assertGreater(findings[0].share, 1)

    def test_what_is_absent_or_not_a_number_is_found(self):
        fixture = load("mlp_digits.ts17")
        losses, dump = perfect_run(fixture, "sgd")
        name = next(n for n in dump if n.startswith("final.sgd."))
        spoiled = {
            "nan": (losses, dump | {name: np.full_like(dump[name], np.nan)}),
            "absent": (losses, {n: t for n, t in dump.items() if n != name}),
            "another shape": (losses, dump | {name: dump[name].reshape(-1, 1)}),
            "too few losses": (losses[:-1], dump),
            "a loss that is nan": ([*losses[:-1], np.nan], dump),
        }
        for what, run in spoiled.items():
            self.assertGreater(judge.compare(fixture, "sgd", 20, *run)[0].share, 1, what)


class CasesTest(unittest.TestCase):
    def test_the_cover_has_every_pair_that_can_meet(self):
        for stem in ("gpt_tiny.ts17", "mlp_digits.ts17", "resnet_tiny.ts17"):
            fixture = load(stem)
            everything = cases.rows(stem, fixture, 5)
            chosen = cases.cover(stem, fixture, 5)
            self.assertEqual(set().union(*map(cases.pairs, chosen)), set().union(*map(cases.pairs, everything)))
            self.assertLess(len(chosen), len(everything) / 2)

    def test_a_case_is_known_by_its_name(self):
        fixtures = {stem: load(stem) for stem in ("gpt_tiny.ts17", "resnet_tiny.ts17")}
        for suite in cases.SUITES.values():
            listed = suite(fixtures)
            self.assertEqual([cases.Case.parse(str(case)) for case in listed], listed)
            self.assertEqual(len(set(listed)), len(listed))

    def test_every_layout_is_in_the_quick_suite(self):
        fixtures = {stem: load(stem) for stem in ("mlp_digits.ts17", "gpt_tiny.ts17")}
        for stem in fixtures:
            tried = {case.layout for case in cases.quick(fixtures) if case.fixture == stem}
            self.assertEqual(tried, set(cases.LAYOUTS))


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=0))
