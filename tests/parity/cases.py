"""Which trainings the parity suite tries: a case is one fixture, optimizer, layout, tensor mode, schedule and number of
microbatches, run over threads or over MPI processes."""

import itertools
from dataclasses import dataclass, replace

LAYOUTS = [
    (1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2), (2, 2, 1), (2, 1, 2), (1, 2, 2), (2, 2, 2),
    (4, 1, 1), (1, 4, 1), (1, 1, 4), (1, 2, 4), (2, 4, 1), (3, 1, 1), (1, 3, 1), (1, 1, 3),
]  # fmt: skip
MODES = ["gather", "megatron"]
SCHEDULES = ["gpipe", "1f1b"]
MICROBATCHES = [1, 2, 3, 4]
OPTIMIZERS = ["sgd", "adamw"]
FACTORS = [LAYOUTS, MODES, SCHEDULES, MICROBATCHES, OPTIMIZERS]
# Fields that a case's name holds only where they differ from the default.
UNUSUAL = {"isa": ["portable", "avx2"], "comm": ["mpi"], "collectives": ["library"], "device": ["cuda"], "means": ["module"],
           "gather": ["in3parts"], "step": ["replayed"]}  # fmt: skip
STEPS = 20
SHORT = 5  # steps where there are many cases of one model

MAIN_MODEL = "gpt_tiny.ts17"
# What makes the model of the PyTorch module again of what its exporter wrote.
MODULES = {
    "edge_split.ts17": ["--tie", "tok.weight=onnx::MatMul_327"],
    "edge_merged.dynamo": ["--untie", "blocks.0.ln1.weight", "--untie", "blocks.0.ln1.bias"],
}
MPI_LAYOUTS = [(1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2), (2, 2, 2), (1, 1, 3)]


@dataclass(frozen=True)
class Case:
    fixture: str
    layout: tuple = (1, 1, 1)
    mode: str = "auto"
    schedule: str = "1f1b"
    microbatches: int = 1
    optimizer: str = "sgd"
    steps: int = STEPS
    isa: str = "auto"
    comm: str = "thread"
    collectives: str = "own"
    device: str = "cpu"
    means: str = "file"
    gather: str = "auto"
    step: str = "by_task"

    @property
    def world(self):
        d, p, t = self.layout
        return d * p * t

    @property
    def reorders(self):
        """Whether sums are in another order than on one rank with all that this processor can do."""
        return self.layout[2] > 1 or self.isa != "auto" or self.device != "cpu"

    def __str__(self):
        layout = ",".join(map(str, self.layout))
        always = [self.fixture, self.optimizer, layout, self.mode, self.schedule, f"m{self.microbatches}"]
        unusual = [getattr(self, name) for name in UNUSUAL if getattr(self, name) != getattr(Case, name)]
        return "/".join([*always, f"{self.steps}steps", *unusual])

    @staticmethod
    def parse(text):
        """The case whose str() this is."""
        fixture, optimizer, layout, mode, schedule, microbatches, steps, *unusual = text.split("/")
        named = {name: value for value in unusual for name, values in UNUSUAL.items() if value in values}
        layout = tuple(map(int, layout.split(",")))
        return Case(fixture, layout, mode, schedule, int(microbatches[1:]), optimizer,
                    int(steps.removesuffix("steps")), **named)  # fmt: skip

    def command(self, binary, fixture, run, dump):
        """The command line, without what launch/env sets."""
        rates = fixture.hyperparameters[self.optimizer]
        d, p, t = self.layout
        options = {
            "model": fixture.model, "data": fixture.data, "optimizer": self.optimizer, "lr": rates["lr"],
            "steps": self.steps, "d": d, "p": p, "t": t, "microbatches": self.microbatches,
            "tensor-mode": self.mode, "schedule": self.schedule, "run": run, "dump": dump, "deadline": 60,
            "device": self.device,
        }  # fmt: skip
        if self.optimizer == "sgd":
            options["momentum"] = rates["momentum"]
        else:
            options["weight-decay"] = rates["weight_decay"]
        if self.isa != "auto":
            options["isa"] = self.isa
        if self.collectives != "own":
            options["collectives"] = self.collectives
        if self.gather != "auto":
            options["gather-parts"] = 3
        launcher = ["mpirun", "-np", self.world] if self.comm == "mpi" else []
        flags = itertools.chain.from_iterable((f"--{name}", value) for name, value in options.items())
        edits = MODULES[self.fixture] if self.means == "module" else []
        graph = ["--cuda-graph"] if self.step == "replayed" else []
        return [str(part) for part in [*launcher, binary, *flags, *edits, *graph]]


def why_left_out(case, fixture):
    """Why a case has no meaning, or None."""
    parts = case.layout[0] * case.microbatches
    if parts > fixture.batch:
        return f"d·m above the batch of {fixture.batch}"
    if parts > 1 and fixture.has_statistics:
        return "batch norm with d·m > 1 is another computation"
    return None


def combinations(name, steps=STEPS):
    """The full product of all choices, with or without a meaning."""
    return [Case(name, *values, steps=steps) for values in itertools.product(*FACTORS)]


