#!/usr/bin/env python3
"""What the CUDA kernels ask of a GPU: registers, shared memory and spills as ptxas reports them, the occupancy that
follows, and the bound that the roofline of a data sheet sets. Nothing here was timed.

    benchmarks/kernels/ptxas_table.py --check              spills and registers over the budget end with 1
    benchmarks/kernels/ptxas_table.py --write FILE.md      the table, for all architectures

What ptxas said is kept in --cache, by source. The table that was written last says of which sources and of which
release of CUDA it is: where the sources are those that are here, and the release is that of nvcc or there is no nvcc,
--check reads the table and compiles nothing.
"""

import argparse
import concurrent.futures
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

from kernel_costs import BUDGETS, COSTS, DEFAULT_BUDGET

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ROOT / "kernels" / "cuda"
ARCHS = ("sm_80", "sm_90", "sm_100")
FLAGS = ["-std=c++20", "--expt-relaxed-constexpr", "-O3", f"-I{ROOT}", "-cubin", "-Xptxas", "-v", "-o", "/dev/null"]
SKIPPED = 77
TABLE = ROOT / "benchmarks" / "kernels" / "cuda.md"
STAMP = "Of sources with the hash "
REPORTS = "from the reports of ptxas ("


class Gpu:
    """Limits of a multiprocessor (CUDA C++ Programming Guide, compute capabilities) and data-sheet peaks."""

    def __init__(self, name, shared_kb, terabytes_per_s, teraflops):
        self.name = name
        self.shared_bytes = shared_kb * 1024
        self.bytes_per_s = terabytes_per_s * 1e12
        self.flops_per_s = teraflops * 1e12

    WARPS, BLOCKS, REGISTERS = 64, 32, 65536
    REGISTERS_OF_A_WARP = 256  # are given in units of this
    SHARED_OF_A_BLOCK = 1024  # is kept by the system

    def occupancy(self, kernel, threads, dynamic_shared):
        """Resident warps as a part of those that a multiprocessor can hold."""
        warps = -(-threads // 32)
        unit = self.REGISTERS_OF_A_WARP
        registers = -(-kernel.registers * 32 // unit) * unit * warps
        shared = kernel.shared + dynamic_shared + self.SHARED_OF_A_BLOCK
        blocks = min(self.BLOCKS, self.WARPS // warps, self.REGISTERS // registers, self.shared_bytes // shared)
        return blocks * warps / self.WARPS

    def bound(self, moved, flops):
        """Microseconds that memory and arithmetic need at least, and which of both it is."""
        memory, arithmetic = moved / self.bytes_per_s, flops / self.flops_per_s
        return max(memory, arithmetic) * 1e6, "memory" if memory >= arithmetic else "FLOPs"


GPUS = (Gpu("A100 SXM 80 GB", 164, 2.039, 19.5), Gpu("H100 SXM", 228, 3.35, 66.9))


class Kernel:
    """One entry function as ptxas describes it."""

    def __init__(self, name, registers, shared, stack, spill_bytes):
        self.name = name  # demangled
        self.registers, self.shared, self.stack, self.spill_bytes = registers, shared, stack, spill_bytes

    def template(self):
        """"softmax_rows" of "dml::cuda::kernels::softmax_rows<...>"."""
        return self.name.split("<")[0].split("::")[-1]


def parse(report):
    """The kernels of one run of ptxas -v."""
    entry = re.compile(
        r"Compiling entry function '(\S+)' for.*?\n.*?Function properties for \S+\n"
        r"\s*(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\n"
        r".*?Used (\d+) registers(.*)")
    kernels = []
    for mangled, stack, stores, loads, registers, rest in entry.findall(report):
        shared = re.search(r"(\d+) bytes smem", rest)
        kernels.append(Kernel(mangled, int(registers), int(shared.group(1)) if shared else 0, int(stack),
                              int(stores) + int(loads)))
    names = subprocess.run(["c++filt", "-p"], input="\n".join(k.name for k in kernels), text=True, capture_output=True,
                           check=True).stdout.splitlines()
    for kernel, name in zip(kernels, names):
        kernel.name = name
    return kernels


def release_of(nvcc):
    """"CUDA release 13.0, V13.0.88"."""
    version = subprocess.run([nvcc, "--version"], text=True, capture_output=True, check=True).stdout
    return f"CUDA {re.search(r'release .*', version).group(0)}"


def compile_report(nvcc, source, arch, cache):
    """What ptxas says of a source; kept in `cache` under a hash of the flags and of the preprocessed text, in which are all
    headers of the release."""
    command = [nvcc, f"-arch={arch}", *FLAGS]
    text = subprocess.run([nvcc, f"-arch={arch}", "-std=c++20", f"-I{ROOT}", "-E", str(source)], capture_output=True,
                          check=True).stdout
    text = re.sub(rb"(?m)^#.*$", b"", text)
    key = hashlib.sha256(" ".join(command[1:]).replace(str(ROOT), "").encode() + text).hexdigest()[:32]
    kept = cache / f"{source.stem}-{arch}-{key}.txt"
    if not kept.exists():
        run = subprocess.run([*command, str(source)], text=True, capture_output=True)
        if run.returncode != 0:
            sys.exit(f"{source}: nvcc failed\n{run.stderr}")
        cache.mkdir(parents=True, exist_ok=True)
        kept.write_text(run.stderr)
    return kept.read_text()


def all_kernels(nvcc, arch, cache):
    sources = sorted(SOURCES.glob("*.cu"))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        reports = pool.map(lambda source: compile_report(nvcc, source, arch, cache), sources)
        return {source.stem: parse(report) for source, report in zip(sources, reports)}


def hash_of_sources():
    """Of all that a kernel is made of, comments and blanks left out, and of how it is compiled."""
    files = [path for pattern in ("*.h", "cuda/*.h", "cuda/*.cu*", "cuda/device/*") for path in ROOT.glob(f"kernels/{pattern}")]
    text = " ".join(FLAGS[:3] + list(ARCHS)).encode()
    for path in sorted(files):
        code = re.sub(rb"//.*", b"", path.read_bytes())
        text += path.name.encode() + b"".join(code.split())
    return hashlib.sha256(text).hexdigest()[:32]


def read_table(path, release):
    """The kernels of a written table by architecture, and the release of CUDA that it is of; None and None where that is not
    `release`, which may be None, or where the table is not of the sources that are here."""
    text = path.read_text()
    written = text.split(REPORTS)[1].split(")")[0]
    if f"{STAMP}{hash_of_sources()}" not in text or release not in (None, written):
        return None, None
    kernels_by_arch = {}
    for section in text.split("## All kernels, ")[1:]:
        kernels_of = kernels_by_arch.setdefault(section.split()[0], {})
        for stem, name, registers, shared, stack, spilled in re.findall(
                r"(?m)^\| (\w+) \| `(\w+)` \| \d+ \| (\d+) \| \d+ \| ([\d,]+) \| (\d+) \| (\d+) \|$", section):
            kernel = Kernel(name, int(registers), int(shared.replace(",", "")), int(stack), int(spilled))
            kernels_of.setdefault(stem, []).append(kernel)
    return (kernels_by_arch, written) if set(kernels_by_arch) == set(ARCHS) else (None, None)


def failures(arch, kernels_of):
    """A line for each kernel that spills or takes more registers than its budget."""
    lines = []
    for stem, kernels in kernels_of.items():
        for kernel in kernels:
            budget = BUDGETS.get(kernel.template(), DEFAULT_BUDGET)
            if kernel.spill_bytes:
                lines.append(f"{arch}, {stem}: {kernel.name} spills {kernel.spill_bytes} bytes")
            if kernel.registers > budget:
                lines.append(f"{arch}, {stem}: {kernel.name} takes {kernel.registers} registers, its budget is {budget}")
    for name in [*BUDGETS, *(cost.kernel for cost in COSTS)]:
        if not any(kernel.template() == name for kernels in kernels_of.values() for kernel in kernels):
            lines.append(f"kernel_costs.py names {name}, which is no kernel")
    return lines


def cost_rows(kernels_of):
    for cost in COSTS:
        found = [kernel for kernels in kernels_of.values() for kernel in kernels
                 if kernel.template() == cost.kernel and all(part in kernel.name for part in cost.instance)]
        if not found:
            sys.exit(f"no kernel {cost.kernel} with {', '.join(cost.instance)} in its name")
        kernel = max(found, key=lambda k: k.registers)
        cells = [f"`{cost.kernel}`", cost.what, f"{cost.moved / 1e6:,.1f}", f"{cost.flops / 1e6:,.0f}",
                 str(kernel.registers), f"{(kernel.shared + cost.dynamic_shared) / 1024:.1f}"]
        for gpu in GPUS:
            time, limit = gpu.bound(cost.moved, cost.flops)
            cells += [f"{gpu.occupancy(kernel, cost.threads, cost.dynamic_shared):.0%}", f"{time:,.1f} {limit}"]
        yield "| " + " | ".join(cells) + " |"


def register_rows(kernels_of):
    for stem, kernels in kernels_of.items():
        for name in sorted({kernel.template() for kernel in kernels}):
            same = [kernel for kernel in kernels if kernel.template() == name]
            yield (f"| {stem} | `{name}` | {len(same)} | {max(k.registers for k in same)} | "
                   f"{BUDGETS.get(name, DEFAULT_BUDGET)} | {max(k.shared for k in same):,} | "
                   f"{max(k.stack for k in same)} | {sum(k.spill_bytes for k in same)} |")


def document(kernels_by_arch, release):
    lines = ["# CUDA kernels: what they ask of a GPU", "",
             f"Written by `benchmarks/kernels/ptxas_table.py` {REPORTS}{release}). Nothing on this page",
             "was timed: no kernel of this project has run on a GPU. Occupancy and bounds are what data sheets allow. The test",
             "`cuda.registers` holds the kernels of all three architectures to their budgets, and to spill nothing.",
             f"{STAMP}{hash_of_sources()}.", ""]
    lines += ["## Costs at the sizes of GPT-2 124M", "",
              "f32, of the sizes in `kernel_costs.py`; MB moved and MFLOP are of one launch, registers and shared memory",
              "(static and dynamic, KB) of sm_80. Bounds are µs at the peaks of the data sheets: "
              + "; ".join(f"{gpu.name} {gpu.bytes_per_s / 1e12} TB/s and {gpu.flops_per_s / 1e12} TFLOP/s without tensor cores"
                          for gpu in GPUS) + ".", "",
              "| kernel | launch | MB | MFLOP | registers | shared KB | "
              + " | ".join(f"occupancy {gpu.name} | bound {gpu.name}" for gpu in GPUS) + " |",
              "|" + "---|" * (6 + 2 * len(GPUS)), *cost_rows(kernels_by_arch["sm_80"]), ""]
    for arch, kernels_of in kernels_by_arch.items():
        lines += [f"## All kernels, {arch}", "",
                  "| source | kernel | instances | registers, at most | budget | static shared bytes | stack bytes | "
                  "bytes spilled |", "|---|---|---|---|---|---|---|---|", *register_rows(kernels_of), ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="end with 1 where a kernel breaks its budget")
    parser.add_argument("--write", metavar="FILE", type=pathlib.Path)
    parser.add_argument("--nvcc", default=os.environ.get("DML_NVCC", "nvcc"))
    parser.add_argument("--cache", type=pathlib.Path, default=ROOT / "build" / "ptxas")
    args = parser.parse_args()
    release = release_of(args.nvcc) if shutil.which(args.nvcc) else None
    kernels_by_arch, written = (None, None) if args.write else read_table(TABLE, release)
    if kernels_by_arch is not None:
        print(f"{TABLE.name} is of these sources, and of {written}")
    elif release is None:
        print(f"{args.nvcc} is not here: nothing was compiled")
        return SKIPPED
    else:
        kernels_by_arch = {arch: all_kernels(args.nvcc, arch, args.cache) for arch in ARCHS}
    if args.write:
        args.write.write_text(document(kernels_by_arch, release))
    if args.check:
        lines = [line for arch, kernels_of in kernels_by_arch.items() for line in failures(arch, kernels_of)]
        print("\n".join(lines) or f"the kernels of {', '.join(kernels_by_arch)} keep their budgets and spill nothing")
        return 1 if lines else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
