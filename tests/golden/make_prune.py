#!/usr/bin/env python3
"""Writes prune.npz and prune.json: masks that PyTorch's pruning makes for random configurations of every method.

`make_prune.py --compare` computes them with the PyTorch that is installed and lists the cases that differ.
"""
import argparse
import json
import pathlib
import random

import numpy as np
import torch
import torch.nn.utils.prune as prune
from torch import nn

HERE = pathlib.Path(__file__).parent
CASES = 640
torch.set_num_threads(1)
torch.manual_seed(1)
rng = random.Random(20)


class Holder(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.weight = nn.Parameter(value)


def numbers(n, kind):
    if kind == "ties":
        return [rng.choice([-2.0, -1.0, 0.0, 1.0, 2.0]) for _ in range(n)]
    values = [rng.randint(-4000, 4000) / 64 for _ in range(n)]
    if kind == "special":
        values = [rng.choice([v, v, v, 0.0, -0.0, float("nan"), float("inf"), float("-inf")]) for v in values]
    return values


def amount(units):
    return rng.randint(0, max(0, units)) if rng.random() < 0.4 else round(rng.random(), rng.choice([1, 2, 3]))


def step(shape, kind):
    structured = len(shape) > 1 and rng.random() < 0.6
    names = ["random_structured", "ln_structured", "ln_structured"] if structured else [
        "random_unstructured", "l1_unstructured", "l1_unstructured", "identity", "custom"]
    s = {"method": rng.choice(names)}
    if structured:
        s["dim"] = rng.randrange(-len(shape), len(shape))
        s["amount"] = amount(shape[s["dim"]])
    elif s["method"] in ("random_unstructured", "l1_unstructured"):
        s["amount"] = amount(int(np.prod(shape)) // 2)
    if s["method"] == "ln_structured":
        # Powers by other exponents round differently on every machine: near-equal norms could swap.
        choices = [1, 2, 0, "inf", "-inf", None] + ([3, 0.5, -1, -2] if kind == "plain" else [])
        s["n"] = rng.choice(choices)
        if s["n"] is None:
            s["n"] = rng.choice(["fro", "nuc"] if kind == "plain" else ["fro"])
    if s["method"] in ("l1_unstructured", "ln_structured") and rng.random() < 0.3:
        s["scores"] = True
    return s


def run(case, values):
    """The mask after every step; None and the error's class where PyTorch refuses."""
    shape, dtype = case["shape"], getattr(torch, case["dtype"])
    parts = iter(values)
    m = Holder(torch.tensor(next(parts), dtype=dtype).reshape(shape))
    torch.manual_seed(case["seed"])
    out = []
    for s in case["steps"]:
        extra = {}
        if s.get("scores"):
            extra["importance_scores"] = torch.tensor(next(parts), dtype=dtype).reshape(shape)
        n = s.get("n")
        n = float(n) if n in ("inf", "-inf") else n
        try:
            if s["method"] == "identity":
                prune.identity(m, "weight")
            elif s["method"] == "custom":
                prune.custom_from_mask(m, "weight", torch.tensor(next(parts)).reshape(shape))
            elif s["method"] == "random_unstructured":
                prune.random_unstructured(m, "weight", s["amount"])
            elif s["method"] == "l1_unstructured":
                prune.l1_unstructured(m, "weight", s["amount"], **extra)
            elif s["method"] == "random_structured":
                prune.random_structured(m, "weight", s["amount"], s["dim"])
            else:
                prune.ln_structured(m, "weight", s["amount"], n, s["dim"], **extra)
        except (ValueError, IndexError, RuntimeError) as e:
            out.append(type(e).__name__)
            return out
        for hook in m._forward_pre_hooks.values():
            hook(m, None)
        out.append(m.weight_mask.to(torch.float32).numpy().ravel().copy())
    return out


def make():
    cases, inputs, results = [], [], []
    for i in range(CASES):
        rank = 1 + i % 5
        shape = [rng.randint(1, [60, 9, 6, 4, 3][rank - 1]) for _ in range(rank)]
        if rank == 1 and rng.random() < 0.15:
            shape = [rng.randint(64, 300)]  # torch.topk changes its algorithm where 64 k <= n
        kind = ["plain", "ties", "plain", "special"][rng.randrange(4)]
        case = {"shape": shape, "kind": kind, "seed": rng.randrange(2**31),
                "dtype": rng.choice(["float32", "float32", "float64", "bfloat16"]),
                "steps": [step(shape, kind) for _ in range(rng.choice([1, 1, 2, 3]))]}
        n = int(np.prod(shape))
        values = [numbers(n, kind)]
        for s in case["steps"]:
            if s.get("scores"):
                values.append(numbers(n, kind))
            if s["method"] == "custom":
                values.append([float(rng.random() < 0.8) for _ in range(n)])
        cases.append(case)
        inputs.append(values)
        results.append(run(case, values))
    return cases, inputs, results


parser = argparse.ArgumentParser()
parser.add_argument("--compare", action="store_true")
args = parser.parse_args()
cases, inputs, results = make()
for case, masks in zip(cases, results):
    case["errors"] = [m if isinstance(m, str) else "" for m in masks]
values = np.array([v for case in inputs for part in case for v in part], dtype=np.float32)
flat = [m for masks in results for m in masks if not isinstance(m, str)]
assert all(np.isin(m, (0, 1)).all() for m in flat)
masks = np.packbits(np.concatenate(flat).astype(np.uint8), bitorder="little")
if args.compare:
    stored = json.loads((HERE / "prune.json").read_text())
    bits = np.unpackbits(np.load(HERE / "prune.npz")["masks"], bitorder="little")
    at, different = 0, 0
    for case, old, now in zip(cases, stored["cases"], results):
        n = int(np.prod(case["shape"]))
        for i, error in enumerate(old["errors"]):
            before = None if error else bits[at:at + n]
            at += 0 if error else n
            mine = now[i] if i < len(now) else "missing"
            same = mine == error if isinstance(mine, str) else before is not None and (mine == before).all()
            if not same:
                different += 1
                print(f"step {i}, stored {error or 'mask'}, now {mine if isinstance(mine, str) else 'mask'}: {case}")
    print(f"{different} steps of {len(cases)} cases differ: PyTorch {torch.__version__} against {stored['torch']}")
else:
    np.savez_compressed(HERE / "prune.npz", values=values, masks=masks)
    text = ",\n".join(json.dumps(c) for c in cases)
    (HERE / "prune.json").write_text(f'{{"torch": "{torch.__version__}", "cases": [\n{text}\n]}}\n')
    print(len(cases), "cases", len(flat), "masks", sum(any(c["errors"]) for c in cases), "errors")
