#!/usr/bin/env python3
"""Writes prune.npz and prune.json: what PyTorch's pruning makes of random configurations of every method.

A case is some parameters and steps that prune them. For every step the file holds, for each parameter it touched, the
type and the numbers of the mask and a CRC of the pruned weight; or the class of the error, after which the case ends.
`make_prune.py --compare` computes all with the PyTorch that is installed and lists what differs.
"""
import argparse
import collections
import json
import pathlib
import random
import zlib

import numpy as np
import torch
import torch.nn.utils.prune as prune
from torch import nn

HERE = pathlib.Path(__file__).parent
SINGLE, GLOBAL, EMPTY, REFUSED = 700, 160, 60, 60
ERRORS = (ValueError, IndexError, RuntimeError, TypeError, AssertionError, KeyError, AttributeError)
torch.set_num_threads(1)
torch.manual_seed(1)
rng = random.Random(21)


class Holder(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.weight = nn.Parameter(value)


def count(shape):
    return int(np.prod(shape))


def numbers(n, kind):
    if kind == "whole":
        return [float(rng.randint(-30, 30)) for _ in range(n)]
    if kind == "ties":
        return [rng.choice([-2.0, -1.0, 0.0, 1.0, 2.0]) for _ in range(n)]
    values = [rng.randint(-4000, 4000) / 64 for _ in range(n)]
    if kind == "special":
        values = [rng.choice([v, v, v, 0.0, -0.0, float("nan"), float("inf"), float("-inf")]) for v in values]
    return values


def custom_numbers(n, any_number):
    if any_number:
        return [rng.choice([1.0, 1.0, 1.0, 0.0, 0.5, 2.0, -1.0]) for _ in range(n)]
    return [float(rng.random() < 0.8) for _ in range(n)]


def amount(units):
    return rng.randint(0, max(0, units)) if rng.random() < 0.4 else round(rng.random(), rng.choice([1, 2, 3]))


def score_type(dtype, integers):
    """Mostly the weight's own."""
    if rng.random() < 0.5:
        return dtype
    return rng.choice(["float64", "float32"] + (["int64"] if integers else []))


def step(target, kind, first):
    shape, dtype = target["shape"], target["dtype"]
    structured = len(shape) > 1 and rng.random() < 0.6
    names = ["random_structured", "ln_structured", "ln_structured"] if structured else [
        "random_unstructured", "l1_unstructured", "l1_unstructured", "identity", "custom"]
    if target.get("transposed") and first:  # PyTorch flattens by a view there
        names = [n for n in names if not n.endswith("_unstructured")]
    s = {"method": rng.choice(names), "on": [0]}
    if structured:
        s["dim"] = rng.randrange(-len(shape), len(shape))
        s["amount"] = amount(shape[s["dim"]])
    elif s["method"] in ("random_unstructured", "l1_unstructured"):
        s["amount"] = amount(count(shape) // 2)
    elif s["method"] == "custom":
        s["mask"] = rng.choice(["float32", "float32", "bool", "int64", "float64"])
        s["any"] = s["mask"].startswith("float") and rng.random() < 0.3
    if s["method"] == "ln_structured":
        # Powers by other exponents round differently on every machine: near-equal norms could swap.
        plain = kind == "plain" and dtype in ("float32", "float64")
        choices = [1, 2, 0, "inf", "-inf", None] + ([3, 0.5, -1, -2] if plain else [])
        s["n"] = rng.choice(choices if count(shape) else [0, 1, 2])
        if s["n"] is None:
            s["n"] = rng.choice(["fro", "nuc"] if plain else ["fro"])
    if s["method"] in ("l1_unstructured", "ln_structured") and rng.random() < 0.4:
        s["scores"] = {"0": score_type(dtype, s["method"] == "l1_unstructured")}
    return s


def global_step(targets):
    on = list(range(len(targets)))
    if rng.random() < 0.1:
        on.append(rng.choice(on))  # the same parameter twice
    rng.shuffle(on)
    name = rng.choice(["l1", "l1", "l1", "random", "identity"])
    s = {"method": "global", "name": name, "on": on}
    if name != "identity":
        s["amount"] = amount(sum(count(targets[i]["shape"]) for i in on) // 3)
    if rng.random() < 0.4:
        s["scores"] = {str(i): score_type(targets[i]["dtype"], name == "l1") for i in sorted(set(on)) if rng.random() < 0.6}
    return s


def refused_step(target):
    """Something that PyTorch refuses, or nearly."""
    shape = target["shape"]
    n, rank = count(shape), len(shape)
    return rng.choice([
        lambda: {"method": "l1_unstructured", "amount": n + rng.randint(0, 1)},
        lambda: {"method": "random_unstructured", "amount": n + rng.randint(0, 1)},
        lambda: {"method": "l1_unstructured", "amount": rng.choice([1.1, -0.1, -1, 20.0])},
        lambda: {"method": "random_structured", "amount": rng.choice([1.5, 0.5]), "dim": rng.randint(-rank - 1, rank)},
        lambda: {"method": "random_structured", "amount": shape[0] + rng.randint(0, 1), "dim": 0},
        lambda: {"method": "ln_structured", "amount": 1, "n": 2, "dim": rng.choice([-rank - 1, rank, rank + 3])},
        lambda: {"method": "ln_structured", "amount": shape[0] + 1, "n": 1, "dim": 0},
        lambda: {"method": "ln_structured", "amount": rng.choice([0, 1]), "n": rng.choice(["fro", "nuc"]), "dim": 0},
        lambda: {"method": "l1_unstructured", "amount": 1, "scores": {"0": "float32"}, "score_shape": shape + [1]},
        lambda: {"method": "custom", "mask": "float32", "any": False, "mask_shape": [1] + shape},
        lambda: {"method": "l1_unstructured", "amount": 1, "name": "missing"},
        lambda: {"method": "l1_unstructured", "amount": 1, "name": "weight_mask"},
        lambda: {"method": "remove", "name": "missing"},
        lambda: {"method": "global", "name": "ln", "amount": 1},
        lambda: {"method": "global", "name": "l1", "amount": n + rng.randint(0, 1)},
        lambda: {"method": "global", "name": "l1", "amount": 1, "scores": {"0": "float32"}, "score_shape": [n - 1]},
    ])() | {"on": [0]}


def scores_of(s, i, targets, parts):
    dtype = getattr(torch, s["scores"][str(i)])
    shape = s.get("score_shape", targets[i]["shape"])
    return torch.tensor(next(parts), dtype=torch.float32).reshape(shape).to(dtype)


def apply(s, targets, modules, parts):
    m, name = modules[s["on"][0]], s.get("name", "weight")
    if s["method"] == "global":
        method = {"l1": prune.L1Unstructured, "random": prune.RandomUnstructured, "identity": prune.Identity,
                  "ln": prune.LnStructured}[s["name"]]
        scores = {(modules[int(i)], "weight"): scores_of(s, int(i), targets, parts) for i in s.get("scores", {})}
        settings = {} if s["name"] == "identity" else {"amount": s["amount"]}
        if s["name"] == "ln":
            settings |= {"n": 2, "dim": 0}
        prune.global_unstructured([(modules[i], "weight") for i in s["on"]], method, scores or None, **settings)
        return
    extra = {"importance_scores": scores_of(s, 0, targets, parts)} if "scores" in s else {}
    n = float(s["n"]) if s.get("n") in ("inf", "-inf") else s.get("n")
    if s["method"] == "identity":
        prune.identity(m, name)
    elif s["method"] == "remove":
        prune.remove(m, name)
    elif s["method"] == "custom":
        mask = torch.tensor(next(parts), dtype=torch.float32).to(getattr(torch, s["mask"]))
        prune.custom_from_mask(m, name, mask.reshape(s.get("mask_shape", targets[s["on"][0]]["shape"])))
    elif s["method"] == "random_unstructured":
        prune.random_unstructured(m, name, s["amount"])
    elif s["method"] == "l1_unstructured":
        prune.l1_unstructured(m, name, s["amount"], **extra)
    elif s["method"] == "random_structured":
        prune.random_structured(m, name, s["amount"], s["dim"])
    else:
        prune.ln_structured(m, name, s["amount"], n, s["dim"], **extra)


def crc(t):
    """Of the numbers as doubles; one NaN is as good as another."""
    values = t.detach().to(torch.float64).contiguous().numpy().ravel().copy()
    values[np.isnan(values)] = np.nan
    return zlib.crc32(values.astype("<f8").tobytes())


def run(case, values):
    """Per step the class of the error, or for each parameter: type of the mask, its numbers, CRC of the weight."""
    parts, modules, out = iter(values), [], []
    for target in case["targets"]:
        t = torch.tensor(next(parts), dtype=torch.float32).to(getattr(torch, target["dtype"])).reshape(target["shape"])
        if target.get("transposed"):
            t = t.transpose(0, -1).contiguous().transpose(0, -1)
        modules.append(Holder(t))
    torch.manual_seed(case["seed"])
    for s in case["steps"]:
        try:
            apply(s, case["targets"], modules, parts)
        except ERRORS as e:
            out.append(type(e).__name__)
            return out
        results = []
        for i in sorted(set(s["on"])):
            m = modules[i]
            for hook in m._forward_pre_hooks.values():
                hook(m, None)
            numbers_ = m.weight_mask.to(torch.float32).contiguous().numpy().ravel().copy()
            results.append((str(m.weight_mask.dtype)[6:], numbers_, crc(m.weight)))
        out.append(results)
    return out


def target(shape, dtype):
    t = {"shape": shape, "dtype": dtype}
    if len(shape) > 1 and count(shape) and rng.random() < 0.12:
        t["transposed"] = True
    return t


def shape_of(i):
    rank = 1 + i % 5
    if rank == 1 and rng.random() < 0.15:
        return [rng.randint(64, 300)]  # torch.topk changes its algorithm where 64 k <= n
    return [rng.randint(1, [60, 9, 6, 4, 3][rank - 1]) for _ in range(rank)]


DTYPES = ["float32", "float32", "float64", "bfloat16", "float16"]


def make_case(i):
    kind = ["plain", "ties", "plain", "special"][rng.randrange(4)]
    if i < SINGLE:
        targets = [target(shape_of(i), rng.choice(DTYPES))]
        steps = [step(targets[0], kind, k == 0) for k in range(rng.choice([1, 1, 2, 3]))]
    elif i < SINGLE + GLOBAL:
        one = rng.choice(DTYPES) if rng.random() < 0.7 else None
        targets = [target(shape_of(rng.randrange(4)), one or rng.choice(DTYPES)) for _ in range(rng.randint(2, 4))]
        for t in targets:
            t.pop("transposed", None)
        steps = []
        for k in range(rng.choice([0, 1, 2])):  # earlier prunings of some
            at = rng.randrange(len(targets))
            steps.append({"method": "l1_unstructured", "amount": round(rng.random(), 1), "on": [at]})
        if rng.random() < 0.15:
            at = rng.randrange(len(targets))
            steps.append({"method": "custom", "mask": "float32", "any": True, "on": [at]})
        steps += [global_step(targets) for _ in range(rng.choice([1, 1, 2, 3]))]
    elif i < SINGLE + GLOBAL + EMPTY:
        shape = rng.choice([[], [0], [0, 3], [3, 0], [2, 0, 3], [1], [1, 1]])
        targets = [target(shape, rng.choice(DTYPES))]
        steps = [step(targets[0], kind, k == 0) for k in range(rng.choice([1, 2]))]
    else:
        targets = [target(shape_of(i), "float32")]
        targets[0].pop("transposed", None)
        steps = [{"method": "identity", "on": [0]}] if rng.random() < 0.4 else []
        steps.append(refused_step(targets[0]))
        if len(targets[0]["shape"]) == 1 and "structured" in steps[-1]["method"].replace("unstructured", ""):
            steps = steps[-1:]  # a container lets it pass by an accident of indexing, which is not followed
    return {"targets": targets, "kind": kind, "seed": rng.randrange(2**31), "steps": steps}


def make():
    cases, inputs, results = [], [], []
    for i in range(SINGLE + GLOBAL + EMPTY + REFUSED):
        case = make_case(i)
        kind = case["kind"]
        values = [numbers(count(t["shape"]), kind) for t in case["targets"]]
        for s in case["steps"]:
            for at, dtype in s.get("scores", {}).items():
                n = count(s.get("score_shape", case["targets"][int(at)]["shape"]))
                values.append(numbers(n, "whole" if dtype == "int64" else kind))
            if s["method"] == "custom":
                values.append(custom_numbers(count(s.get("mask_shape", case["targets"][s["on"][0]]["shape"])), s["any"]))
        cases.append(case)
        inputs.append(values)
        results.append(run(case, values))
    return cases, inputs, results


def plain(step_result):
    return isinstance(step_result, list)


def binary(mask):
    return bool(np.isin(mask, (0, 1)).all())


parser = argparse.ArgumentParser()
parser.add_argument("--compare", action="store_true")
args = parser.parse_args()
cases, inputs, results = make()
if args.compare:
    stored = json.loads((HERE / "prune.json").read_text())
    reasons = collections.Counter()
    for case, old, now in zip(cases, stored["cases"], results):
        for i, before in enumerate(old["out"]):
            mine = now[i] if i < len(now) else "missing"
            if plain(mine):
                mine = [[dtype, zlib.crc32(mask.tobytes()), weight] for dtype, mask, weight in mine]
            if mine == before:
                continue
            s = case["steps"][i]
            types = "/".join(sorted({t["dtype"] for t in case["targets"]}))
            what = [r if isinstance(r, str) else "mask" for r in (before, mine)]
            reasons[f"{s['method']} {s.get('name', '')} {types}: stored {what[0]}, now {what[1]}"] += 1
            break  # later steps follow from it
    for reason, number in sorted(reasons.items()):
        print(f"{number:4} {reason}")
    print(f"{sum(reasons.values())} of {len(cases)} cases differ: PyTorch {torch.__version__} against {stored['torch']}")
else:
    values = np.array([v for case in inputs for part in case for v in part], dtype=np.float32)
    masks = [mask for case in results for r in case if plain(r) for _, mask, _ in r]
    bits = np.concatenate([m for m in masks if binary(m)]).astype(np.uint8)
    other = np.concatenate([m for m in masks if not binary(m)])
    np.savez_compressed(HERE / "prune.npz", values=values, masks=np.packbits(bits, bitorder="little"), other=other)
    for case, result in zip(cases, results):
        case["out"] = [[[dtype, zlib.crc32(mask.tobytes()), weight] for dtype, mask, weight in r] if plain(r) else r
                       for r in result]
        case["binary"] = [[binary(mask) for _, mask, _ in r] if plain(r) else [] for r in result]
        if all(all(b) for b in case["binary"]):
            del case["binary"]
    text = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    (HERE / "prune.json").write_text(f'{{"torch": "{torch.__version__}", "cases": [\n{text}\n]}}\n')
    refused = collections.Counter(r for case in results for r in case if not plain(r))
    print(len(cases), "cases", len(masks), "masks", dict(refused))
