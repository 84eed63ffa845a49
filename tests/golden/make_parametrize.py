#!/usr/bin/env python3
"""Writes parametrize.npz and parametrize.json: layers whose parameters FakeSparsity masks, with their names, results and
gradients, for random layers, sizes and masks in float64.

`make_parametrize.py --compare` computes them with the PyTorch that is installed and lists the cases that differ.
"""
import argparse
import json
import pathlib
import random

import numpy as np
import torch
import torch.nn.utils.parametrize as parametrize
from torch import nn

try:
    from torch.ao.pruning import FakeSparsity
except ImportError:
    from torch.ao.sparsity import FakeSparsity

HERE = pathlib.Path(__file__).parent
CASES = 240
torch.set_num_threads(1)
torch.manual_seed(2)
torch.set_default_dtype(torch.float64)
rng = random.Random(7)


def layer():
    """A type, its arguments and the shape of an input."""
    kind = rng.choice(["Linear", "Conv1d", "Conv2d", "Conv3d", "LSTM", "LSTM", "Embedding", "BatchNorm1d", "LayerNorm"])
    few = lambda: rng.randint(1, 4)
    if kind == "Linear":
        a, b = few(), few()
        return kind, {"in_features": a, "out_features": b, "bias": rng.random() < 0.7}, [few(), a]
    if kind.startswith("Conv"):
        axes, groups = int(kind[4]), rng.choice([1, 1, 2])
        a, b = groups * rng.randint(1, 2), groups * rng.randint(1, 2)
        args = {"in_channels": a, "out_channels": b, "kernel_size": [rng.randint(1, 3) for _ in range(axes)],
                "stride": rng.randint(1, 2), "padding": rng.randint(0, 1), "groups": groups, "bias": rng.random() < 0.7}
        return kind, args, [2, a] + [rng.randint(3, 5) for _ in range(axes)]
    if kind == "LSTM":
        hidden = rng.randint(2, 4)
        args = {"input_size": few(), "hidden_size": hidden, "num_layers": rng.randint(1, 2), "bias": rng.random() < 0.7,
                "batch_first": rng.random() < 0.5, "bidirectional": rng.random() < 0.4,
                "proj_size": rng.choice([0, 0, 1])}
        return kind, args, [rng.randint(1, 4), 2, args["input_size"]]
    if kind == "Embedding":
        args = {"num_embeddings": rng.randint(2, 6), "embedding_dim": few()}
        return kind, args, [2, 3]
    if kind == "BatchNorm1d":
        args = {"num_features": few()}
        return kind, args, [4, args["num_features"]]
    size = [few() for _ in range(rng.randint(1, 2))]
    return kind, {"normalized_shape": size}, [3] + size


def numbers(t):
    return t.detach().to(torch.float64).numpy().ravel()


def run(case):
    """Everything that the test feeds in and compares, as one list of arrays."""
    args = {k: tuple(v) if isinstance(v, list) else v for k, v in case["args"].items()}
    m = getattr(nn, case["type"])(**args)
    if case["type"] == "BatchNorm1d":
        m.eval()
        with torch.no_grad():
            m.running_mean.uniform_(-1, 1)
    fed, made = [], []
    with torch.no_grad():
        for p in m.parameters():
            p.uniform_(-1, 1)
            fed.append(numbers(p))
    fed += [numbers(b) for b in m.buffers()]
    if case["type"] == "Embedding":
        x = torch.randint(0, args["num_embeddings"], case["input"])
    else:
        x = torch.empty(case["input"]).uniform_(-1, 1)
    fed.append(numbers(x))
    names = [n for n, _ in m.named_parameters()]
    case["steps"] = []
    for _ in range(case["rounds"]):
        name = rng.choice(names)
        mask = (torch.rand(getattr(m, name).shape) < 0.6).to(torch.float64)
        parametrize.register_parametrization(m, name, FakeSparsity(mask))
        fed.append(numbers(mask))
        case["steps"].append(name)
    out = m(x)
    out = out[0] if isinstance(out, tuple) else out
    weights = torch.empty(out.shape).uniform_(-1, 1)
    fed.append(numbers(weights))
    (out * weights).sum().backward()
    made += [numbers(out)] + [numbers(p.grad) for p in m.parameters()]
    case["parameters"] = [n for n, _ in m.named_parameters()]
    case["buffers"] = [n for n, _ in m.named_buffers()]
    case["modules"] = [n for n, _ in m.named_modules()]
    case["state_dict"] = list(m.state_dict())
    if case["remove"]:
        name = case["steps"][0]
        parametrize.remove_parametrizations(m, name, leave_parametrized=case["leave"])
        case["after"] = [n for n, _ in m.named_parameters()]
        made.append(numbers(getattr(m, name)))
    return fed, made


parser = argparse.ArgumentParser()
parser.add_argument("--compare", action="store_true")
options = parser.parse_args()
cases, fed, made = [], [], []
for _ in range(CASES):
    kind, args, shape = layer()
    case = {"type": kind, "args": args, "input": shape, "rounds": rng.randint(1, 4), "remove": rng.random() < 0.5,
            "leave": rng.random() < 0.5}
    one = run(case)
    case["made"] = [len(part) for part in one[1]]
    cases.append(case)
    fed += one[0]
    made += one[1]
fed, made = np.concatenate(fed), np.concatenate(made)
if options.compare:
    stored = json.loads((HERE / "parametrize.json").read_text())
    before = np.load(HERE / "parametrize.npz")
    at, different = 0, 0
    for case, old in zip(cases, stored["cases"]):
        n = sum(case["made"])
        same = case == old and np.allclose(made[at:at + n], before["made"][at:at + n], rtol=1e-9, atol=1e-12)
        at += n
        if not same:
            different += 1
            print("differs:", {k: v for k, v in case.items() if k in ("type", "args", "steps")})
    print(f"{different} of {len(cases)} cases differ: PyTorch {torch.__version__} against {stored['torch']}")
else:
    np.savez_compressed(HERE / "parametrize.npz", fed=fed, made=made)
    text = ",\n".join(json.dumps(c) for c in cases)
    (HERE / "parametrize.json").write_text(f'{{"torch": "{torch.__version__}", "cases": [\n{text}\n]}}\n')
    print(len(cases), "cases", fed.size, "numbers in,", made.size, "out")