def rows(name, fixture, steps):
    """Every case of a fixture that has a meaning."""
    return [case for case in combinations(name, steps) if not why_left_out(case, fixture)]


def choices(case):
    return [case.layout, case.mode, case.schedule, case.microbatches, case.optimizer]


def pairs(case):
    """What a case covers: each two of its choices together."""
    return set(itertools.combinations(enumerate(choices(case)), 2))


def cover(name, fixture, steps):
    """Few cases in which every two choices that can meet do meet: greedily the case with the most pairs not met yet."""
    candidates = [(case, pairs(case)) for case in rows(name, fixture, steps)]
    missing = set().union(*(met for _, met in candidates))
    chosen = []
    while missing:
        best, met = max(candidates, key=lambda candidate: len(candidate[1] & missing))
        chosen.append(best)
        missing -= met
    return chosen


def each_layout(name, fixture, steps):
    """One case for every layout, the other choices in turn."""
    chosen = []
    for number, layout in enumerate(LAYOUTS):
        fitting = [case for case in rows(name, fixture, steps) if case.layout == layout]
        if fitting:
            chosen.append(fitting[number * 7 % len(fitting)])
    return chosen


def single(name):
    return [Case(name, optimizer=optimizer) for optimizer in OPTIMIZERS]


def modules(name):
    """The PyTorch module in place of the file, on one rank and where the tied or merged weights are on several."""
    layouts = [(1, 1, 1), (1, 2, 1), (2, 2, 2)] if name in MODULES else []
    return [Case(name, layout, optimizer=o, means="module") for layout, o in itertools.product(layouts, OPTIMIZERS)]


def instruction_sets(name):
    return [Case(name, isa=isa, optimizer=o) for isa, o in itertools.product(UNUSUAL["isa"], OPTIMIZERS)]


def quick(fixtures):
    cases = [case for name in fixtures for case in single(name) + modules(name)]
    for name, fixture in fixtures.items():
        cases += instruction_sets(name) if name in (MAIN_MODEL, "resnet_tiny.ts17") else []
        cases += cover(name, fixture, SHORT) if name == MAIN_MODEL else each_layout(name, fixture, STEPS)
    return cases


def full(fixtures):
    cases = [case for name in fixtures for case in single(name) + modules(name) + instruction_sets(name)]
    for name, fixture in fixtures.items():
        cases += rows(name, fixture, SHORT) if name == MAIN_MODEL else cover(name, fixture, STEPS)
    return cases


def product(fixtures):
    return [case for name, fixture in fixtures.items() for case in rows(name, fixture, STEPS)]


def mpi(fixtures):
    cases = []
    for name in [n for n in (MAIN_MODEL, "gpt_sdpa.dynamo", "mlp_digits.ts17") if n in fixtures]:
        for number, layout in enumerate(MPI_LAYOUTS):
            cases.append(Case(name, layout, microbatches=1 if layout[1] == 1 else 2, comm="mpi",
                              optimizer=OPTIMIZERS[number % 2]))  # fmt: skip
        cases.append(replace(cases[-2], collectives="library"))  # the one over all three axes
    return cases


def gpu_threads(fixtures):
    """Every fixture at every layout on GPUs, the other choices in turn."""
    cases = [case for name, fixture in fixtures.items() for case in each_layout(name, fixture, SHORT)]
    return [replace(case, device="cuda") for case in cases]


def gpu(fixtures):
    """Every fixture at every layout on GPUs, and the main model over processes too."""
    chosen = gpu_threads(fixtures)
    for number, layout in enumerate(MPI_LAYOUTS[1:]):
        chosen.append(Case(MAIN_MODEL, layout, microbatches=2, comm="mpi", steps=SHORT, device="cuda",
                           optimizer=OPTIMIZERS[number % 2]))  # fmt: skip
    # Products that are gathered in parts, also where ranks have unevenly many columns.
    for layout, comm in [((1, 1, 2), "thread"), ((1, 1, 3), "mpi"), ((2, 2, 2), "thread")]:
        chosen.append(Case(MAIN_MODEL, layout, "gather", microbatches=2, comm=comm, steps=SHORT, device="cuda",
                           gather="in3parts"))  # fmt: skip
    # Steps that are one graph each.
    for layout, comm in [((1, 1, 1), "thread"), ((2, 2, 2), "thread"), ((1, 2, 1), "mpi")]:
        chosen.append(Case(MAIN_MODEL, layout, microbatches=2, comm=comm, steps=SHORT, device="cuda", optimizer="adamw",
                           step="replayed"))  # fmt: skip
    return chosen


def gpu_processes(fixtures):
    """Every fixture at every layout on GPUs, each rank a process."""
    return [replace(case, comm="mpi") for case in gpu_threads(fixtures)]


def gpu_orders(fixtures):
    """What is run under all orders of work of the emulated GPU: the main model, split along all axes."""
    whole = Case(MAIN_MODEL, (2, 2, 2), microbatches=2, steps=SHORT, optimizer="adamw", device="cuda")
    return [replace(whole, mode=mode) for mode in MODES]


SUITES = {suite.__name__: suite for suite in (quick, full, product, mpi, gpu, gpu_processes, gpu_orders)}
