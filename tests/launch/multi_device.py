#!/usr/bin/env python3
"""Plans in ONNX's multi-device annotations: `dmltrain graph --emit onnx` writes what the current onnx package accepts,
training from such a file is bitwise that of the same layout by options, and contradictory ones are refused in a line.

    tests/launch/multi_device.py --binary BINARY

Without the onnx package (1.18 or later) its part is left out, and the exit code is 77.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

SKIPPED = 77
TIME_LIMIT_S = 60
MODEL = "gpt:layers=2,width=32,heads=4,seq=16,vocab=256"
TRAIN = ["--data", "builtin:text", "--batch", "4", "--microbatches", "2", "--steps", "3", "--comm", "thread"]
LAYOUTS = [
    ["--p", "2", "--t", "2", "--tensor-mode", "megatron"],
    ["--p", "1", "--t", "2", "--tensor-mode", "gather"],
    ["--p", "3", "--t", "1"],
    ["--p", "2", "--t", "1", "--schedule", "interleaved"],
]

try:
    import onnx

    HAS_ONNX = hasattr(onnx, "DeviceConfigurationProto")
except ImportError:
    HAS_ONNX = False


def run(binary, folder, *options):
    result = subprocess.run([binary, *map(str, options)], cwd=folder, capture_output=True, text=True, timeout=TIME_LIMIT_S)
    return result.returncode, result.stderr.strip()


def expect(holds, what):
    if not holds:
        sys.exit(f"multi_device: {what}")


def emitted(binary, folder, layout):
    code, error = run(binary, folder, "graph", "--model", MODEL, "--emit", "onnx", "--out", "out", *layout)
    expect(code == 0, f"{layout}: graph --emit onnx: {error}")
    return folder / "out" / "model.onnx"


def check_training(binary, folder, layout, model):
    schedule = layout[layout.index("--schedule") :] if "--schedule" in layout else []
    runs = {"options": ["--model", MODEL, *layout], "file": ["--model", model, *schedule]}
    for name, options in runs.items():
        code, error = run(binary, folder, *options, *TRAIN, "--dump", f"{name}.safetensors", "--run", name)
        expect(code == 0, f"{layout}: training by {name}: {error}")
    same = (folder / "options.safetensors").read_bytes() == (folder / "file.safetensors").read_bytes()
    expect(same, f"{layout}: the file's plan trains other weights than the options")


def option_of(layout, name):
    return int(layout[layout.index(name) + 1])


def check_annotations(model, layout):
    onnx.checker.check_model(str(model))
    proto = onnx.load(str(model))
    p, t = option_of(layout, "--p"), option_of(layout, "--t")
    (configuration,) = proto.configuration
    expect(proto.ir_version >= 11, "the IR version is below 11")
    expect(configuration.num_devices == p * t, f"{configuration.num_devices} devices, wants {p * t}")
    stage_of = {}
    shards = set()
    for node in proto.graph.node:
        (placement,) = node.device_configurations
        expect(placement.configuration_id == configuration.name, f"{node.name}: {placement.configuration_id}")
        for name in node.input:
            expect(stage_of.get(name, 0) <= placement.pipeline_stage, f"{node.name} reads {name} of a later stage")
        stage_of.update({name: placement.pipeline_stage for name in node.output})
        for spec in placement.sharding_spec:
            expect(spec.tensor_name in [*node.input, *node.output], f"{node.name}: {spec.tensor_name}")
            shards |= {simple.num_shards for dim in spec.sharded_dim for simple in dim.simple_sharding}
    chunks = 2 if "--schedule" in layout else 1
    expect(set(stage_of.values()) == set(range(p * chunks)), f"stages are {set(stage_of.values())}")
    expect(max(shards, default=1) == t, f"{t} shards are wanted, there are {shards}")


def check_hostile(binary, folder, model):
    def refused(name, change, *words, options=()):
        proto = onnx.load(str(model))
        change(proto)
        onnx.save(proto, str(folder / "hostile.onnx"))
        code, error = run(binary, folder, "--model", "hostile.onnx", *options, *TRAIN)
        expect(code == 2, f"{name}: exit code {code}: {error}")
        expect(len(error.splitlines()) == 1, f"{name}: not one line: {error}")
        expect(all(word in error for word in words), f"{name}: {error}")

    def placement(proto, index):
        return proto.graph.node[index].device_configurations[0]

    def divided(proto):
        for node in proto.graph.node:
            for spec in node.device_configurations[0].sharding_spec:
                if spec.sharded_dim:
                    yield spec

    def set_stage(proto):
        placement(proto, len(proto.graph.node) - 1).pipeline_stage = 0

    def set_shards(proto):
        spec = list(divided(proto))[-1]
        for simple in spec.sharded_dim[0].simple_sharding:
            simple.num_shards = 3 if simple.num_shards > 1 else 1
        del spec.device[:]

    def set_devices(proto):
        next(divided(proto)).device.append(0)

    def set_dim(proto):
        next(divided(proto)).sharded_dim[0].axis = 0 if next(divided(proto)).sharded_dim[0].axis else 1

    def set_configuration(proto):
        placement(proto, 0).configuration_id = "elsewhere"

    def set_device(proto):
        next(divided(proto)).device[0] = 99

    def set_tensor(proto):
        next(divided(proto)).tensor_name = "elsewhere"

    refused("a stage that goes back", set_stage, "goes back", proto_name(model, -1))
    refused("shards that are not t", set_shards, "3 shards")
    refused("more devices than shards", set_devices, "devices")
    refused("a division that cannot run", set_dim, "annotations")
    refused("an unknown configuration", set_configuration, "elsewhere")
    refused("a device that is not there", set_device, "99")
    refused("a tensor that is not there", set_tensor, "elsewhere")
    refused("another p", lambda proto: None, "--p 4", options=("--p", "4"))


def proto_name(model, index):
    node = onnx.load(str(model), load_external_data=False).graph.node[index]
    return node.name or node.output[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    binary = str(Path(parser.parse_args().binary).resolve())
    with tempfile.TemporaryDirectory() as name:
        for number, layout in enumerate(LAYOUTS):
            folder = Path(name) / str(number)
            folder.mkdir()
            model = emitted(binary, folder, layout)
            if HAS_ONNX:
                check_annotations(model, layout)
            check_training(binary, folder, layout, model)
        if HAS_ONNX:
            check_hostile(binary, folder, Path(name) / "0" / "out" / "model.onnx")
    return 0 if HAS_ONNX else SKIPPED


if __name__ == "__main__":
    sys.exit(main())
