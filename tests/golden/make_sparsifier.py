#!/usr/bin/env python3
"""Writes sparsifier.npz, sparsifier.json and sparsifier.pt: masks of WeightNormSparsifier and levels of CubicSL in random
configurations.

A case of weights is a tensor, settings, and up to five levels that follow each other; the file holds a mask for each, as
bits. Levels of a schedule are those after its start and after each step. The .pt is the state dict of a prepared model.
Left out is what PyTorch refuses or stores in another shape than the weight's: zeros per block below its size where the
block does not divide the tensor.
"""
import json
import pathlib
import random
import warnings

import numpy as np
import torch
from torch import nn
from torch.ao.pruning import CubicSL, WeightNormSparsifier

HERE = pathlib.Path(__file__).parent
CASES, SCHEDULES = 1200, 200
BLOCKS = [(1, 1), (1, 2), (2, 1), (1, 4), (4, 1), (2, 2), (3, 2), (1, 8), (8, 1), (16, 1), (4, 4), (5, 7)]
LEVELS = [-0.5, 0.0, 0.1, 0.25, 0.33, 0.5, 0.5, 0.66, 0.75, 0.9, 0.99, 1.0, 1.5]
torch.set_num_threads(1)
warnings.simplefilter("ignore")
rng = random.Random(29)


def numbers(n, kind):
    if kind == "ties":
        return [rng.choice([-2.0, -1.0, 0.0, 1.0, 2.0]) for _ in range(n)]
    if kind == "whole":
        return [float(rng.randint(-30, 30)) for _ in range(n)]
    values = [rng.gauss(0, 1) for _ in range(n)]
    if kind == "special":
        values = [rng.choice([v, v, v, v, 0.0, float("nan"), float("inf"), float("-inf")]) for v in values]
    return values


def weight_case(values):
    block = rng.choice(BLOCKS)
    size = block[0] * block[1]
    if rng.random() < 0.6:
        shape = [block[0] * rng.randint(1, 6), block[1] * rng.randint(1, 6)]
    else:
        shape = [rng.randint(1, 24), rng.randint(1, 24)]
    zeros = size if rng.random() < 0.6 else rng.randint(0, size)
    dtype = rng.choice(["float32", "float32", "float32", "float64", "bfloat16", "float16"])
    steps = rng.randint(1, 5) if dtype in ("float32", "float64") else 1
    case = {"shape": shape, "block": list(block), "zeros": zeros, "norm": rng.choice([1, 2, 2]), "dtype": dtype,
            "levels": [rng.choice(LEVELS) for _ in range(steps)]}
    numel = shape[0] * shape[1]
    array = np.array(numbers(numel, rng.choice(["ties", "whole", "normal", "special"])), np.float32)
    layer = nn.Linear(shape[1], shape[0], bias=False)
    layer.weight = nn.Parameter(torch.tensor(array).reshape(shape).to(getattr(torch, dtype)))
    model = nn.Sequential(layer)
    sparsifier = WeightNormSparsifier(0.5, block, zeros, case["norm"])
    sparsifier.prepare(model, [{"tensor_fqn": "0.weight"}])
    masks = []
    for level in case["levels"]:
        sparsifier.groups[0]["sparsity_level"] = level
        try:
            sparsifier.step()
        except (RuntimeError, ValueError, AssertionError, AttributeError):
            return None
        mask = layer.parametrizations.weight[0].mask
        if list(mask.shape) != shape:
            return None
        masks.append(mask.detach().bool().numpy().reshape(-1).astype(np.uint8))
    values.append(array)
    return case, masks


def schedule_case():
    case = {"base": [rng.choice([0.3, 0.5, 0.8, 0.95, 1.0]), rng.random()], "init_sl": rng.choice([0.0, 0.1, 0.4]),
            "init_t": rng.randint(0, 5), "delta_t": rng.choice([1, 2, 5, 10]), "total_t": rng.randint(1, 12),
            "initially_zero": rng.random() < 0.5, "last_epoch": rng.choice([-1, -1, 0, 3])}
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    sparsifier = WeightNormSparsifier()
    sparsifier.prepare(model, [{"tensor_fqn": f"{i}.weight", "sparsity_level": case["base"][i]} for i in range(2)])
    scheduler = CubicSL(sparsifier, init_sl=case["init_sl"], init_t=case["init_t"], delta_t=case["delta_t"],
                        total_t=case["total_t"], initially_zero=case["initially_zero"], last_epoch=case["last_epoch"])
    levels = [list(scheduler.get_last_sl())]
    for _ in range(11):
        sparsifier.step()
        scheduler.step()
        levels.append(list(scheduler.get_last_sl()))
    return case, np.array(levels, np.float64)


values, masks, cases, left_out = [], [], [], 0
while len(cases) < CASES:
    made = weight_case(values)
    if made is None:
        left_out += 1
        continue
    cases.append(made[0])
    masks.extend(made[1])
schedules, levels = zip(*(schedule_case() for _ in range(SCHEDULES)))
torch.manual_seed(3)
prepared = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4))
sparsifier = WeightNormSparsifier(0.5)
sparsifier.prepare(prepared, [{"tensor_fqn": "0.weight"}])
sparsifier.step()
torch.save(prepared.state_dict(), HERE / "sparsifier.pt")
np.savez_compressed(HERE / "sparsifier.npz", values=np.concatenate(values), masks=np.packbits(np.concatenate(masks)),
                    levels=np.stack(levels), prepared=prepared[0].weight.detach().numpy())
(HERE / "sparsifier.json").write_text(
    json.dumps({"torch": torch.__version__, "cases": cases, "schedules": list(schedules)}, separators=(",", ":")) + "\n")
print(len(cases), "cases,", len(masks), "masks,", len(schedules), "schedules;", left_out, "left out")
