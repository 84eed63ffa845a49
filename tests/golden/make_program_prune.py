#!/usr/bin/env python3
"""Writes program_prune.json and program_prune.pt: masks that PyTorch makes of the tensors of a file.

A case is the words of a `coppice prune` call and tensors; PyTorch prunes them one after the other (or globally) after
torch.manual_seed(S). In the later cases PyTorch has pruned the tensors once already: the file has X_orig and X_mask. The
.pt file holds `CASE.in.NAME` and `CASE.mask.X`, these as booleans.
"""
import json
import pathlib
import random

import torch
import torch.nn.utils.prune as prune
from torch import nn

HERE = pathlib.Path(__file__).parent
torch.set_num_threads(1)
rng = random.Random(5)
METHODS = ["l1_unstructured", "random_unstructured", "ln_structured", "random_structured", "global_l1", "global_random"]
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
SHAPES = {1: [(37,), (1,), (64,)], 2: [(5, 7), (12, 3), (1, 9), (40, 6)], 3: [(4, 3, 5), (2, 1, 6)],
          4: [(3, 2, 3, 3), (6, 2, 1, 2)]}


class Holder(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.weight = nn.Parameter(value)


def tensor(shape, dtype, ties):
    n = 1
    for size in shape:
        n *= size
    if ties:
        values = [rng.choice([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]) for _ in range(n)]
    else:
        values = [rng.randint(-4000, 4000) / 64 for _ in range(n)]
    return torch.tensor(values, dtype=torch.float64).reshape(shape).to(dtype)


def amount_for(units):
    if rng.random() < 0.4:
        return rng.randint(0, units)
    return rng.choice([0.1, 0.25, 0.5, 0.9, round(rng.random(), 3)])


def case(method, number, again):
    structured = method.endswith("structured") and "un" not in method
    many = number % 3 == 2
    dtype = DTYPES[number % 4]
    ties = number % 2 == 0
    ranks = [rng.randint(2 if structured else 1, 4) for _ in range(rng.randint(2, 4) if many else 1)]
    shapes = [rng.choice(SHAPES[rank]) for rank in ranks]
    # Global pruning joins the tensors: types may be mixed.
    dtypes = [rng.choice(DTYPES) if method.startswith("global") and number % 5 == 4 else dtype for _ in shapes]
    values = [tensor(shape, kind, ties) for shape, kind in zip(shapes, dtypes)]
    names = [f"{i}.weight" if many else "weight" for i in range(len(values))]
    words, seed = ["--method", method], rng.randint(0, 2**32 - 1)
    dim = rng.randint(-2, 1)
    n = rng.choice([2, 1, 0.5, 3, float("inf"), float("-inf"), 0])
    if structured:
        words += ["--dim", str(dim)]
        units = min(shape[dim] for shape in shapes)
    else:
        units = min(v.numel() for v in values) if not method.startswith("global") else sum(v.numel() for v in values)
    if method == "ln_structured":
        words += ["--n", str(n)]
    amount = amount_for(units)
    words += ["--amount", str(amount), "--seed", str(seed)]

    holders = [Holder(v.clone()) for v in values]
    if again:
        torch.manual_seed(number)
        for h in holders:
            prune.random_unstructured(h, "weight", rng.choice([0.2, 0.6]))
        if number % 2 == 1 and all(v.dim() >= 2 for v in values):
            for h in holders:
                prune.ln_structured(h, "weight", 1, 2, 0)
        stored = {}
        for name, h in zip(names, holders):
            stored[name + "_orig"], stored[name + "_mask"] = h.weight_orig.detach().clone(), h.weight_mask.clone()
        left = [int(h.weight_mask.sum()) for h in holders]
        if not structured and isinstance(amount, int) and not method.startswith("global"):
            amount = min(amount, min(left))
        elif method.startswith("global") and isinstance(amount, int):
            amount = min(amount, sum(left))
        elif structured:
            amount = 0.5
        words[words.index("--amount") + 1] = str(amount)
    else:
        stored = dict(zip(names, values))
    torch.manual_seed(seed)
    if method == "global_l1":
        prune.global_unstructured([(h, "weight") for h in holders], prune.L1Unstructured, amount=amount)
    elif method == "global_random":
        prune.global_unstructured([(h, "weight") for h in holders], prune.RandomUnstructured, amount=amount)
    for h in holders if not method.startswith("global") else []:
        if method == "l1_unstructured":
            prune.l1_unstructured(h, "weight", amount)
        elif method == "random_unstructured":
            prune.random_unstructured(h, "weight", amount)
        elif method == "ln_structured":
            prune.ln_structured(h, "weight", amount, n, dim)
        else:
            prune.random_structured(h, "weight", amount, dim)
    return words, stored, dict(zip(names, [h.weight_mask for h in holders]))


def main():
    cases, tensors = [], {}
    for number in range(144):
        words, stored, masks = case(METHODS[number % len(METHODS)], number // len(METHODS), number >= 96)
        tensors.update({f"{number}.in.{name}": value for name, value in stored.items()})
        tensors.update({f"{number}.mask.{name}": mask != 0 for name, mask in masks.items()})
        cases.append({"words": words, "tensors": list(stored), "pruned": list(masks)})
    text = ",\n".join(json.dumps(c) for c in cases)
    (HERE / "program_prune.json").write_text(f'{{"torch": "{torch.__version__}", "cases": [\n{text}\n]}}\n')
    torch.save(tensors, HERE / "program_prune.pt")


main()
