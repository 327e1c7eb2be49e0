#!/usr/bin/env python3
"""Predicts training steps that others measured and published, and says how well.

    report.py table    the table of all rows as Markdown, by the machines in this folder
    report.py fit      fits a100-megatron.toml to four fifths of vtrain_a100_calibration.csv (wants numpy; ten minutes)

Every fifth row of the calibration file is held back: `table` reports them by themselves. No other row is fitted to.
Both run build/bin/dml_bench_published, or --program FILE.
"""

import argparse
import csv
import io
import math
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DATA = ROOT / "tests" / "data" / "hardware"
VTRAIN = DATA / "vtrain_a100_calibration.csv"
RUNS = DATA / "hardware_runs.json"
HELD_BACK = 5
PROCESSES = 2

# What one number of the fit is: its name, where the fit begins, and how far (as a factor) it is expected from there.
START = {
    "launch_us": (2.0, 1.5),
    "dispatch_us": (37.0, 2.0),
    "step_us": (5000.0, 3.0),
    "memory_efficiency": (0.8, 1.1),
    "latency_us": (25.0, 2.0),
    "gb_per_s": (240.0, 1.05),  # of 300 by data sheet
    "eff_1": (0.2, 1.5),
    "eff_10": (0.4, 1.3),
}
LARGE_PRODUCTS = 0.75  # of the peak: what the presets say of large products
SPREAD_OF_ROWS = 0.1  # of the logarithm of a measured time around its prediction

MACHINE = """# {title}; fitted by benchmarks/published/report.py
name = "{name}"
base = "{base}"
launch_us = {launch_us:.4g}
dispatch_us = {dispatch_us:.4g}
step_us = {step_us:.5g}

[peaks]
sizes_gflop = [1, 10, 100]
efficiencies = [{eff_1:.4g}, {eff_10:.4g}, {large}]
memory_efficiency = {memory_efficiency:.4g}

[[level]]
ranks = 8
latency_us = {latency_us:.4g}
gb_per_s = {gb_per_s:.4g}

[[level]]
ranks = {all_ranks}
latency_us = 10
gb_per_s = {network:.4g}
"""


def machine_text(numbers, name, base, title, nvlink=1.0, network=20.0):
    """A hardware file; what differs from an A100 by data sheet is scaled: links in the node, the network."""
    scaled = dict(numbers, gb_per_s=numbers["gb_per_s"] * nvlink)
    return MACHINE.format(name=name, base=base, title=title, network=network, large=LARGE_PRODUCTS, all_ranks=1 << 30, **scaled)


def write_machines(numbers, folder):
    (folder / "a100-megatron.toml").write_text(
        machine_text(numbers, "A100 under Megatron-LM", "a100-80g", "A100 80GB as Megatron-LM uses it"))
    (folder / "h100-megatron.toml").write_text(
        machine_text(numbers, "H100 under Megatron-LM", "h100-sxm",
                     "H100 by its data sheet, used as well as the A100", nvlink=1.5, network=40.0))


