#!/usr/bin/env python3
"""A training that goes on from a checkpoint ends with the bits of one that was never interrupted.

    tests/launch/resume.py BINARY [--signals N]
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "parity"))
import tensors  # noqa: E402  (its folder is known only now)

STEPS = 12
STOPPED = 75  # the exit code of a run that a signal ended
TINY_GPT = "--model gpt:layers=4,width=32,heads=4,seq=16,vocab=256,dropout=0.1,tied=1 --data builtin:text --batch 12 --warmup 3"
LONG_GPT = TINY_GPT.replace("width=32", "width=64")
RESNET = "--model FIXTURES/resnet_tiny.ts17.onnx --data FIXTURES/resnet_tiny.ts17.safetensors"
CASES = [
    f"{TINY_GPT} --optimizer adamw",
    f"{TINY_GPT} --optimizer sgd --momentum 0.9 --clip 1",
    f"{TINY_GPT} --d 2 --p 2 --t 2 --microbatches 3",
    f"{TINY_GPT} --p 2 --schedule zb-v --microbatches 4",
    f"{TINY_GPT} --d 3 --t 2 --optimizer sgd",
    f"{RESNET} --optimizer sgd --lr 0.002 --momentum 0.9 --p 2",
]
FIXTURES = Path(__file__).resolve().parents[1] / "data" / "fixtures"


class Trial:
    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder

    def command(self, options, run, *more):
        options = options.replace("FIXTURES", str(FIXTURES)).split()
        return [str(self.binary), *options, "--threads", "1", "--run", str(self.folder / run), *map(str, more)]

    def run(self, options, run, *more, code=0):
        result = subprocess.run(self.command(options, run, *more), capture_output=True, text=True, timeout=300)
        assert result.returncode == code, f"{more} ended with {result.returncode}:\n{result.stdout[-500:]}{result.stderr}"
        return result.stdout + result.stderr

    def dump(self, name):
        return self.folder / f"{name}.safetensors"

    def losses(self, run):
        lines = (self.folder / run / "steps.jsonl").read_text().splitlines()
        return [(line["step"], line["loss"]) for line in map(json.loads, lines)]


def same_end(trial, whole, parts):
    a, b = tensors.final(trial.dump(whole)), tensors.final(trial.dump(parts))
    assert a and a == b, f"{sum(a[n] != b.get(n) for n in a)} of {len(a)} final tensors differ"


def goes_on_bitwise(trial, options):
    trial.run(options, "whole", "--steps", STEPS, "--dump", trial.dump("whole"))
    trial.run(options, "parts", "--steps", STEPS, "--checkpoint-every", 5)
    newest = trial.folder / "parts" / "checkpoints" / f"step_{STEPS:08}.safetensors"
    newest.unlink()  # what a run has that was killed between its checkpoints
    said = trial.run(options, "parts", "--steps", STEPS, "--resume", "auto", "--dump", trial.dump("parts"))
    assert "goes on after step 10" in said, said
    same_end(trial, "whole", "parts")
    assert trial.losses("whole") == trial.losses("parts"), "the lines of steps.jsonl differ"


def other_layouts_go_on(trial):
    """From any layout to any other, to rounding."""
    trial.run(CASES[0], "one", "--steps", 6, "--checkpoint-every", 3)
    trial.run(CASES[0], "more", "--steps", 9, "--p", 2, "--t", 2, "--resume", trial.folder / "one")
    trial.run(CASES[0], "all", "--steps", 9)
    for (step, a), (_, b) in zip(trial.losses("more"), trial.losses("all")[6:]):
        assert abs(a - b) < 1e-4, f"step {step}: {a} and {b}"


def a_cut_file_is_passed_over(trial):
    trial.run(CASES[0], "whole", "--steps", STEPS, "--dump", trial.dump("whole"))
    trial.run(CASES[0], "cut", "--steps", 8, "--checkpoint-every", 4)
    newest = trial.folder / "cut" / "checkpoints" / "step_00000008.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    said = trial.run(CASES[0], "cut", "--steps", STEPS, "--resume", "auto", "--dump", trial.dump("cut"))
    assert "the checkpoint before it is used" in said and "goes on after step 4" in said, said
    same_end(trial, "whole", "cut")


def mistakes_are_one_line(trial):
    trial.run(CASES[0], "one", "--steps", 2, "--checkpoint-every", 2)
    checkpoints = trial.folder / "one" / "checkpoints"
    other_model = CASES[0].replace("width=32", "width=16")
    for options, more, text in [
        (other_model, ["--steps", 4, "--resume", checkpoints], "of another model: 'weight."),
        (CASES[0], ["--steps", 4, "--seed", 7, "--resume", checkpoints], "written with seed 0, now 7"),
        (CASES[0], ["--steps", 4, "--batch", 24, "--resume", checkpoints], "written with batch 12, now 24"),
        (CASES[1], ["--steps", 4, "--resume", checkpoints], "written with optimizer adamw, now sgd"),
        (CASES[0], ["--steps", 2, "--resume", checkpoints], "2 steps are done already"),
        (CASES[0], ["--steps", 2, "--resume", trial.folder / "nothing"], "no checkpoint is there"),
    ]:
        said = trial.run(options, "refused", *more, code=2)
        assert text in said and said.count("dmltrain: error") == 1, said
        assert not (trial.folder / "refused").exists(), "a run folder was made"


def signals_lose_nothing(trial, count):
    """A signal at a random time, then --resume auto until the run is done: the bits of a run without signals."""
    options, steps = LONG_GPT + " --d 2 --p 2", 60
    trial.run(options, "whole", "--steps", steps, "--dump", trial.dump("whole"))
    source = random.Random(1)
    stopped = 0
    for trial_number in range(count):
        run = f"signalled{trial_number}"
        while True:
            more = ["--steps", steps, "--resume", "auto", "--dump", trial.dump(run)]
            process = subprocess.Popen(trial.command(options, run, *more), stdout=subprocess.PIPE, text=True)
            for line in process.stdout:
                if line.startswith("step"):  # before that there is no training to save
                    break
            time.sleep(source.uniform(0, 0.3))
            process.send_signal(source.choice([signal.SIGTERM, signal.SIGUSR1]))
            process.send_signal(signal.SIGTERM)  # a second one is harmless
            process.communicate(timeout=120)
            if process.returncode == 0:
                break
            assert process.returncode == STOPPED, process.returncode
            stopped += 1
        same_end(trial, "whole", run)
    assert stopped >= count, f"{stopped} of {count} runs were stopped"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=Path)
    parser.add_argument("--signals", type=int, default=4, help="runs that signals interrupt")
    arguments = parser.parse_args()
    checks = [(options, lambda trial, options=options: goes_on_bitwise(trial, options)) for options in CASES]
    checks += [(check.__name__, check) for check in (other_layouts_go_on, a_cut_file_is_passed_over, mistakes_are_one_line)]
    checks.append(("signals_lose_nothing", lambda trial: signals_lose_nothing(trial, arguments.signals)))
    failed = 0
    for name, check in checks:
        with tempfile.TemporaryDirectory() as folder:
            try:
                check(Trial(arguments.binary, Path(folder)))
                print(f"ok  {name}", flush=True)
            except AssertionError as error:
                failed += 1
                print(f"OFF {name}: {error}", flush=True)
    print(f"{len(checks) - failed} of {len(checks)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
