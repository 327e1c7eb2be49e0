#!/usr/bin/env python3
"""What mutable_kernels.py takes for a barrier or a comparison, and what for none."""

import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.append(str(Path(__file__).resolve().parents[1]))
import mutable_kernels


def found(body, head="__global__ void f(int n)"):
    """(text, what it is when left out) of the places in a device function."""
    text = f"{head} {{\n{body}\n}}\n"
    places = mutable_kernels.places(mutable_kernels.without_comments(text))
    return [(text[begin:end], "true" if "||" in form else "false" if "&&" in form else "gone") for begin, end, form, _ in places]


class Places(unittest.TestCase):
    def test_barrier(self):
        self.assertEqual(found("__syncthreads();  // __syncthreads() again"), [("__syncthreads()", "gone")])

    def test_an_exit_is_not_taken(self):
        self.assertEqual(found("if (i >= n) return;"), [("i >= n", "false")])
        self.assertEqual(found("if (i < 0 || i >= n) {\n  note_fault(i);\n}"), [("i < 0", "false"), ("i >= n", "false")])

    def test_what_is_guarded_is_done(self):
        self.assertEqual(found("if (row + 1 < n && !skip) y[i] = x[i];"), [("row + 1 < n", "true")])
        self.assertEqual(found("y = i < n ? x[i] : 0;"), [("i < n", "true")])
        self.assertEqual(found("return at >= 0 && at < n;"), [("at >= 0", "true"), ("at < n", "true")])
        self.assertEqual(found("y[i] = f(a, x[i] < n ? i : 0);"), [("x[i] < n", "true")])

    def test_loops_keep_their_ends(self):
        self.assertEqual(found("for (int i = 0; i < n; ++i) y[i] = 0;\nwhile (i > n) --i;"), [])

    def test_constants_and_templates_are_none(self):
        self.assertEqual(found("if constexpr (kRows > 1) f<int>(static_cast<int>(x));"), [])

    def test_host_code_is_none(self):
        self.assertEqual(found("if (n < 0) throw 1;", head="void f(int n)"), [])
        self.assertEqual(found("if (n < 0) return;", head="__device__ int g(int n);\nvoid f(int n)"), [])


class Functions(unittest.TestCase):
    def test_each_place_says_in_which_it_is(self):
        text = """template <int kN>
__global__ void __launch_bounds__(kN, 2) copy(float* y, int n) { if (i >= n) return; }
__device__ __forceinline__ float first(float x) { return x < 0 ? 0 : x; }
struct Max {
  __device__ float operator()(float a, float b) const { return a > b ? a : b; }
};
"""
        self.assertEqual([place[-1] for place in mutable_kernels.places(text)], ["copy", "first", "operator"])

    def test_more_than_there_is_room_for_are_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            for most in (0, 10**6):
                with mock.patch.object(mutable_kernels, "MOST_PLACES", most), mock.patch.object(sys, "argv", ["", folder]):
                    if most:
                        mutable_kernels.main()
                    else:
                        self.assertRaisesRegex(SystemExit, "kMostPlaces", mutable_kernels.main)


if __name__ == "__main__":
    unittest.main()
