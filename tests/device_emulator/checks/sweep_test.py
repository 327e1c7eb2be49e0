#!/usr/bin/env python3
"""How sweeps name what they leave out, excuse it, and say of which command a report is."""

import sys
import tempfile
import unittest
from argparse import Namespace
from pathlib import Path
from unittest import mock

sys.path.append(str(Path(__file__).resolve().parents[1]))
import mutations
import sweep
from mutations import Mutant


class Mutants(unittest.TestCase):
    def test_calls_of_a_function_are_numbered_as_they_stand(self):
        sites = [f"call:cudaEventRecord@dmltrain+{offset}" for offset in ("0x9f0", "0x12a0", "0xa000")]
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(mutations, "function_at", return_value="f"):
            watched = Path(folder) / "tests" / "device_emulator" / "watched"
            watched.mkdir(parents=True)
            (watched / "places.txt").write_text("0 copy.cu:19 i >= count in copy\n")
            found = mutations.mutants_of(Path(folder), set(sites))
        self.assertEqual(found, [
            Mutant("place:0", "copy.cu:19 i >= count in copy"), Mutant(sites[0], "cudaEventRecord in f"),
            Mutant(sites[1], "cudaEventRecord in f, 2"), Mutant(sites[2], "cudaEventRecord in f, 3")])  # fmt: skip


@mock.patch.object(mutations, "EXCUSED", {r"i >= count in copy$": "elements are copied once more"})
class Excuses(unittest.TestCase):
    COPY, MOVE = Mutant("place:0", "copy.cu:19 i >= count in copy"), Mutant("place:1", "copy.cu:50 i >= count in move")

    def test_are_of_one_function(self):
        self.assertEqual(mutations.excuse(self.COPY), "elements are copied once more")
        self.assertIsNone(mutations.excuse(self.MOVE))

    def test_are_wrong_where_nobody_needs_them(self):
        wrong = {by: list(mutations.wrong_excuses([(self.COPY, by), (self.MOVE, None)])) for by in (None, "a test")}
        self.assertEqual(wrong[None], [])
        self.assertEqual(wrong["a test"], [f"EXCUSED: {self.COPY.what}, which is noticed by a test"])
        self.assertEqual(list(mutations.wrong_excuses([(self.MOVE, None)])), ["EXCUSED names no mutant: i >= count in copy$"])


class Reports(unittest.TestCase):
    def test_name_the_command_without_themselves(self):
        words = [str(sweep.ROOT / "tests" / "x.py"), "--only", "a b", "--report", "FILE", "--draw", "3", "--report=FILE"]
        self.assertEqual(sweep.command(words), "tests/x.py --only 'a b' --draw 3")

    def test_the_seed_draws(self):
        runs = list(range(100))
        some = sweep.drawn(runs, Namespace(draw=5, seed="1"))
        self.assertEqual(len(some), 5)
        self.assertEqual(some, sweep.drawn(runs, Namespace(draw=5, seed="1")))
        self.assertNotEqual(some, sweep.drawn(runs, Namespace(draw=5, seed="2")))
        self.assertEqual(sweep.drawn(runs, Namespace(draw=None, seed=None)), runs)


if __name__ == "__main__":
    unittest.main()
