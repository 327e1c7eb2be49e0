#!/usr/bin/env python3
"""Ways to install without apt and root: what `launch/setup --prefix` would do with each installer, and that the recipes
of containers take their packages from the scripts that are tried here.

    tests/launch/packages.py --binary build/bin/dmltrain
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Part of every Debian, so that no recipe names them.
BASE = {"libc6", "libgcc-s1", "libstdc++6"}


def setup(*words, path):
    command = [ROOT / "launch/setup", *words]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": str(path)})


def path_with(folder, *installers):
    """A folder of programs for PATH: the shell's, and installers that write down what they are asked."""
    path = folder / ("-".join(installers) or "none")
    path.mkdir()
    for name in ("bash", "env", "dirname", "mkdir", "cat"):
        (path / name).symlink_to(shutil.which(name))
    for name in installers:
        (path / name).write_text(f'#!/bin/sh\necho "$0 $*" >>"{folder}/asked"\n')
        (path / name).chmod(0o755)
    return path


def prefix_faults(folder):
    asked = folder / "asked"
    for installer in ("micromamba", "mamba", "conda", "spack"):
        path = path_with(folder, installer)
        printed = setup("--prefix", folder / "env", "--print", path=path)
        if printed.returncode or installer not in printed.stdout or "cmake --install" not in printed.stdout:
            yield f"{installer} --print: {printed.stdout} {printed.stderr}"
        if asked.exists():
            yield f"{installer} --print ran {asked.read_text()}"
        done = setup("--prefix", folder / "env", "--with-tests", path=path)
        asks = asked.read_text() if asked.exists() else ""
        asked.unlink(missing_ok=True)
        if done.returncode or "onednn" not in asks or "test" not in asks or str(folder / "env") not in asks:
            yield f"{installer}: asked for {asks!r}; {done.stderr}"
    for words, code, says in ((["--prefix", folder / "env"], 1, "micromamba"), (["--prefix"], 2, "wants a folder"),
                              (["--prefix", folder, "--with-lint"], 2, "--with-lint")):
        done = setup(*words, path=folder / "none" if (folder / "none").exists() else path_with(folder))
        if done.returncode != code or says not in done.stderr:
            yield f"setup {words}: exit code {done.returncode}, {done.stderr}"


def recipe_faults():
    for recipe in ("Dockerfile", "Dockerfile.cuda", "dmltrain.def", "dmltrain-cuda.def"):
        text = (ROOT / "launch/container" / recipe).read_text()
        for script in ("launch/container/build", "launch/container/runtime"):
            if script not in text:
                yield f"{recipe} does not use {script}"
        if re.search(r"apt(-get)? .*install", text):
            yield f"{recipe} names packages of its own"
        for line in re.findall(r"^  (\S+) /src/", text, re.MULTILINE):
            if not (ROOT / line).exists():
                yield f"{recipe} copies {line}, which is not there"
    if "launch/setup\n" not in (ROOT / "launch/container/build").read_text():
        yield "launch/container/build does not install by launch/setup"


def runtime_faults(binary):
    """Each library that the program asks for is of a package that launch/container/runtime installs."""
    listed = subprocess.run([ROOT / "launch/container/runtime", "--list"], capture_output=True, text=True).stdout.split()
    for line in subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout.splitlines():
        library = re.search(r"=> (/\S+)", line)
        if library is None or Path(library[1]).name not in directly_needed(binary):
            continue
        owner = subprocess.run(["dpkg", "-S", Path(library[1]).resolve()], capture_output=True, text=True).stdout.split(":")[0]
        if owner and owner not in BASE and owner not in listed:
            yield f"{library[1]} is of {owner}, which launch/container/runtime does not install"


def directly_needed(binary):
    dynamic = subprocess.run(["readelf", "-d", binary], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True, type=Path)
    binary = parser.parse_args().binary.resolve()
    with tempfile.TemporaryDirectory() as folder:
        faults = [*prefix_faults(Path(folder)), *recipe_faults()]
    on_debian_12 = "VERSION_CODENAME=bookworm" in Path("/etc/os-release").read_text()
    if on_debian_12:
        faults += runtime_faults(binary)
    print("\n".join(faults))
    print(f"setup --prefix and container recipes{'' if on_debian_12 else ' (packages at run time not: no Debian 12)'}: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
