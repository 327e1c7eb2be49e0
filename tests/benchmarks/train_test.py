#!/usr/bin/env python3
"""What benchmarks/train refuses, and that its report names the commands that were run."""

import contextlib
import io
import sys
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True  # the program's name has no suffix: what is compiled of it would stand beside it
PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "train"
LOADER = SourceFileLoader("train", str(PROGRAM))
train = module_from_spec(spec_from_loader("train", LOADER))
sys.modules["train"] = train  # its dataclasses look themselves up
LOADER.exec_module(train)


def parsed(*words):
    with mock.patch.object(sys, "argv", ["train", *words]):
        return train.parse_arguments()


class Arguments(unittest.TestCase):
    def test_a_dry_run_neither_repeats_nor_writes(self):
        for words in (["--repetitions", "2"], ["--output", "FILE"]):
            with contextlib.redirect_stderr(io.StringIO()) as said, self.assertRaises(SystemExit):
                parsed("--device", "cuda", "--dry-run", *words)
            self.assertIn(words[0], said.getvalue())
        self.assertEqual(parsed("--device", "cuda", "--dry-run").repetitions, 1)

    def test_repetitions(self):
        self.assertEqual(parsed().repetitions, train.REPETITIONS)
        self.assertEqual(parsed("--repetitions", "5").repetitions, 5)


@mock.patch.object(train, "machine", return_value={})
class Report(unittest.TestCase):
    def commands(self, ours, theirs, preset):
        case = train.Case("one process", (1, 1, 1), "eager", ours=ours, theirs=theirs)
        return train.report([case], preset, train.CPU, parsed()).split("## Commands")[1].strip("\n`").splitlines()

    def test_names_what_was_run(self, _machine):
        ours, theirs, preset = self.commands([1.0], [2.0], (1.0, 2.0, 3.0))
        self.assertIn("bin/dmltrain", ours)
        self.assertIn("pytorch_peer.py", theirs)
        self.assertIn("-np 8", preset)

    def test_names_nothing_else(self, _machine):
        self.assertEqual(self.commands([], [], None), [])
        self.assertEqual(len(self.commands([1.0], [], None)), 1)
        self.assertEqual(len(self.commands([], [1.0], None)), 1)


if __name__ == "__main__":
    unittest.main()
