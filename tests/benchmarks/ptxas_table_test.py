#!/usr/bin/env python3
"""When the written table of the kernels stands for what ptxas would say."""

import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks" / "kernels"))
import ptxas_table

RELEASE = "CUDA release 13.0, V13.0.88"


class Table(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "cuda.md"
        kernel = ptxas_table.Kernel("map_pack", 32, 128, 0, 4)
        with mock.patch.object(ptxas_table, "COSTS", []):
            self.path.write_text(ptxas_table.document({arch: {"map": [kernel]} for arch in ptxas_table.ARCHS}, RELEASE))

    def test_holds_where_nvcc_is_of_its_release_or_is_not_there(self):
        for release in (RELEASE, None):
            kernels_by_arch, written = ptxas_table.read_table(self.path, release)
            self.assertEqual(written, RELEASE)
            self.assertEqual(set(kernels_by_arch), set(ptxas_table.ARCHS))
            self.assertEqual(kernels_by_arch["sm_80"]["map"][0].registers, 32)

    def test_says_nothing_of_another_release(self):
        self.assertEqual(ptxas_table.read_table(self.path, "CUDA release 13.1, V13.1.80"), (None, None))

    def test_says_nothing_of_other_sources(self):
        with mock.patch.object(ptxas_table, "hash_of_sources", return_value="0" * 32):
            self.assertEqual(ptxas_table.read_table(self.path, RELEASE), (None, None))


if __name__ == "__main__":
    unittest.main()