def predictions(program, rows, folder):
    """The rows of a file as dictionaries, in its order."""
    machines = []
    for preset, file in (("a100-80g", "a100-megatron.toml"), ("h100-sxm", "h100-megatron.toml")):
        machines += ["--machine", f"{preset}={folder / file}"]
    running = [subprocess.Popen([program, str(rows), *machines, "--part", f"{i}/{PROCESSES}"],
                                stdout=subprocess.PIPE, text=True) for i in range(PROCESSES)]
    parts = [list(csv.DictReader(io.StringIO(process.communicate()[0]))) for process in running]
    if any(process.returncode != 0 for process in running):
        raise SystemExit("a prediction failed")
    count = sum(map(len, parts))
    found = [parts[i % PROCESSES][i // PROCESSES] for i in range(count)]
    for row in found:
        for key in ("predicted_s", "measured_s", "batch", "gpus", "flops_per_s", "compute", "exposed", "memory_gb"):
            row[key] = float(row[key])
        row["error"] = row["predicted_s"] / row["measured_s"] - 1
    return found


def fit(program, steps):
    import numpy

    names = list(START)
    start = numpy.log([START[name][0] for name in names])
    width = numpy.log([START[name][1] for name in names])

    def residuals(point, folder):
        write_machines({name: math.exp(x) for name, x in zip(names, point)}, folder)
        rows = predictions(program, VTRAIN, folder)
        fitted = [math.log(row["predicted_s"] / row["measured_s"]) / SPREAD_OF_ROWS
                  for i, row in enumerate(rows) if i % HELD_BACK != 0]
        return numpy.array(fitted), rows

    def robust(values):  # beyond 2 spreads a row pulls no more than at 2
        return numpy.minimum(1, 2 / numpy.maximum(numpy.abs(values), 1e-9)) ** 0.5

    point = start.copy()
    scratch = pathlib.Path(HERE / "fit.tmp")
    scratch.mkdir(exist_ok=True)
    base, rows = residuals(point, scratch)
    damping = 0.1
    most = numpy.log([1 / 1.001 if name.startswith("eff") or name.endswith("efficiency") else 1e9 for name in names])
    for step in range(steps):
        slope = numpy.empty((len(base), len(names)))
        for column in range(len(names)):
            moved = point.copy()
            moved[column] -= 0.05
            slope[:, column] = (base - residuals(moved, scratch)[0]) / 0.05
        weight = robust(base)
        normal = (slope * weight[:, None] ** 2).T @ slope + numpy.diag(1 / width**2)
        gradient = (slope * weight[:, None] ** 2).T @ base + (point - start) / width**2
        while damping < 1e4:
            tried = numpy.minimum(point - numpy.linalg.solve(normal + damping * numpy.diag(numpy.diag(normal)), gradient), most)
            after, rows_after = residuals(tried, scratch)
            if cost(after, tried, start, width) < cost(base, point, start, width):
                break
            damping *= 10
        else:
            break
        point, base, rows, damping = tried, after, rows_after, damping / 10
        print(f"step {step}: {summary(rows)}", flush=True)
        print("  " + ", ".join(f"{name} {math.exp(x):.4g}" for name, x in zip(names, point)), flush=True)
        write_machines({name: math.exp(x) for name, x in zip(names, point)}, HERE)
    for file in scratch.iterdir():
        file.unlink()
    scratch.rmdir()


def cost(residuals, point, start, width):
    """Squares, linear beyond 2 spreads; and how far the numbers have gone."""
    rows = sum(r * r if abs(r) < 2 else 4 * abs(r) - 4 for r in residuals)
    return rows + sum(((point - start) / width) ** 2)


def mean_error(rows):
    return sum(abs(row["error"]) for row in rows) / len(rows)


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def ranks(values):
    order = sorted(range(len(values)), key=lambda i: values[i])
    result = [0.0] * len(values)
    i = 0
    while i < len(order):
        j = i
        while j + 1 < len(order) and values[order[j + 1]] == values[order[i]]:
            j += 1
        for k in range(i, j + 1):
            result[order[k]] = (i + j) / 2
        i = j + 1
    return result


def rank_correlation(a, b):
    """Spearman's."""
    x, y = ranks(a), ranks(b)
    mx, my = sum(x) / len(x), sum(y) / len(y)
    both = sum((p - mx) * (q - my) for p, q in zip(x, y))
    return both / math.sqrt(sum((p - mx) ** 2 for p in x) * sum((q - my) ** 2 for q in y))


def rank_correlation_of_layouts(rows):
    """Within one model, number of devices and batch: what a planner chooses among. The mean over groups of three up."""
    groups = {}
    for row in rows:
        groups.setdefault((row["model"], row["gpus"], row["batch"]), []).append(row)
    found = [rank_correlation([r["predicted_s"] for r in group], [r["measured_s"] for r in group])
             for group in groups.values() if len(group) >= 3]
    return sum(found) / len(found), len(found)


def summary(rows):
    held = rows[::HELD_BACK]
    fitted = [row for i, row in enumerate(rows) if i % HELD_BACK != 0]
    return f"fitted rows {100 * mean_error(fitted):.2f} %, held back {100 * mean_error(held):.2f} %"


def percent_table(rows):
    lines = ["| rows | number | mean | median | 90th percentile | worst | rank correlation, all | within model, devices, batch |",
             "|---|---|---|---|---|---|---|---|"]
    held = rows[::HELD_BACK]
    fitted = [row for i, row in enumerate(rows) if i % HELD_BACK != 0]
    for name, some in (("fitted", fitted), ("held back", held), ("all", rows)):
        errors = [100 * abs(row["error"]) for row in some]
        whole = rank_correlation([r["predicted_s"] for r in some], [r["measured_s"] for r in some])
        try:
            inside, groups = rank_correlation_of_layouts(some)
            layouts = f"{inside:.3f} over {groups} groups"
        except ZeroDivisionError:
            layouts = "no groups of three"
        lines.append(f"| {name} | {len(some)} | {sum(errors) / len(errors):.2f} % | {percentile(errors, 0.5):.2f} % | "
                     f"{percentile(errors, 0.9):.2f} % | {max(errors):.1f} % | {whole:.3f} | {layouts} |")
    return lines


def table(program):
    runs = predictions(program, RUNS, HERE)
    print("| run | measured s | predicted s | error | compute | exposed | memory of a device | chosen where the source is silent |")
    print("|---|---|---|---|---|---|---|---|")
    for row in runs:
        print(f"| {row['id']} | {row['measured_s']:.3f} | {row['predicted_s']:.3f} | {100 * row['error']:+.1f} % | "
              f"{100 * row['compute']:.0f} % | {100 * row['exposed']:.0f} % | {row['memory_gb']:.0f} GB | {row['chosen']} |")
    four = [row for row in runs if row["id"].startswith("selective")]
    print(f"\nMean absolute error: {100 * mean_error(runs):.2f} % over {len(runs)} runs, "
          f"{100 * mean_error(four):.2f} % over the {len(four)} of Korthikanti et al.")
    flops = [row for row in runs if row["flops_per_s"] > 0]
    order = rank_correlation([r["flops_per_s"] * r["measured_s"] / r["predicted_s"] for r in flops],
                             [r["flops_per_s"] for r in flops])
    print(f"Rank correlation of FLOP/s per device: {order:.3f} over {len(flops)} runs.\n")
    print("\n".join(percent_table(predictions(program, VTRAIN, HERE))))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("table", "fit"))
    parser.add_argument("--program", default=str(ROOT / "build" / "bin" / "dml_bench_published"))
    parser.add_argument("--steps", type=int, default=6, help="of the fit")
    options = parser.parse_args()
    if options.what == "fit":
        fit(options.program, options.steps)
    else:
        table(options.program)


if __name__ == "__main__":
    main()
