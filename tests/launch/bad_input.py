#!/usr/bin/env python3
"""Bad input through the command line: the exit code, one line on standard error that says what is wrong, no run folder,
and no rank left behind.

    tests/launch/bad_input.py [--mpi] [--only TEXT]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "parity"))
import runner  # noqa: E402  (its folder is known only now)

TIME_LIMIT_S = 60
USAGE, NOT_FINITE = 2, 3
KILLED = 128 + 9


@dataclass
class Case:
    name: str
    options: str  # FOLDER stands for the folder of made files, FIXTURES for that of the fixtures
    words: tuple = ()  # what the line must hold
    code: int = USAGE
    processes: int = 0  # ranks started by mpirun; 0: none
    beside: tuple = ()  # what mpirun starts as one more rank


def model(name, data=None, steps=2):
    """Options that train a fixture."""
    return f"--model FIXTURES/{name}.onnx --data FIXTURES/{data or name}.safetensors --steps {steps}"


def made(file, data):
    return f"--model FOLDER/{file} --data FIXTURES/{data}.safetensors --steps 2"


CASES = [
    Case("model file is missing", "--model FOLDER/absent.onnx --data builtin:text --steps 2", ("absent.onnx",)),
    Case("model file is empty", made("empty.onnx", "mlp_digits.ts17"), ("empty.onnx",)),
    Case("model file is cut off", made("cut.onnx", "mlp_digits.ts17"), ("cut.onnx",)),
    Case("model file is text", made("text.onnx", "mlp_digits.ts17"), ("text.onnx",)),
    Case("operation is unknown", made("unknown.onnx", "edge_shared"), ("Tanx",)),
    Case("external data is missing", made("edge_embed.onnx", "edge_embed"), ("edge_embed.onnx.data",)),
    Case("external data leaves the folder", made("outside.onnx", "edge_embed"), ("../",)),
    Case("model does not exist in the zoo", "--model gtp:layers=2 --data builtin:text --steps 2", ("gtp",)),
    Case("model option is unknown", "--model gpt:layer=2 --data builtin:text --steps 2", ("layer",)),
    Case("data file is missing", "--model FIXTURES/mlp_digits.ts17.onnx --data FOLDER/absent.bin --steps 2", ("absent.bin",)),
    Case("data file is cut off", "--model FIXTURES/mlp_digits.ts17.onnx --data FOLDER/cut.safetensors --steps 2", ("cut",)),
    Case("data is of another model", model("gpt_tiny.ts17", "mlp_digits.ts17"), ("tokens",)),
    Case("text is too short", "--model gpt --data text:FOLDER/short.txt --steps 2", ("short.txt",)),
    Case("text is empty", "--model gpt --data text:FOLDER/empty.txt --steps 2", ("empty.txt",)),
    Case("label is out of range", "--model FIXTURES/edge_gemm.onnx --data FOLDER/label.safetensors --steps 2", ("label", "99")),
    Case("fewer samples than microbatches", model("gpt_tiny.ts17") + " --d 2 --microbatches 3", ("4", "3")),
    Case("more stages than places to cut", model("mlp_digits.ts17") + " --p 64", ("64",)),
    Case("option is unknown", "--bogus 3", ("bogus",)),
    Case("option is nearly right", "--microbatch 3", ("--microbatches",)),
    Case("value is no number", "--d two", ("--d", "two")),
    Case("value is out of range", "--p 0", ("--p", "0")),
    Case("schedule is unknown", "--schedule gpip", ("gpip", "gpipe")),
    Case("glob matches no weight", model("mlp_digits.ts17") + " --no-decay zzz*", ("--no-decay zzz*",)),
    Case("validation that nobody asks for", model("mlp_digits.ts17") + " --val FOLDER/absent.bin", ("--val-every",)),
    Case("library of collectives for threads", model("mlp_digits.ts17") + " --collectives library", ("--collectives",)),
    Case("more threads than there can be", "--threads 100000", ("--threads", "4096")),
    Case("shaped link without a rate", "--shape-link 50 --steps 1", ("'50'", "50,10:d")),
    Case("shaped link of no axis", "--shape-link 50,1:x --d 2 --steps 1", ("--shape-link", "'x'")),
    Case("shaped link between hosts on one", "--shape-link 50,1 --d 2 --steps 1", ("one host", "50,10:d")),
    Case("shaped link along an axis of one rank", "--shape-link 50,1:t --d 2 --steps 1", ("--shape-link", "one rank")),
    Case("command is unknown", "trian", ("trian",)),
    Case("config file is missing", "--config FOLDER/absent.toml", ("absent.toml",)),
    Case("config file has an unknown key", "--config FOLDER/key.toml", ("bogus",)),
    Case("loss is not finite", model("mlp_digits.ts17", steps=20) + " --optimizer sgd --lr 1e30", ("step",), NOT_FINITE),
    Case("loss is not finite on threads", model("gpt_tiny.ts17", steps=20) + " --optimizer sgd --lr 1e30 --d 2 --t 2", ("step",), NOT_FINITE),
]  # fmt: skip

SMALL = "--model gpt:layers=2,width=16,heads=2,seq=8,vocab=256"
PLAN = f"plan {SMALL} --batch 8 --hardware a100-80g"
# Commands beside training: nothing may be left in the folder they are run in.
COMMAND_CASES = [
    Case("graph of a missing model", "graph --model FOLDER/absent.onnx --out out", ("absent.onnx",)),
    Case("graph of a model cut off", "graph --model FOLDER/cut.onnx --out out", ("cut.onnx",)),
    Case("graph of an unknown schedule", f"graph {SMALL} --p 2 --schedule gpip --out out", ("gpip", "gpipe", "zb-h1")),
    Case("graph of more stages than layers allow", f"graph {SMALL} --p 90 --out out", ("90",)),
    Case("graph of fewer samples than microbatches", f"graph {SMALL} --batch 4 --d 2 --microbatches 3 --out out", ("4", "3")),
    Case("graph in an unknown form", f"graph {SMALL} --emit svg,png --out out", ("png", "svg")),
    Case("graph of an action file that deadlocks", f"graph {SMALL} --p 2 --schedule file:FOLDER/orders.csv --out out", ("orders.csv",)),
    Case("simulate without times", "simulate --schedule 1f1b --devices 4 --html page.html", ("--tf",)),
    Case("simulate of a negative time", "simulate --devices 4 --tf -1 --tb 1 --tw 1 --html page.html", ("--tf", "-1")),
    Case("simulate of no number", "simulate --devices 4 --tf one --tb 1 --tw 1", ("--tf", "one")),
    Case("simulate of a time that is not finite", "simulate --devices 4 --tf nan --tb 1 --tw 1", ("--tf", "nan")),
    Case("simulate of an unknown schedule", "simulate --schedule zb-h9 --devices 4 --tf 1 --tb 1 --tw 1", ("zb-h9", "zb-h1", "gpipe")),
    Case("simulate of stages that do not divide", "simulate --schedule 1f1b --devices 4 --stages 6 --tf 1 --tb 1 --tw 1", ("4", "6")),
    Case("simulate of two times for four stages", "simulate --devices 4 --tf 1,2 --tb 1 --tw 1", ("2 values", "4 stages")),
    Case("simulate on unknown hardware", f"simulate {SMALL} --hardware a1000", ("a1000", "a100-80g")),
    Case("simulate on hardware cut off", f"simulate {SMALL} --hardware FOLDER/hardware.toml", ("hardware.toml",)),
    Case("simulate of more ranks than the hardware has", f"simulate {SMALL} --d 3 --hardware FOLDER/two.toml --html page.html", ("2 ranks", "3")),
    Case("plan of more ranks than the hardware has", f"plan {SMALL} --world 3 --hardware FOLDER/two.toml --csv plan.csv", ("2 ranks", "3")),
    Case("simulate of a model with times", f"simulate {SMALL} --hardware a100-80g --tf 1 --html page.html", ("--tf",)),
    Case("compare of a trace on a page of runs", "compare --trace FOLDER --schedule 1f1b --p 2 --html page.html", ("--html",)),
    Case("simulate of an action file cut off", "simulate --read FOLDER/orders.csv --tf 1 --tb 1 --tw 1", ("orders.csv",)),
    Case("simulate of a folder", "simulate --read FOLDER --tf 1 --tb 1 --tw 1", ("cannot be read",)),
    Case("simulate of schedules with a layout", "simulate --devices 4 --tf 1 --tb 1 --tw 1 --p 2", ("--p", "--hardware")),
    Case("calibrate with an option of training", "calibrate --steps 3 --out calibration.toml", ("--steps", "--threads")),
    Case("compare of a run with a schedule", "compare FOLDER --schedule gpipe", ("--schedule",)),
    Case("graph without weights of nothing", f"graph {SMALL} --no-weights --out out", ("--no-weights", "onnx")),
    Case("plan without a world", f"plan {SMALL} --hardware a100-80g --csv plan.csv", ("--world",)),
    Case("plan of no layout within the bounds", f"{PLAN} --world 8 --min-d 3 --max-d 3 --csv plan.csv", ("--world 8",)),
    Case("plan of bounds the wrong way round", f"{PLAN} --world 8 --min-p 4 --max-p 2 --html plan.html", ("--min-p 4", "--max-p 2")),
    Case("plan of too little memory", f"{PLAN} --world 2 --memory-limit 0.00001 --csv plan.csv", ("memory",)),
    Case("plan that is given a layout", f"{PLAN} --world 8 --d 2", ("--min-d",)),
    Case("plan measured without data", f"{PLAN} --world 2 --measure 2", ("--data",)),
    Case("plan measured on too many ranks", f"{PLAN} --data builtin:text --world 128 --measure 2", ("128",)),
    Case("plan measured for none", f"{PLAN} --data builtin:text --world 2 --measure 0", ("--measure", "0")),
    Case("plan on a missing calibration", f"plan {SMALL} --world 2 --hardware calibrated", ("calibrat",)),
    Case("planned training of another kind", f"{SMALL} --data builtin:text --steps 2 --plan best", ("best", "auto")),
    Case("planned training on unknown hardware", f"{SMALL} --data builtin:text --steps 2 --plan auto:a1000", ("a1000",)),
    Case("ranks without a plan", f"{SMALL} --data builtin:text --steps 2 --ranks 4", ("--ranks 4", "--plan")),
    Case("compare of nothing", "compare", ("--trace",)),
    Case("compare of no run", "compare FOLDER", ("config.toml",)),
    Case("compare of a folder that is missing", "compare FOLDER/absent", ("absent",)),
    Case("compare of runs of which one is missing", "compare FOLDER/absent FOLDER/nowhere", ("absent",)),
    Case("compare with a trace that is missing", "compare --trace FOLDER/absent.json --p 2", ("absent.json",)),
    Case("calibrate into a folder that is missing", "calibrate --out absent/calibration.toml", ("absent",)),
    Case("compare with a trace that is none", "compare --trace FOLDER/key.toml --p 2", ("key.toml",)),
]  # fmt: skip

MPI_CASES = [
    Case("layout is not the world", model("gpt_tiny.ts17") + " --d 3", ("3", "2"), processes=2),
    Case("model file is missing", "--model FOLDER/absent.onnx --data builtin:text --steps 2 --d 4", ("absent.onnx",), processes=4),
    Case("operation is unknown", made("unknown.onnx", "edge_shared") + " --t 2", ("Tanx",), processes=2),
    Case("fewer samples than microbatches", model("gpt_tiny.ts17") + " --d 2 --microbatches 3", ("4", "3"), processes=2),
    Case("option is unknown", "--bogus 3", ("bogus",), processes=4),
    Case("loss is not finite", model("gpt_tiny.ts17", steps=20) + " --optimizer sgd --lr 1e30 --d 2 --p 2", ("step",), NOT_FINITE, processes=4),
    Case("rank is killed while the ranks start", model("gpt_tiny.ts17") + " --d 2", ("rank 0", "starting"), KILLED, processes=1,
         beside=("sh", "-c", "sleep 1; kill -KILL $$")),
]  # fmt: skip


def with_labels(content, value):
    """A safetensors file whose step0.label holds this value everywhere."""
    size = int.from_bytes(content[:8], "little")
    begin, end = json.loads(content[8 : 8 + size])["step0.label"]["data_offsets"]
    label = value.to_bytes(8, "little") * ((end - begin) // 8)
    return content[: 8 + size + begin] + label + content[8 + size + end :]


def make_files(folder):
    fixtures = runner.FIXTURES
    mlp = (fixtures / "mlp_digits.ts17.onnx").read_bytes()
    embed = (fixtures / "edge_embed.onnx").read_bytes()
    # Patches keep the length, so that the file is as valid as before.
    contents = {
        "empty.onnx": b"",
        "cut.onnx": mlp[: len(mlp) // 2],
        "text.onnx": b"This is no model.\n" * 100,
        "unknown.onnx": (fixtures / "edge_shared.onnx").read_bytes().replace(b"Tanh", b"Tanx"),
        "edge_embed.onnx": embed,
        "outside.onnx": embed.replace(b"edge_embed.onnx.data", b"../../../../etc/host"),
        "cut.safetensors": (fixtures / "mlp_digits.ts17.safetensors").read_bytes()[:100_000],
        "label.safetensors": with_labels((fixtures / "edge_gemm.safetensors").read_bytes(), 99),
        "short.txt": b"a few words",
        "empty.txt": b"",
        "key.toml": b"bogus = 1\n",
        "two.toml": b'name = "two"\nbase = "a100-80g"\nranks = 2\n',
        "hardware.toml": b"name = \"half\n",
        "orders.csv": b"0F0,0F1,0B0\n1F0,1B0,1F",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def complaint(case, result, run):
    """What is wrong with how the run ended, or None."""
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    if result.returncode != case.code:
        return f"exit code {result.returncode}, not {case.code}"
    if len(lines) != 1:
        return f"{len(lines)} lines on standard error"
    absent = [word for word in case.words if word not in lines[0]]
    if absent:
        return f"the line lacks {', '.join(absent)}"
    if case.code == USAGE and run.exists():
        return "a run folder was made"
    return None


def is_command(options):
    return not options[0].startswith("-")


def try_case(case, binary, folder):
    """Runs one case, prints its line, and says whether it ended as it must."""
    run = folder / "run"
    options = case.options.replace("FOLDER", str(folder)).replace("FIXTURES", str(runner.FIXTURES)).split()
    launcher = ["mpirun", "-np", str(case.processes)] if case.processes else []
    command = [*launcher, str(binary), *options, *([] if is_command(options) else ["--run", str(run)])]
    if case.beside:
        command += [":", "-np", "1", *case.beside]
    before = sorted(folder.rglob("*"))
    try:
        result = subprocess.run(command, cwd=folder, env=runner.ENVIRONMENT, capture_output=True, text=True,
                                stdin=subprocess.DEVNULL, timeout=TIME_LIMIT_S)  # fmt: skip
        wrong, said = complaint(case, result, run), result.stderr.strip()
        if wrong is None and case.code == USAGE and sorted(folder.rglob("*")) != before:
            wrong = "files were written"
    except subprocess.TimeoutExpired:
        wrong, said = f"no end after {TIME_LIMIT_S} s", ""
    print(f"{'OFF' if wrong else 'ok '} {case.name}{f' ({case.processes} processes)' if case.processes else ''}: {wrong or said}")
    if wrong:
        print(f"    {runner.shown(command)}\n    {said[:600]}")
    return not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=runner.BINARY, type=Path)
    parser.add_argument("--mpi", action="store_true", help="the cases under mpirun")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose name holds this")
    arguments = parser.parse_args()
    chosen = [case for case in (MPI_CASES if arguments.mpi else CASES + COMMAND_CASES) if arguments.only in case.name]
    good = 0
    for case in chosen:
        with tempfile.TemporaryDirectory() as folder:
            make_files(Path(folder))
            good += try_case(case, arguments.binary.resolve(), Path(folder))
    print(f"{good} of {len(chosen)}")
    return 0 if chosen and good == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
