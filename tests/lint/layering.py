#!/usr/bin/env python3
"""Fails on an include that goes against the architecture: kernels <- models <- parallel <- runtime <- launch, vendor
headers only where they belong, nothing includes tests or benchmarks.

    layering.py            checks the tree
    layering.py --prove    checks that each kind of wrong include is found
"""

import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHAIN = ["kernels", "models", "parallel", "runtime", "launch"]
ABOVE = ["tests", "benchmarks"]  # see everything, are included only by themselves

# Where a vendor's headers may be included (besides tests and benchmarks): pattern of the header, folders.
VENDORS = [
    (r"(oneapi/)?dnnl", ["kernels/cpu"]),
    (r"mpi\.h", ["runtime/comm/mpi"]),
    (r"onnx/", ["models/onnx", "models/zoo"]),
    (r"google/protobuf/", ["models/onnx", "models/zoo", "launch/report/chakra"]),
    (r"cuda|cublas|cudnn|nvrtc", ["kernels/cuda", "runtime/device/cuda"]),
    (r"nccl\.h", ["runtime/comm/nccl"]),
    (r"CLI/|toml\+\+/", ["launch"]),
]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def sources(root):
    """Paths, relative to root, of our C++ and CUDA sources."""
    for folder in CHAIN + ABOVE:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".h", ".cpp", ".cu", ".cuh"):
                yield path.relative_to(root)


def own_header_fault(root, path, header):
    top, target = path.parts[0], header.split("/")[0]
    if target not in CHAIN + ABOVE:
        return "is not written from the root of the repository"
    if not (root / header).is_file():
        return "does not exist"
    if top in ABOVE:
        return None if target in CHAIN + [top] else f"{top} may not include {target}"
    if target in ABOVE or CHAIN.index(target) > CHAIN.index(top):
        return f"{top} may not include {target}"
    return None


def vendor_fault(path, header):
    if path.parts[0] in ABOVE:
        return None
    for pattern, folders in VENDORS:
        if re.match(pattern, header) and not any(path.as_posix().startswith(f + "/") for f in folders):
            return f"belongs in {' or '.join(folders)}"
    return None


def faults(root):
    for path in sources(root):
        for number, line in enumerate((root / path).read_text().splitlines(), 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            quote, header = found.groups()
            if quote == "<" and header.split("/")[0] in CHAIN + ABOVE:
                reason = 'is ours: include it with ""'
            else:
                reason = own_header_fault(root, path, header) if quote == '"' else vendor_fault(path, header)
            if reason:
                yield f"{path}:{number}: {header} {reason}"


def prove():
    """Each wrong include alone in a small tree is found, and the right ones are not."""
    right = {
        "runtime/a.h": '#include "kernels/a.h"\n#include <vector>',
        "runtime/comm/mpi/a.cpp": "#include <mpi.h>",
        "kernels/cpu/a.cpp": "#include <oneapi/dnnl/dnnl.hpp>",
        "tests/a_test.cpp": '#include <mpi.h>\n#include "runtime/a.h"',
    }
    wrong = {
        "kernels/a.cpp": '#include "models/a.h"',
        "models/a.cpp": '#include "parallel/a.h"',
        "parallel/a.cpp": '  #  include "runtime/a.h"',
        "runtime/b.cpp": '#include "launch/a.h"',
        "launch/a.cpp": '#include "tests/a.h"',
        "runtime/c.cpp": '#include "../kernels/a.h"',
        "runtime/d.cpp": '#include "kernels/absent.h"',
        "runtime/e.cpp": "#include <kernels/a.h>",
        "runtime/comm/thread/a.cpp": "#include <mpi.h>",
        "models/ops/a.cpp": "#include <onnx/onnx_pb.h>",
        "kernels/b.cpp": "#include <oneapi/dnnl/dnnl.hpp>",
        "launch/b.cpp": "#include <cuda_runtime.h>",
    }
    headers = {f"{folder}/a.h": "" for folder in CHAIN + ["tests"]}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in {**headers, **right, **wrong}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        found = {line.split(":")[0] for line in faults(root)}
    for name in sorted(found ^ set(wrong)):
        print(f"{name}: {'found but right' if name in found else 'wrong but not found'}")
    print(f"{len(found & set(wrong))} of {len(wrong)} wrong includes found")
    return found == set(wrong)


def main():
    if sys.argv[1:] == ["--prove"]:
        return 0 if prove() else 1
    found = list(faults(ROOT))
    print("\n".join(found + [f"{len(found)} includes go the wrong way"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
