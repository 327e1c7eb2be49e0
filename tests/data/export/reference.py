"""What PyTorch computes when it trains a fixture, in float32 and float64, under the names that the ONNX file has."""

import copy
import json
import math
import re

import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

SGD = dict(momentum=0.9, dampening=0.0, weight_decay=0.0, nesterov=False)
ADAMW = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
STEPS = 20
LOSS = "cross entropy of logits [..., classes] with int64 label [...], mean over all targets"
VANISHING = 1e-7  # a gradient below it is rounding alone


def optimizers(sgd_rate):
    return {
        "sgd": lambda parameters: torch.optim.SGD(parameters, lr=sgd_rate, **SGD, foreach=False),
        "adamw": lambda parameters: torch.optim.AdamW(parameters, **ADAMW, foreach=False),
    }


class Training:
    """STEPS updates of a copy of the model in one dtype: losses before each, step 0 in detail, the end."""

    def __init__(self, model, batches, make_optimizer, dtype):
        model = copy.deepcopy(model).to(dtype).train()
        optimizer = make_optimizer(model.parameters())
        losses = []
        for step in range(STEPS):
            inputs, label = batches[step % len(batches)]
            logits = model(*(x.to(dtype) if x.is_floating_point() else x for x in inputs.values()))
            loss = F.cross_entropy(logits.flatten(0, -2), label.flatten())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if step == 0:
                self.logits = logits.detach().clone()
                self.gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
                self.state = {n: b.detach().clone() for n, b in model.named_buffers()}
            optimizer.step()
            losses.append(loss.item())
        self.losses = torch.tensor(losses, dtype=dtype)
        self.final = {n: t.detach() for n, t in [*model.named_parameters(), *model.named_buffers()]}


def transposed(tensor, shape):
    return tensor.t() if tensor.dim() == 2 else None


def reshaped(tensor, shape):
    return tensor.reshape(shape) if tensor.numel() == math.prod(shape) else None


LAYOUTS = {"same": lambda tensor, shape: tensor, "transposed": transposed, "reshaped": reshaped}


def match(named, initializers):
    """Which PyTorch tensor an initializer is, by value: {initializer: (name, layout)}. A tensor that has an initializer
    of its own name is that one and no other."""
    found = {}
    for initializer, value in initializers.items():
        for name, tensor in named.items():
            if name != initializer and (name in initializers or initializer in named):
                continue
            for layout, arrange in LAYOUTS.items():
                arranged = arrange(tensor, value.shape)
                if arranged is None or not torch.equal(arranged, value.to(tensor.dtype)):
                    continue
                if found.setdefault(initializer, (name, layout))[0] != name:
                    raise RuntimeError(f"{initializer} is {found[initializer][0]} as well as {name}")
    return found


def distance(a, b):
    return (a.double() - b.double()).abs().max().item()


