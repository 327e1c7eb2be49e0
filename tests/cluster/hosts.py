#!/usr/bin/env python3
"""Several hosts: network namespaces with addresses and host names of their own, and MPI over TCP between them.

    tests/cluster/hosts.py BINARY

Training over hosts gives the bits of the same layout on one host. A host that vanishes, with its processes or with its
link, ends the run in time, with one line that names it, and leaves no process behind. Needs root and ip; else it is
skipped (77).
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "parity"))
import tensors  # noqa: E402  (its folder is known only now)

SKIPPED = 77
DEADLINE_S = 3
GRACE_S = 2  # after the deadline
LAUNCHER_S = 10  # after the last rank
TINY = "--model gpt:layers=4,width=32,heads=4,seq=16,vocab=256 --data builtin:text --batch 12 --microbatches 2"
# Weights and their update are most of a step, so that a moment of it is most likely in the update.
HEAVY = "--model gpt:layers=4,width=512,heads=4,seq=8,vocab=256 --data builtin:text --batch 4 --microbatches 2"
PARITY = [
    (2, "--d 2 --t 2"),
    (2, "--p 2 --t 2"),
    (4, "--d 4"),
    (4, "--p 2 --t 2"),
    (4, "--d 2 --p 2"),
    (4, "--d 2 --p 2 --t 2"),
]


def ip(*words, check=True):
    return subprocess.run(["ip", *map(str, words)], check=check, capture_output=True, text=True).stdout


class Hosts:
    """Namespaces on one bridge. The bridge's own end, with mpirun on it, is none of the hosts."""

    def __init__(self, count, folder):
        self.mark = f"{os.getpid() % 100000}"
        self.net = f"10.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250}"
        self.names = [f"dml{self.mark}n{i}" for i in range(count)]
        self.agent = folder / f"agent{count}"

    def __enter__(self):
        bridge = f"dmlb{self.mark}"
        ip("link", "add", bridge, "type", "bridge")
        ip("addr", "add", f"{self.net}.254/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        for i, name in enumerate(self.names):
            ip("netns", "add", name)
            ip("link", "add", self.link(i), "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", self.link(i), "master", bridge, "up")
            ip("-n", name, "addr", "add", f"{self.net}.{i + 1}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        # What mpirun takes for ssh: the last part of the address is the number of the host, from 1.
        self.agent.write_text(
            f"""#!/bin/sh
name=dml{self.mark}n$((${{1##*.}} - 1)); shift
exec ip netns exec $name unshare -u sh -c "hostname $name; $*"
"""
        )
        self.agent.chmod(0o755)
        return self

    def __exit__(self, *_):
        for i, name in enumerate(self.names):
            self.kill(i)
            ip("netns", "del", name, check=False)
            ip("link", "del", self.link(i), check=False)
        ip("link", "del", f"dmlb{self.mark}", check=False)

    def link(self, i):
        return f"dmlv{self.mark}n{i}"

    def processes(self, i):
        return [int(word) for word in ip("netns", "pids", self.names[i]).split()]

    def kill(self, i):
        for process in self.processes(i):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def cut(self, i):
        ip("link", "set", self.link(i), "down")

    def mpirun(self, ranks, on_first_host=False):
        """mpirun beside the hosts, or on the first of them, where Slurm and people start it."""
        each = ranks // len(self.names)
        places = ",".join(f"{self.net}.{i + 1}:{each}" for i in range(len(self.names)))
        settings = {
            "plm_rsh_agent": self.agent,
            "btl": "tcp,self",
            "btl_tcp_if_include": f"{self.net}.0/24",
            "oob_tcp_if_include": f"{self.net}.0/24",
            "oob_tcp_keepalive_time": 1,
            "oob_tcp_keepalive_intvl": 1,
            "oob_tcp_keepalive_probes": 2,
        }
        words = [str(word) for name, value in settings.items() for word in ("--mca", name, value)]
        inside = f"ip netns exec {self.names[0]} unshare -u sh -c".split() if on_first_host else []
        command = ["mpirun", *words, "-np", str(ranks), "-H", places]
        return [*inside, f'hostname {self.names[0]}; exec "$0" "$@"', *command] if inside else command


def environment():
    """That of launch/env, without its PATH."""
    text = subprocess.run([". launch/env; env"], shell=True, capture_output=True, text=True, check=True).stdout
    own = dict(line.split("=", 1) for line in text.splitlines() if line.startswith("OMPI_"))
    return {**os.environ, **own}


def ranks_of(layout):
    ranks = 1
    for number in re.findall(r"--[dpt] (\d+)", layout):
        ranks *= int(number)
    return ranks


def train(launcher, binary, options, env):
    command = [*launcher, str(binary), *options.split(), "--threads", "1"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)


def trains_like_one_host(binary, folder, env, count, layout):
    options = f"{TINY} {layout} --steps 4 --seed 3"
    ranks = ranks_of(layout)
    dumps = [folder / f"{name}.safetensors" for name in ("one", "several")]
    with Hosts(count, folder) as hosts:
        for launcher, dump in zip((["mpirun", "-np", str(ranks)], hosts.mpirun(ranks)), dumps):
            done = train(launcher, binary, f"{options} --dump {dump} --run {dump}.run", env)
            assert done.returncode == 0, f"{launcher[:1]} ended with {done.returncode}: {done.stderr[-600:]}"
        for name in hosts.names:
            assert name in done.stdout, f"the first page has no {name}:\n{done.stdout[:1500]}"
        assert "between hosts" in done.stdout, f"no axis is said to cross hosts:\n{done.stdout[:1500]}"
    one, several = map(tensors.final, dumps)
    assert one and one == several, f"{sum(one[n] != several.get(n) for n in one)} of {len(one)} weights differ"


class Run:
    """A training that runs while the test looks on."""

    def __init__(self, hosts, binary, folder, env, options, on_first_host):
        self.hosts, self.binary, self.folder = hosts, binary, folder / "run"
        self.out, self.err = folder / "out", folder / "err"
        run = f"--deadline {DEADLINE_S} --threads 1 --steps 100000 --run {self.folder}"
        command = [*hosts.mpirun(len(hosts.names), on_first_host), str(binary), *options.split(), *run.split()]
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err, env=env)

    def wait_for(self, what, seconds=30):
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, f"never came to the moment; {self.said()}"
            assert self.process.poll() is None, f"ended too early; {self.said()}"
            time.sleep(0.002)

    def said(self):
        return f"output: {self.out.read_text()[-300:]!r} errors: {self.err.read_text()[-900:]!r}"

    def ranks_started(self, host):
        return [p for p in self.hosts.processes(host) if self.is_rank(p)]

    def is_rank(self, process):
        try:
            is_ours = Path(f"/proc/{process}/exe").resolve() == self.binary
            return is_ours and Path(f"/proc/{process}/comm").read_text().strip() != "dmltrain-end"
        except OSError:
            return False

    def left(self, launcher_too):
        if not launcher_too:
            return [p for i in range(len(self.hosts.names)) for p in self.ranks_started(i)]
        mpirun = [self.process.pid] if self.process.poll() is None else []
        return mpirun + [p for i in range(len(self.hosts.names)) for p in self.hosts.processes(i)]

    def seconds_to_end(self, most, launcher_too):
        begin = time.monotonic()
        while self.left(launcher_too) and time.monotonic() < begin + most:
            time.sleep(0.05)
        return time.monotonic() - begin


def steps(run, count):
    return lambda: run.out.read_text().count("\nstep ") >= count


def checkpoint_begun(run):
    return lambda: any((run.folder / "checkpoints").glob("*.partial"))


# Name, options, when it comes, and whether the ranks are far enough to say anything.
PHASES = [
    ("before MPI_Init is done", TINY, lambda run, victim: lambda: run.ranks_started(victim), False),
    ("at the first page", TINY, lambda run, _: lambda: "  layout " in run.out.read_text(), True),
    ("in mid-step", TINY, lambda run, _: steps(run, 3), True),
    ("in an update", f"{HEAVY} --p 2", lambda run, _: steps(run, 2), True),
    ("while a checkpoint is saved", f"{HEAVY} --p 2 --checkpoint-every 1", lambda run, _: checkpoint_begun(run), True),
]


def host_vanishes(binary, folder, env, count, phase, victim, how):
    name, options, moment, speaks = phase
    if "--p" not in options:
        options += f" --d {count}"
    elif count == 4:
        options += " --d 2"
    with Hosts(count, folder) as hosts:
        # Where the link is gone, mpirun goes on telling the daemon behind it to end, until a rank beside it ends mpirun.
        is_cut = how == "cut off"
        run = Run(hosts, binary, folder, env, options, on_first_host=is_cut)
        try:
            run.wait_for(moment(run, victim))
            (hosts.cut if is_cut else hosts.kill)(victim)
            seconds = run.seconds_to_end(DEADLINE_S + GRACE_S, launcher_too=not is_cut)
            left = run.left(launcher_too=not is_cut)
            assert not left, f"{len(left)} processes are left after {seconds:.1f} s; {run.said()}"
            run.seconds_to_end(LAUNCHER_S, launcher_too=True)
            left = run.left(launcher_too=True)
            assert not left, f"mpirun or a daemon is left {LAUNCHER_S} s after the ranks: {left}; {run.said()}"
            assert run.process.poll() != 0, "mpirun ended with 0"
            lines = [line for line in run.err.read_text().splitlines() if "dmltrain: error" in line]
            assert len(lines) == 1 or not speaks, f"{len(lines)} lines of error; {run.said()}"
            named = f"host {hosts.names[victim]} " if speaks else f"host {hosts.names[victim]} |while the ranks were starting"
            assert not lines or re.search(named, lines[0]), f"another is named: {lines[0]}"
        finally:
            if run.process.poll() is None:
                run.process.kill()
                run.process.wait()
    return f"{seconds:.1f} s, {lines[0].split(hosts.mark)[-1] if lines else 'no line'}"


def cases():
    """Names, and what to call with the binary, a folder and the environment."""
    for count, layout in PARITY:
        yield f"{count} hosts, {layout}", trains_like_one_host, (count, layout)
    for number, phase in enumerate(PHASES):
        for count, how in ((2, "killed"), (2, "cut off"), (4, "killed")):
            if how == "cut off" and not phase[3]:
                continue  # MPI_Init has no deadline but that of mpirun's connections
            victim = 1 if count == 2 else number % count
            name = f"host {victim + 1} of {count} is {how} {phase[0]}"
            yield name, host_vanishes, (count, phase, victim, how)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--only", default="", help="cases whose names contain this")
    arguments = parser.parse_args()
    arguments.binary = arguments.binary.resolve()
    try:
        with tempfile.TemporaryDirectory() as folder, Hosts(1, Path(folder)):
            pass
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"skipped: no network namespaces here (root and iproute2 are needed): {error}")
        return SKIPPED
    env = environment()
    failed = 0
    for name, check, values in cases():
        if arguments.only not in name:
            continue
        begin = time.monotonic()
        try:
            with tempfile.TemporaryDirectory() as folder:
                said = check(arguments.binary, Path(folder), env, *values) or ""
            print(f"ok    {name} ({time.monotonic() - begin:.1f} s) {said}", flush=True)
        except AssertionError as error:
            failed += 1
            print(f"FAIL  {name}: {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
