#!/usr/bin/env python3
"""Which cases parity.py runs where there are fewer GPUs than they need."""

import contextlib
import io
import sys
import unittest
from unittest import mock

import cases
import parity
import runner

GPU_SUITES = ["gpu", "gpu_processes", "gpu_orders"]


class Gpus(unittest.TestCase):
    def test_a_case_needs_one_for_each_rank(self):
        whole = cases.Case("gpt_tiny.ts17", (2, 2, 2), device="cuda")
        half = cases.Case("gpt_tiny.ts17", (2, 2, 1), device="cuda")
        on_cpu = cases.Case("gpt_tiny.ts17", (2, 2, 2))
        self.assertEqual(parity.runnable([whole, half, on_cpu], 4), [half, on_cpu])
        self.assertEqual(parity.runnable([whole, half, on_cpu], 8), [whole, half, on_cpu])

    def ended(self, *words):
        with mock.patch.object(sys, "argv", ["parity.py", *words]), mock.patch.object(parity, "number_of_gpus", return_value=0):
            with mock.patch.object(parity, "run_case", side_effect=AssertionError("a case was run")):
                with contextlib.redirect_stdout(io.StringIO()) as said:
                    return parity.main(), said.getvalue()

    def test_without_any_each_suite_is_skipped(self):
        chosen = [["--suite", suite] for suite in GPU_SUITES] + [["--suite", "quick", "--device", "cuda"]]
        for words in chosen + [["--case", "gpt_tiny.ts17/sgd/2,1,1/auto/1f1b/m2/5steps/cuda"]]:
            code, said = self.ended(*words)
            self.assertEqual(code, runner.SKIPPED, words)
            self.assertIn("need more GPUs than are here", said)


if __name__ == "__main__":
    unittest.main()