class Reference:
    """The reference of one exported file. `model` is a module that means what the file means."""

    def __init__(self, path, model, batches, sgd_rate):
        proto = onnx.load(path)
        self.opset = proto.opset_import[0].version
        self.batches = batches
        self.sgd_rate = sgd_rate
        stored = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy()) for i in proto.graph.initializer}
        self.initializers = {name: value for name, value in stored.items() if value.is_floating_point()}
        self.runs = {
            (name, dtype): Training(model, batches, make, dtype)
            for name, make in optimizers(sgd_rate).items()
            for dtype in (torch.float32, torch.float64)
        }
        self.match_names(model)

    def match_names(self, model):
        first = self.runs["sgd", torch.float32]
        parameters = {n: p.detach() for n, p in model.named_parameters()}
        found = match(parameters, self.initializers)
        self.trainable = {n: m for n, m in found.items() if m[0] in first.gradients}
        before = dict(model.named_buffers())
        moved = {n: before[n] for n, b in first.state.items() if b.is_floating_point() and not torch.equal(b, before[n])}
        rest = {n: value for n, value in self.initializers.items() if n not in self.trainable}
        self.statistics = match(moved, rest)
        used = sorted(name for name, _ in self.trainable.values())
        if used != sorted(first.gradients) or {name for name, _ in self.statistics.values()} != set(moved):
            raise RuntimeError(f"not one initializer each: {set(used) ^ set(first.gradients)}")

    def stored(self, initializer, named):
        """A tensor of PyTorch as the initializer stores it."""
        name, layout = {**self.trainable, **self.statistics}[initializer]
        arranged = LAYOUTS[layout](named[name], self.initializers[initializer].shape)
        return arranged.contiguous().clone()

    def first_step(self):
        first = self.runs["sgd", torch.float32]
        tensors = {"step0.logits": first.logits, "step0.loss": first.losses[0]}
        tensors |= {f"step0.grad.{name}": self.stored(name, first.gradients) for name in self.trainable}
        tensors |= {f"step0.state.{name}": self.stored(name, first.state) for name in self.statistics}
        return tensors

    def finals(self, optimizer, dtype, keep):
        """Final weights whose PyTorch name matches one of the patterns, and all statistics."""
        kept = [n for n, (name, _) in self.trainable.items() if any(re.search(pattern, name) for pattern in keep)]
        final = self.runs[optimizer, dtype].final
        return {f"final.{optimizer}.{name}": self.stored(name, final) for name in [*kept, *self.statistics]}

    def tensors(self, keep):
        data = {}
        for step, (inputs, label) in enumerate(self.batches):
            data |= {f"step{step}.input.{name}": x for name, x in inputs.items()} | {f"step{step}.label": label}
        data |= self.first_step()
        for optimizer in optimizers(self.sgd_rate):
            data[f"losses.{optimizer}"] = self.runs[optimizer, torch.float32].losses
            data[f"losses.{optimizer}.f64"] = self.runs[optimizer, torch.float64].losses
            data |= self.finals(optimizer, torch.float32, keep)
        return data

    def distances(self, keep):
        """How far float32 lies from float64: the rounding scale of each quantity."""
        first, exact = self.runs["sgd", torch.float32], self.runs["sgd", torch.float64]
        sizes = {n: g.abs().max().item() for n, g in exact.gradients.items()}
        used = [name for name, _ in self.trainable.values() if sizes[name] > VANISHING]
        found = {
            "step0.logits": distance(first.logits, exact.logits),
            "step0.grad, relative": max(distance(first.gradients[n], exact.gradients[n]) / sizes[n] for n in used),
        }
        for optimizer in optimizers(self.sgd_rate):
            single, double = (self.runs[optimizer, dtype] for dtype in (torch.float32, torch.float64))
            found[f"losses.{optimizer}"] = distance(single.losses, double.losses)
            finals = self.finals(optimizer, torch.float64, keep)
            found |= {n: distance(t, finals[n]) for n, t in self.finals(optimizer, torch.float32, keep).items()}
        return {name: float(f"{value:.3g}") for name, value in found.items()}

    def metadata(self, model, exporter, notes, keep):
        fixed = [n for n in self.initializers if n not in self.trainable and n not in self.statistics]
        count = len(self.batches)
        return dict(
            model=model,
            exporter=exporter,
            opset=str(self.opset),
            torch=torch.__version__,
            loss=LOSS,
            steps=str(STEPS),
            batches=f"{count}: step k reads batch k mod {count}",
            sgd=json.dumps(dict(lr=self.sgd_rate, **SGD)),
            adamw=json.dumps(dict(**ADAMW, decayed="all parameters")),
            trainable=json.dumps({n: dict(parameter=p, layout=layout) for n, (p, layout) in self.trainable.items()}),
            statistics=json.dumps({n: name for n, (name, _) in self.statistics.items()}),
            not_trainable=json.dumps(fixed),
            distance_f32_f64=json.dumps(self.distances(keep)),
            notes=notes,
        )
