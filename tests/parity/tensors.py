"""Reads safetensors files with numpy alone (https://github.com/huggingface/safetensors, section Format)."""

import json

import numpy as np

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}


def read(path):
    """The tensors of a file by name, and its metadata."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        body = file.read()
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(body[begin:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata


def final(path):
    """The bytes of each final tensor of a dump."""
    return {name: tensor.tobytes() for name, tensor in read(path)[0].items() if name.startswith("final.")}
