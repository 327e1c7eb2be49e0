#!/usr/bin/env python3
"""`dmltrain submit` on a real Slurm of two nodes, started and stopped here: jobs run, are stopped and go on bitwise.

    tests/cluster/slurm.py --binary BINARY [--only TEXT]
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "parity"))
import runner  # noqa: E402  (its folder is known only now)
import tensors  # noqa: E402
from slurm_daemons import SlurmDaemons, missing_programs  # noqa: E402

SKIPPED = 77
WAIT_S = 240
TRAINING = (
    "--model gpt:layers=4,width=32,heads=4,seq=16,vocab=256,dropout=0.1,tied=1 --data builtin:text --batch 12 "
    "--d 2 --p 2 --t 2 --threads 1 --deadline 60"
)
STEPS = 300  # some seconds: enough for a signal in the middle
# Two nodes on one machine share the folder through which PMIx meets, so srun cannot start ranks on both.
BOTH_NODES = "--nodes 2 --launcher mpirun"


class Trial:
    """Jobs in a folder of their own."""

    def __init__(self, slurm, binary, folder):
        self.slurm, self.binary, self.folder = slurm, binary, folder
        self.environment = {**runner.ENVIRONMENT, **slurm.settings, "XDG_CONFIG_HOME": str(folder)}

    def dmltrain(self, *words, code=0):
        command = [str(self.binary), *(word for text in words for word in str(text).split())]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=WAIT_S
        )
        assert done.returncode == code, f"{command} ended with {done.returncode}:\n{done.stdout[-900:]}{done.stderr}"
        return done.stdout + done.stderr

    def submit(self, *words, steps=STEPS):
        """The number of a job that trains."""
        text = self.dmltrain("submit", TRAINING, "--steps", steps, *words)
        return re.search(r"submitted job (\d+)", text).group(1)

    def state(self, job):
        return re.findall(r"JobState=(\w+)", self.slurm.ask("scontrol", "-o", "show", "job", job))

    def wait_for(self, done, what):
        end = time.monotonic() + WAIT_S
        while not done():
            assert time.monotonic() < end, f"no {what} in {WAIT_S} s"
            time.sleep(0.3)

    def wait_for_steps(self, run, count=5):
        self.wait_for(lambda: len(self.steps(run)) >= count, f"step {count}")

    def wait_for_end(self, job):
        over = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED"}
        self.wait_for(lambda: set(self.state(job)) <= over, f"end of job {job}, {self.state(job)}")
        return self.state(job)

    def steps(self, run):
        path = self.folder / run / "steps.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line)["step"] for line in lines if line.endswith("}")]

    def log(self, job):
        return (self.folder / f"dmltrain-{job}.log").read_text(errors="replace")

    def signal(self, job):
        self.slurm.ask("scancel", "--batch", "--signal=USR1", job)

    def whole(self, steps=STEPS):
        """The end of a run that nothing interrupts."""
        path = self.folder / "whole.safetensors"
        self.dmltrain(TRAINING, "--steps", steps, "--run whole --dump", path)
        return tensors.final(path)

    def same_end(self, dump, steps=STEPS):
        a, b = self.whole(steps), tensors.final(self.folder / dump)
        assert a and a == b, f"{sum(a[name] != b.get(name) for name in a)} of {len(a)} final tensors differ"


def runs_over_both_nodes(trial):
    text = trial.dmltrain("submit", TRAINING, BOTH_NODES, "--steps 20 --run r --dump d.safetensors --wait")
    assert "8 ranks" in text and "done, in r" in text, text
    trial.same_end("d.safetensors", 20)


def srun_starts_ranks_of_a_node(trial):
    words = "--d 1 --nodes 1 --steps 20 --run r --dump d.safetensors"
    assert "srun --mpi=pmix" in trial.dmltrain("submit", TRAINING, words, "--print"), "the launcher that the site has"
    trial.dmltrain("submit", TRAINING, words, "--wait")
    assert trial.steps("r")[-1] == 19


def srun_hands_the_signal_on(trial):
    job = trial.submit("--d 1 --nodes 1 --launcher srun --run r")
    trial.wait_for_steps("r")
    trial.signal(job)
    assert trial.wait_for_end(job) == ["COMPLETED"], trial.log(job)
    assert "goes on after step" in trial.log(job)


def cancel_saves(trial):
    job = trial.submit(BOTH_NODES, "--run r", steps=100000)
    trial.wait_for_steps("r")
    assert "RUNNING" in trial.dmltrain("submit status", job)
    trial.dmltrain("submit cancel", job)
    assert trial.wait_for_end(job) == ["CANCELLED"], trial.log(job)
    assert list((trial.folder / "r" / "checkpoints").glob("step_*.safetensors")), trial.log(job)
    assert "stopped by USR2" in trial.dmltrain("submit logs", job)


def cancel_of_a_waiting_job(trial):
    job = trial.submit(BOTH_NODES, "--sbatch hold")
    trial.dmltrain("submit cancel", job)
    assert trial.wait_for_end(job) == ["CANCELLED"]


def a_signal_requeues(trial):
    job = trial.submit(BOTH_NODES, "--run r --dump d.safetensors")
    trial.wait_for_steps("r")
    trial.signal(job)
    assert trial.wait_for_end(job) == ["COMPLETED"], trial.log(job)
    assert "goes on after step" in trial.log(job)
    trial.same_end("d.safetensors")


def the_time_limit_requeues(trial):
    # Slurm counts in minutes, and sends the signal up to a minute early: here soon after the start.
    steps = 1500
    job = trial.submit(BOTH_NODES, "--run r --dump d.safetensors --time 1 --grace 50", steps=steps)
    assert trial.wait_for_end(job) == ["COMPLETED"], trial.log(job)
    assert "stopped by USR1" in trial.log(job), "it was over before its limit"
    trial.same_end("d.safetensors", steps)


def preemption_requeues(trial):
    job = trial.submit(BOTH_NODES, "--partition low --run r --dump d.safetensors")
    trial.wait_for_steps("r")
    urgent = trial.submit(BOTH_NODES, "--partition high --run urgent", steps=5)
    assert trial.wait_for_end(urgent) == ["COMPLETED"], trial.log(urgent)
    assert trial.wait_for_end(job) == ["COMPLETED"], trial.log(job)
    assert "goes on after step" in trial.log(job)
    trial.same_end("d.safetensors")


def a_chain_goes_on(trial):
    job = trial.submit(BOTH_NODES, "--array 3 --dump d.safetensors")
    run = f"runs/dmltrain-{job}"
    trial.wait_for_steps(run)
    trial.signal(f"{job}_1")
    trial.wait_for(lambda: trial.log(job).count("goes on after step") == 1, "second job of the chain")
    trial.wait_for_end(job)
    assert set(trial.state(job)) == {"COMPLETED"}, trial.log(job)
    assert f"the training in {run} is done" in trial.log(job), "the third has nothing to do"
    trial.same_end("d.safetensors")


def a_failing_rank_says_why(trial):
    text = trial.dmltrain("submit", TRAINING, BOTH_NODES, "--steps 50 --lr 1e30 --run r --wait", code=3)
    assert re.search(r"failed with exit code 3: .*(loss|gradient)", text.strip().splitlines()[-1]), text


def a_failing_chain_ends(trial):
    job = trial.submit(BOTH_NODES, "--array 3 --lr 1e30", steps=50)
    states = trial.wait_for_end(job)
    assert "FAILED" in states and "CANCELLED" in states and "COMPLETED" not in states, states


def a_killed_rank_says_so(trial):
    job = trial.submit(BOTH_NODES, "--run r", steps=100000)
    trial.wait_for_steps("r")
    found = subprocess.run(["pgrep", "-f", "--", f"--steps 100000 .*--run r "], capture_output=True, text=True, check=True)
    ranks = [pid for pid in found.stdout.split() if os.readlink(f"/proc/{pid}/exe") == str(trial.binary)]
    assert ranks, f"no rank runs: {trial.log(job)}"
    os.kill(int(ranks[-1]), signal.SIGKILL)
    assert trial.wait_for_end(job) == ["FAILED"], trial.log(job)
    assert "failed with exit code" in trial.log(job).splitlines()[-1], trial.log(job)
    assert not trial.log(job).endswith(": \n"), "no reason"


def refusals_are_slurms_words(trial):
    text = trial.dmltrain("submit", TRAINING, BOTH_NODES, "--partition nowhere", code=2)
    assert "invalid partition specified: nowhere" in text and text.count("\n") == 1, text
    assert "Invalid job id" in trial.dmltrain("submit status 999999", code=2)


CHECKS = [
    runs_over_both_nodes,
    srun_starts_ranks_of_a_node,
    srun_hands_the_signal_on,
    refusals_are_slurms_words,
    cancel_of_a_waiting_job,
    cancel_saves,
    a_failing_rank_says_why,
    a_failing_chain_ends,
    a_killed_rank_says_so,
    a_signal_requeues,
    a_chain_goes_on,
    preemption_requeues,
    the_time_limit_requeues,
]


def run_check(check, slurm, binary):
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dml-jobs-") as folder:
        try:
            check(Trial(slurm, binary, Path(folder)))
        except (AssertionError, subprocess.TimeoutExpired) as error:
            print(f"OFF {check.__name__}: {error}", flush=True)
            return False
        finally:
            slurm.cancel_all()
    print(f"ok  {check.__name__} ({time.monotonic() - begin:.0f} s)", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--only", default="", help="checks whose name holds this")
    arguments = parser.parse_args()
    missing = missing_programs()
    if missing:
        print(f"no {', '.join(missing)}: launch/setup --slurm installs them")
        return SKIPPED
    checks = [check for check in CHECKS if arguments.only in check.__name__]
    with tempfile.TemporaryDirectory(prefix="dml-slurm-") as folder, SlurmDaemons(folder) as slurm:
        passed = sum(run_check(check, slurm, arguments.binary.resolve()) for check in checks)
    print(f"{passed} of {len(checks)}")
    return 0 if passed == len(checks) else 1


if __name__ == "__main__":
    sys.exit(main())
