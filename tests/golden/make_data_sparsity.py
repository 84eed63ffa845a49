#!/usr/bin/env python3
"""Writes data_sparsity.npz and data_sparsity.json: masks of PyTorch's data norm and activation sparsifiers.

A case of the first kind is a matrix and the levels of one or five steps; of the second a layer's inputs over some
passes, three functions, and what leaves the layer once it is squashed. A layer with an empty list of features has no
mask: those come in addition to the ACTIVATION that have one. `make_data_sparsity.py --compare` computes all with the
PyTorch that is installed and says how many cases differ.
"""
import argparse
import json
import pathlib
import random
import warnings

import numpy as np
import torch
from torch import nn

try:
    from torch.ao.pruning._experimental.activation_sparsifier.activation_sparsifier import ActivationSparsifier
    from torch.ao.pruning._experimental.data_sparsifier.data_norm_sparsifier import DataNormSparsifier
except ImportError:  # 1.13
    from torch.ao.sparsity._experimental.activation_sparsifier.activation_sparsifier import ActivationSparsifier
    from torch.ao.sparsity._experimental.data_sparsifier.data_norm_sparsifier import DataNormSparsifier

HERE = pathlib.Path(__file__).parent
NORM, SEQUENCES, ACTIVATION = 500, 100, 200
warnings.simplefilter("ignore")
torch.set_num_threads(1)
rng = random.Random(12)


def level():
    return rng.choice([0.0, 1.0, 0.5, 1.7, -1.0, -2.5] + [round(rng.random(), rng.choice([1, 2, 3])) for _ in range(14)])


def norm_case(i):
    height, width = rng.choice([(rng.randint(1, 24), rng.randint(2, 24)), (rng.randint(2, 60), 1)])
    block = rng.choice([[1, 1], [1, 4], [4, 1], [2, 2], [4, 4], [16, 1], [rng.randint(1, 7), rng.randint(1, 7)]])
    area = block[0] * block[1]
    steps = 1 if i < NORM else 5
    case = {
        "shape": [height, width] if rng.random() < 0.9 else [height, 1, width],
        "dtype": rng.choice(["float32", "float32", "float64"]),
        "block": block,
        "zeros": area if rng.random() < 0.5 else rng.randint(0, area),
        "norm": rng.choice(["L1", "L2"]),
        "levels": [level() for _ in range(steps)],
    }
    if rng.random() < 0.06:
        case["compat"] = True
        case["levels"] = [-round(rng.random(), 2) for _ in range(steps)]
    values = [rng.gauss(0, 1) * rng.choice([1, 1, 1, 0.01]) for _ in range(height * width)]
    if rng.random() < 0.1 and case["zeros"] == area:  # one: PyTorch's order of several is not ours
        values[rng.randrange(len(values))] = float("nan")
    return case, values


def run_norm(case, values):
    t = torch.tensor(values, dtype=torch.float32).to(getattr(torch, case["dtype"])).reshape(case["shape"])
    s = DataNormSparsifier(sparse_block_shape=tuple(case["block"]), zeros_per_block=case["zeros"], norm=case["norm"])
    s.add_data("data", t)
    out = []
    for value in case["levels"]:
        s.data_groups["data"]["sparsity_level"] = value
        s.step()
        out.append(s.get_mask("data").numpy().ravel().astype(np.uint8))
    return out


def magnitude(t, sparsity_level):
    order = torch.sort(t.abs().flatten(), stable=True)[1]
    mask = torch.ones(t.numel())
    mask[order[: round(sparsity_level * t.numel())]] = 0
    return mask.reshape(t.shape)


def threshold(t, threshold):
    return (t.abs() >= threshold).float()


def top_k(t, k):
    order = torch.sort(t.abs().flatten(), stable=True)[1]
    mask = torch.ones(t.numel())
    mask[order[: max(0, t.numel() - k)]] = 0
    return mask.reshape(t.shape)


AGGREGATE = {"coppice.sum": lambda a, x: a + x, "coppice.abs_sum": lambda a, x: a + x.abs(), "maximum": torch.maximum}
REDUCE = {
    "coppice.identity": lambda x: x,
    "coppice.mean_dim0": lambda x: x.mean(0),
    "coppice.sum_dim0": lambda x: x.sum(0),
    "coppice.abs_mean_dim0": lambda x: x.abs().mean(0),
}
MASK = {"coppice.magnitude": magnitude, "coppice.threshold": threshold, "coppice.top_k": top_k}


