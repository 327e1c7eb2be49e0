#!/usr/bin/env python3
"""PyTorch as dmltrain's peer: the same model, batch and layout, timed the same way. Prints one line of JSON.

    pytorch_peer.py --model gpt:layers=4,width=256,heads=8,seq=128,vocab=256 --batch 16
    torchrun --nproc-per-node 2 pytorch_peer.py --model gpt --layout 2,1,1

A layout is d,p,t: DistributedDataParallel, torch.distributed.pipelining and DTensor do the three axes.

A step is forward, backward and AdamW in float32 on fixed random data; the result is the median after the warm-up steps.
On GPUs neither products nor convolutions are rounded to TF32; by default PyTorch rounds the latter.
"""

import argparse
import json
import os
import resource
import statistics
import time

import models
import torch
import torch.distributed as dist

WARM_UP_STEPS = 5


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="gpt")
    parser.add_argument("--batch", type=int, default=16, help="samples of one update, over all replicas")
    parser.add_argument("--layout", default="1,1,1", metavar="D,P,T")
    parser.add_argument("--microbatches", type=int, default=4, help="where p > 1")
    parser.add_argument("--schedule", default="1f1b", choices=["gpipe", "1f1b"])
    parser.add_argument("--steps", type=int, default=20, help="that count, after the warm-up")
    parser.add_argument("--threads", type=int, help="of each process; default: cores / processes, at least 1")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="cuda: a GPU for each process")
    parser.add_argument("--dtype", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    arguments.d, arguments.p, arguments.t = map(int, arguments.layout.split(","))
    return arguments


def split_tensors(model, kind, mesh):
    """Splits column then row, pair by pair, over the mesh's axis t."""
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    if kind != "gpt":
        raise SystemExit(f"{kind} is not split over t here")
    plan = {}
    for i in model.blocks:
        plan |= {f"blocks.{i}.{n}": ColwiseParallel() for n in ("attention.q", "attention.k", "attention.v", "up")}
        plan |= {f"blocks.{i}.{n}": RowwiseParallel() for n in ("attention.out", "down")}
    parallelize_module(model, mesh["t"], plan)


def all_reduce_gradients(parameters, group):
    """Averages the gradients over a group in one flat buffer."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    gradients = [g.to_local() if hasattr(g, "to_local") else g for g in gradients]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat, group=group)
    flat /= dist.get_world_size(group)
    offset = 0
    for gradient in gradients:
        gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
        offset += gradient.numel()


class Trainer:
    """One rank's part of the model, and its step."""

    def __init__(self, arguments, mesh):
        self.kind, sizes = models.parse(arguments.model)
        self.autocast = torch.autocast(arguments.device, dtype=torch.bfloat16, enabled=arguments.dtype == "bf16")
        self.device = device_of(arguments)
        model = models.make_model(self.kind, sizes).to(self.device)
        self.num_parameters = sum(p.numel() for p in model.parameters())
        batch = models.make_batch(self.kind, sizes, arguments.batch // arguments.d)
        self.inputs, self.labels = (tensor.to(self.device) for tensor in batch)
        if arguments.t > 1:
            split_tensors(model, self.kind, mesh)
        if arguments.p > 1:
            model.keep_stage(mesh.get_local_rank("p"), arguments.p)
        plain_replicas = arguments.d > 1 and arguments.p == arguments.t == 1
        self.data_group = mesh["d"].get_group() if arguments.d > 1 and not plain_replicas else None
        self.model = torch.nn.parallel.DistributedDataParallel(model) if plain_replicas else model
        if arguments.compile:
            self.model = torch.compile(self.model)
        self.schedule = self.make_schedule(arguments, mesh) if arguments.p > 1 else None
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, fused=arguments.t == 1)

    def make_schedule(self, arguments, mesh):
        from torch.distributed import pipelining

        self.stage, self.last_stage = mesh.get_local_rank("p"), arguments.p - 1
        group = mesh["p"].get_group()
        stage = pipelining.PipelineStage(self.model, self.stage, arguments.p, self.device, group=group)
        kind = {"gpipe": pipelining.ScheduleGPipe, "1f1b": pipelining.Schedule1F1B}
        return kind[arguments.schedule](stage, n_microbatches=arguments.microbatches, loss_fn=models.loss)

    def forward_backward(self):
        if self.schedule is None:
            models.loss(self.model(self.inputs), self.labels).backward()
        elif self.stage == 0:
            self.schedule.step(self.inputs)
        elif self.stage == self.last_stage:
            self.schedule.step(target=self.labels)
        else:
            self.schedule.step()

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast:
            self.forward_backward()
        if self.data_group is not None:
            all_reduce_gradients(self.model.parameters(), self.data_group)
        self.optimizer.step()


def device_of(arguments):
    """The processor, or the GPU of this process, which becomes the current one."""
    if arguments.device == "cpu":
        return torch.device("cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("cuda", torch.cuda.current_device())


def together(done):
    """Waits for the device's work by `done`, then for the other processes."""

    def wait():
        done()
        dist.barrier()

    return wait


def time_steps(step, num_steps, barrier):
    """Milliseconds of each step after the warm-up."""
    for _ in range(WARM_UP_STEPS):
        step()
    times = []
    for _ in range(num_steps):
        barrier()
        begin = time.perf_counter()
        step()
        barrier()
        times.append((time.perf_counter() - begin) * 1e3)
    return times


def main():
    arguments = parse_arguments()
    extents = arguments.d, arguments.p, arguments.t
    world = arguments.d * arguments.p * arguments.t
    torch.set_num_threads(arguments.threads or max(1, len(os.sched_getaffinity(0)) // world))
    torch.manual_seed(0)
    on_gpus = arguments.device == "cuda"
    device_of(arguments)
    mesh, barrier = None, torch.cuda.synchronize if on_gpus else lambda: None
    if world > 1:
        dist.init_process_group("nccl" if on_gpus else "gloo")
        mesh = dist.device_mesh.init_device_mesh(arguments.device, extents, mesh_dim_names=tuple("dpt"))
        barrier = together(barrier)
    trainer = Trainer(arguments, mesh)
    times = time_steps(trainer.step, arguments.steps, barrier)
    if int(os.environ.get("RANK", 0)) == 0:
        result = dict(vars(arguments), torch=torch.__version__, parameters=trainer.num_parameters,
                      threads=torch.get_num_threads(), median_ms=round(statistics.median(times), 2),
                      min_ms=round(min(times), 2),
                      resident_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)  # fmt: skip
        print(json.dumps(result), flush=True)
    if world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
