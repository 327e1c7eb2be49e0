#!/usr/bin/env python3
"""dmltrain doctor finds faults that are really there, and nothing where there are none.

    tests/launch/doctor.py --binary BINARY [--faulty BINARY] [--mpi] [--emulator FOLDER]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "parity"))
import runner  # noqa: E402  (its folder is known only now)

TIME_LIMIT_S = 120
CHECK_FAILED, USAGE = 1, 2
MPIRUN = ("mpirun", "--oversubscribe", "--allow-run-as-root", "-np", "4")
IMPOSSIBLE = """name = "impossible"
base = "h100-sxm"
[[level]]
ranks = 1024
latency_us = 0.0001
gb_per_s = 100000
"""


class Doctor:
    def __init__(self, binary, folder, launcher=()):
        self.binary, self.folder, self.launcher = binary, folder, launcher

    def start(self, *options, binary=None, before=None, environment=None, wrapper=()):
        command = [*self.launcher, *wrapper, str(binary or self.binary), "doctor", *map(str, options)]
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, **(environment or {})},
            preexec_fn=before,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT_S,
        )

    def examine(self, *options, code=0, **how):
        result = self.start(*options, "--json", **how)
        assert result.returncode == code, f"{options} ended with {result.returncode}: {result.stderr}{result.stdout[-3000:]}"
        return json.loads(result.stdout)


def complaints(report, severities=("warning", "error")):
    return [(one["severity"], one["area"]) for one in report["findings"] if one["severity"] in severities]


def expect(report, severity, area):
    assert (severity, area) in complaints(report, (severity,)), f"no {severity} of {area}: {report['findings']}"


def clean(doctor):
    report = doctor.examine("--threads", 1)
    assert complaints(report, ("error",)) == [] and report["errors"] == 0, report["findings"]
    assert report["warnings"] == len(complaints(report, ("warning",)))
    ranks = len(report["ranks"])
    assert len(report["links"]) == ranks * (ranks - 1) // 2 and all(one["bytes_per_s"] > 0 for one in report["links"])
    assert {one["kind"] for one in report["collectives"]} == {"all_reduce", "all_gather", "reduce_scatter", "broadcast"}
    assert all(one["advice"] for one in report["findings"] if one["severity"] != "ok")
    text = doctor.start("--threads", 1)
    assert text.returncode == 0 and "Findings" in text.stdout and "0 errors" in text.stdout, text.stdout
    warnings = [one["text"] for one in report["findings"] if one["severity"] == "warning"]
    return f"{ranks} ranks, {report['notes']} notes, warnings of this machine: {warnings or 'none'}"


def few_open_files(doctor):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))

    expect(doctor.examine(before=limit), "warning", "limits")


def one_core(doctor):
    if len(os.sched_getaffinity(0)) < 2:
        return "skipped: there is one core"
    expect(doctor.examine(before=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})), "warning", "cores")


def spinning(doctor):
    threads = len(os.sched_getaffinity(0)) + 1
    report = doctor.examine("--threads", threads, environment={"OMP_WAIT_POLICY": "active"})
    expect(report, "warning", "waiting")


def capped_kernels(doctor):
    report = doctor.examine(environment={"DML_ISA": "portable"})
    if report["hosts"][0]["detected_instruction_set"] == "portable":
        return "skipped: kernels have one instruction set here"
    expect(report, "note", "cores")


def full_disk(doctor):
    place = doctor.folder / "small"
    place.mkdir()
    mount = f'mount -t tmpfs -o size=20m none "{place}" && exec "$@"'
    wrapper = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c", mount, "sh"]
    if subprocess.run([*wrapper, "true"], capture_output=True).returncode != 0:
        return "skipped: nothing can be mounted here"
    expect(doctor.examine("--run", place / "runs", code=CHECK_FAILED, wrapper=wrapper), "error", "disk")


def closed_folder(doctor):
    expect(doctor.examine("--run", "/proc/1", code=CHECK_FAILED), "error", "disk")


def slow_collectives(doctor):
    hardware = doctor.folder / "impossible.toml"
    hardware.write_text(IMPOSSIBLE)
    expect(doctor.examine("--hardware", hardware), "warning", "collectives")


def bad_input(doctor):
    for options in (["--hardware", "nothing"], ["extra"], ["--threads", "many"], ["--jason"]):
        result = doctor.start(*options)
        assert result.returncode == USAGE and result.stderr.count("\n") == 1, f"{options}: {result.returncode} {result.stderr}"


def wrong_loss(doctor, faulty):
    sites = doctor.folder / "sites"
    doctor.examine(binary=faulty, environment={"DML_FAULT": "list", "DML_FAULT_LIST": str(sites)})
    site = min(sites.read_text().split())
    report = doctor.examine(binary=faulty, environment={"DML_FAULT": site}, code=CHECK_FAILED)
    expect(report, "error", "training")
    return site


def gpus(doctor, emulator):
    """Emulated ones, of which one leaves a product out, or a sum of all."""
    environment = runner.emulated(emulator, "doctor")
    report = doctor.examine("--device", "cuda", environment=environment)
    assert complaints(report, ("error",)) == [], report["findings"]
    names = {one["operation"] for one in report["devices"][0]["operations"]}
    assert {"MatMul", "Attention", "Conv", "BatchNormGrad", "CrossEntropyGrad", "Dropout"} <= names, names
    transfers = report["devices"][0]["transfers"]
    assert {one["operation"] for one in transfers} == {"all_reduce", "all_gather", "reduce_scatter", "broadcast", "send"}
    told = {"EMULATOR_FAIL": "cublasLtMatmul:3:skip"}
    expect(doctor.examine("--device", "cuda", environment=environment | told, code=CHECK_FAILED), "error", "kernels")
    told = {"EMULATOR_FAIL": "ncclAllReduce:1:skip"}
    report = doctor.examine("--device", "cuda", "--deadline", 40, environment=environment | told, code=CHECK_FAILED)
    expect(report, "error", "nccl")
    assert report["trainings"][0]["layout"].endswith("on processors"), report["trainings"]
    return f"{len(names)} operations on each of {len(report['devices'])} GPUs"


def processes(doctor):
    mpi = Doctor(doctor.binary, doctor.folder, MPIRUN)
    report = mpi.examine("--threads", 1)
    assert complaints(report, ("error",)) == [], report["findings"]
    assert report["backend"] == "mpi" and len(report["ranks"]) == 4 and len(report["links"]) == 6
    assert len(report["hosts"]) == 1 and report["trainings"][0]["layout"] == "d=1 p=2 t=2"


def two_hosts(doctor):
    """Ranks 0 and 1 under one host name, 2 and 3 under another, which has other kernels and few files."""
    host = 'hostname node$((OMPI_COMM_WORLD_RANK / 2)); if [ $OMPI_COMM_WORLD_RANK -ge 2 ]; then FAULT; fi; exec "$@"'
    own_name = ["unshare", "--uts", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c"]
    if subprocess.run([*own_name, "hostname node0"], capture_output=True).returncode != 0:
        return "skipped: hosts cannot be named here"
    mpi = Doctor(doctor.binary, doctor.folder, MPIRUN)
    report = mpi.examine("--threads", 1, wrapper=[*own_name, host.replace("FAULT", "true"), "sh"])
    assert [one["name"] for one in report["hosts"]] == ["node0", "node1"], report["findings"]
    usual = complaints(report)
    assert all(severity == "warning" for severity, _ in usual), report["findings"]
    report = mpi.examine("--threads", 1, wrapper=[*own_name, host.replace("FAULT", "ulimit -n 100"), "sh"])
    expect(report, "warning", "limits")
    assert set(complaints(report)) - set(usual) <= {("warning", "limits")}, report["findings"]
    if report["hosts"][0]["detected_instruction_set"] != "portable":
        report = mpi.examine("--threads", 1, wrapper=[*own_name, host.replace("FAULT", "export DML_ISA=portable"), "sh"])
        expect(report, "warning", "alike")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--faulty", type=Path, help="dmltrain with faults that can be planted")
    parser.add_argument("--mpi", action="store_true", help="ranks as processes, and nothing else")
    parser.add_argument("--emulator", type=Path, help="folder of the emulated GPU: GPUs, and nothing else")
    options = parser.parse_args()
    cases = [clean, few_open_files, one_core, spinning, capped_kernels, full_disk, closed_folder, slow_collectives, bad_input]
    if options.faulty:
        cases.append(partial(wrong_loss, faulty=options.faulty.resolve()))
    if options.mpi:
        cases = [processes, two_hosts]
    if options.emulator:
        cases = [partial(gpus, emulator=runner.emulator_in(options.emulator))]
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            said = case(Doctor(options.binary.resolve(), Path(folder)))
        print(f"{getattr(case, 'func', case).__name__}: {said or 'found'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