def activation_case():
    shape = [rng.randint(1, 5) for _ in range(rng.randint(2, 4))]
    case = {"shape": shape, "passes": rng.randint(1, 5), "aggregate": rng.choice(list(AGGREGATE)),
            "reduce": rng.choice(list(REDUCE)), "mask": rng.choice(list(MASK))}
    if rng.random() < 0.5:
        dim = rng.randrange(1, len(shape))
        case["dim"] = dim if rng.random() < 0.7 else dim - len(shape)
        case["features"] = [rng.randrange(shape[dim]) for _ in range(rng.randint(0, 3))]
    if case["mask"] == "coppice.magnitude":
        case["config"] = {"sparsity_level": round(rng.random(), 2)}
    elif case["mask"] == "coppice.top_k":
        case["config"] = {"k": rng.randint(0, 12)}
    else:  # sums are exact, means are not
        case["reduce"] = rng.choice(["coppice.identity", "coppice.sum_dim0"])
        case["config"] = {"threshold": rng.randint(0, 200) / 64}
    n = int(np.prod(shape)) * case["passes"]
    return case, [rng.randint(-200, 200) / 64 for _ in range(n)]


def run_activation(case, values):
    inputs = torch.tensor(values, dtype=torch.float32).reshape([case["passes"]] + case["shape"])
    model = nn.Sequential(nn.Identity())
    s = ActivationSparsifier(model)
    s.register_layer(model[0], AGGREGATE[case["aggregate"]], REDUCE[case["reduce"]], MASK[case["mask"]],
                     case.get("features"), case.get("dim"), **case["config"])
    for x in inputs:
        model(x)
    s.step()
    masks = s.get_mask("0")
    masks = [m.numpy().ravel().astype(np.uint8) for m in (masks if isinstance(masks, list) else [masks])]
    s.squash_mask()
    return masks, model(inputs[-1].clone()).numpy().ravel()


def activation_cases():
    """As many as it takes until ACTIVATION of them have a mask."""
    cases, masked = [], 0
    while masked < ACTIVATION:
        cases.append(activation_case())
        masked += cases[-1][0].get("features") != []
    return cases


def make():
    norm = [norm_case(i) for i in range(NORM + SEQUENCES)]
    activation = activation_cases()
    masks = [run_norm(*case) for case in norm]
    results = [run_activation(*case) for case in activation]
    cases = {"norm": [case for case, _ in norm], "activation": [case for case, _ in activation]}
    for case, (found, _) in zip(cases["activation"], results):
        case["sizes"] = [len(m) for m in found]
    values = [v for _, part in norm + activation for v in part]
    bits = [m for found in masks for m in found] + [m for found, _ in results for m in found]
    return cases, values, bits, [out for _, out in results]


parser = argparse.ArgumentParser()
parser.add_argument("--compare", action="store_true")
args = parser.parse_args()
cases, values, bits, outputs = make()
joined = np.concatenate(bits)
arrays = {
    "values": np.array(values, dtype=np.float32),
    "masks": np.packbits(joined),
    "outputs": np.concatenate(outputs).astype(np.float32),
}
if args.compare:
    stored = np.load(HERE / "data_sparsity.npz")
    old = np.unpackbits(stored["masks"])[: len(joined)]
    at = different = 0
    for mask in bits:
        different += not np.array_equal(mask, old[at: at + len(mask)])
        at += len(mask)
    print(f"{different} of {len(bits)} masks differ, outputs are equal: "
          f"{np.array_equal(stored['outputs'], arrays['outputs'])} (PyTorch {torch.__version__})")
else:
    np.savez_compressed(HERE / "data_sparsity.npz", **arrays)
    lines = [",\n".join(json.dumps(c, separators=(",", ":")) for c in cases[kind]) for kind in ("norm", "activation")]
    (HERE / "data_sparsity.json").write_text(
        f'{{"torch": "{torch.__version__}", "norm": [\n{lines[0]}\n], "activation": [\n{lines[1]}\n]}}\n')
    print(len(cases["norm"]), len(cases["activation"]), "cases", len(bits), "masks")
