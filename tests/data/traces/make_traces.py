#!/usr/bin/env python3
"""Writes the traces of this folder: one step of 1f1b on two positions over four microbatches, as Megatron-LM's timers
and as PyTorch's profiler (Kineto) would have written it. A forward pass takes 2 ms on position 0 and 3 ms on position 1,
a backward pass twice as long; a message takes 0.5 ms.

    tests/data/traces/make_traces.py"""

import json
from pathlib import Path

HERE = Path(__file__).parent
POSITIONS, MICROBATCHES = 2, 4
FORWARD_US = (2000, 3000)
BACKWARD_US = (4000, 6000)
MESSAGE_US = 500
ORDERS = (["F0", "F1", "B0", "F2", "B1", "F3", "B2", "B3"], ["F0", "B0", "F1", "B1", "F2", "B2", "F3", "B3"])
KERNELS = {"F": ["ampere_sgemm_128x64_tn", "void at::native::vectorized_elementwise_kernel<4, at::native::GeluCUDAKernelImpl>"],
           "B": ["ampere_sgemm_128x64_nn", "ampere_sgemm_128x64_nt"]}  # fmt: skip
LABELS = {"F": "Forward", "B": "Backward"}


def played():
    """(position, pass) -> begin and end in microseconds."""
    times, free = {}, [0] * POSITIONS
    waiting = [list(order) for order in ORDERS]
    while any(waiting):
        for position, order in enumerate(waiting):
            if not order:
                continue
            source = {"F": position - 1, "B": position + 1}[order[0][0]]
            arrived = 0
            if 0 <= source < POSITIONS:
                if (source, order[0]) not in times:
                    continue
                arrived = times[source, order[0]][1] + MESSAGE_US
            begin = max(free[position], arrived)
            length = (FORWARD_US if order[0][0] == "F" else BACKWARD_US)[position]
            times[position, order.pop(0)] = begin, begin + length
            free[position] = begin + length
    return times


def megatron(times, position):
    words = {"F": "forward", "B": "backward"}
    timers = {}
    for name, (begin, end) in ((name, time) for (at, name), time in times.items() if at == position):
        timers[f"{words[name[0]]}-{name[1:]}-start"] = begin / 1e3
        timers[f"{words[name[0]]}-{name[1:]}-end"] = end / 1e3
    return timers


class Kineto:
    """The events of one rank: what the host does runs ahead of the device."""

    def __init__(self, rank):
        self.rank, self.events, self.correlation, self.host_us = rank, [], 100, 0

    def add(self, name, category, begin, length, process, thread, **arguments):
        self.events.append({"ph": "X", "cat": category, "name": name, "pid": process, "tid": thread,
                            "ts": 1_000_000 + begin, "dur": length, "args": arguments})  # fmt: skip

    def launch(self, name, begin, length, stream):
        self.correlation += 1
        self.add("cudaLaunchKernel", "cuda_runtime", self.host_us, 4, 4000 + self.rank, 1, correlation=self.correlation)
        self.add(name, "kernel", begin, length, 0, stream, stream=stream, device=0, correlation=self.correlation)
        self.host_us += 5

    def add_pass(self, name, begin, end, arrived):
        label = self.host_us
        if arrived is not None:
            self.launch("ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)", arrived - MESSAGE_US, MESSAGE_US, 20)
        middle = (begin + end) // 2
        self.launch(KERNELS[name[0]][0], begin, middle - begin, 7)
        self.launch(KERNELS[name[0]][1], middle, end - middle, 7)
        self.add(f"{LABELS[name[0]]} {name[1:]}", "user_annotation", label, self.host_us - label, 4000 + self.rank, 1)
        self.host_us += 2

    def file(self):
        return {"schemaVersion": 1, "distributedInfo": {"backend": "nccl", "rank": self.rank, "world_size": POSITIONS},
                "displayTimeUnit": "ms", "traceEvents": self.events}  # fmt: skip


def kineto(times, position):
    trace = Kineto(position)
    trace.add("ProfilerStep#3", "user_annotation", 0, 300, 4000 + position, 1)
    for name in ORDERS[position]:
        begin, end = times[position, name]
        source = {"F": position - 1, "B": position + 1}[name[0]]
        arrived = times[source, name][1] + MESSAGE_US if 0 <= source < POSITIONS else None
        trace.add_pass(name, begin, end, arrived)
    last = max(end for (at, _), (_, end) in times.items() if at == position)
    trace.launch("ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgsStorage<4096ul>)", last, 700, 21)
    trace.launch("void at::native::multi_tensor_apply_kernel", last + 700, 300, 7)
    return trace.file()


def main():
    times = played()
    for position in range(POSITIONS):
        name = f"event_times_PP{POSITIONS}_VPP1_TP1xCP1xDP1_rank_{position}_pp_rank_{position}_rank_0.json"
        (HERE / "megatron" / name).write_text(json.dumps(megatron(times, position), indent=0) + "\n")
        (HERE / "kineto" / f"rank{position}.json").write_text(json.dumps(kineto(times, position), indent=0) + "\n")


if __name__ == "__main__":
    main()
