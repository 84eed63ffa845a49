#!/usr/bin/env python3
"""Writes wanda.npz and wanda.json: masks of torchao's WandaSparsifier and mask_creator in random configurations.

A case of Wanda is a weight, settings, and one to three rounds of inputs, each followed by a step; the file holds a mask
for each step, as bits. In some cases scores are equal, exactly. In the others those rounds are left out in which the last
score that goes and the first that stays differ by less than 1e-4 of them: there the rounding of norms decides. Needs
torchao 0.18.0, the last release with the class.
"""
import json
import pathlib
import random
import warnings

import numpy as np
import torch
from torch import nn
from torchao.sparsity.utils import mask_creator
from torchao.sparsity.wanda import WandaSparsifier

HERE = pathlib.Path(__file__).parent
CASES, PATTERNS = 150, 150
torch.set_num_threads(1)
warnings.simplefilter("ignore")
rng = random.Random(41)


def near(layer, block, level):
    scores = layer.parametrizations.weight.original.detach().abs() * layer.activation_post_process.norm
    size = block or scores.numel()
    count = block // 2 if block else int(size * level)
    ordered = scores.reshape(-1, size).sort(dim=1).values
    if count in (0, size):
        return False
    below, above = ordered[:, count - 1], ordered[:, count]
    return bool(((above - below) <= 1e-4 * above).any())


def wanda_case():
    rows, cols = rng.randint(1, 12), 4 * rng.randint(1, 8)
    block = rng.choice([None, None, 2, 4, 4, 8, 20, 32])
    if block and rows * cols % block:
        return None
    case = {"shape": [rows, cols], "block": block, "level": rng.choice([0.0, 0.1, 0.3, 0.5, 0.5, 0.75, 1.0]),
            "rounds": [[rng.randint(1, 5) for _ in range(rng.randint(1, 2))] for _ in range(rng.randint(1, 3))]}
    case["ties"] = rng.random() < 0.4
    draw = (lambda: rng.choice([-2.0, -1.0, 0.0, 1.0, 2.0])) if case["ties"] else (lambda: rng.gauss(0, 1))
    weight = np.array([draw() for _ in range(rows * cols)], np.float32)
    if case["ties"]:
        case["rounds"] = [[1] for _ in case["rounds"]]  # whose norms are exact
    layer = nn.Linear(cols, rows, bias=False)
    layer.weight = nn.Parameter(torch.tensor(weight).reshape(rows, cols))
    model = nn.Sequential(layer)
    sparsifier = WandaSparsifier(case["level"], block)
    sparsifier.prepare(model, None)
    arrays, masks = [weight], []
    for batches in case["rounds"]:
        for n in batches:
            entry = (lambda: rng.choice([1.0, 2.0])) if case["ties"] else (lambda: rng.gauss(0, 2))
            x = np.array([entry() for _ in range(n * cols)], np.float32)
            arrays.append(x)
            model(torch.tensor(x).reshape(n, cols))
        if not case["ties"] and near(model[0], block, case["level"]):
            return None
        sparsifier.step()
        masks.append(model[0].parametrizations.weight[0].mask.detach().bool().numpy().reshape(-1).astype(np.uint8))
    return case, arrays, masks


def pattern_case():
    m = rng.choice([rng.randint(1, 16), rng.randint(17, 64)])
    shape = [rng.randint(1, 6) * m] if rng.random() < 0.3 else [rng.randint(1, 5), m * rng.randint(1, 4)]
    numel = int(np.prod(shape))
    values = [rng.choice([-2.0, -1.0, 0.0, 1.0, 2.0]) if rng.random() < 0.7 else rng.gauss(0, 2) for _ in range(numel)]
    array = np.array(values, np.float32)
    case = {"shape": shape, "n": rng.randint(0, m), "m": m}
    mask = mask_creator(torch.tensor(array).reshape(shape), case["n"], m)
    return case, array, mask.bool().numpy().reshape(-1).astype(np.uint8)


values, masks, cases, patterns, left_out = [], [], [], [], 0
while len(cases) < CASES:
    made = wanda_case()
    if made is None:
        left_out += 1
        continue
    cases.append(made[0])
    values.extend(made[1])
    masks.extend(made[2])
steps = len(masks)
for _ in range(PATTERNS):
    case, array, mask = pattern_case()
    patterns.append(case)
    values.append(array)
    masks.append(mask)
np.savez_compressed(HERE / "wanda.npz", values=np.concatenate(values), masks=np.packbits(np.concatenate(masks)))
(HERE / "wanda.json").write_text(
    json.dumps({"torch": torch.__version__, "torchao": "0.18.0", "cases": cases, "patterns": patterns},
               separators=(",", ":")) + "\n")
print(len(cases), "cases with", steps, "masks,", len(patterns), "patterns;", left_out, "left out")
