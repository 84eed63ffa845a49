#!/usr/bin/env python3
"""Writes optim.npz: what SGD, Adam and AdamW of torch.optim make of three gradients, in 300 random settings.

Parameters and gradients hold infinities, NaN, both zeros, and numbers near the largest, beside normal ones. All arrays
are float64; the numbers of float32 cases are exact in it. Row i of every array belongs to case i.
"""
import pathlib

import numpy as np
import torch

HERE = pathlib.Path(__file__).parent
CASES, STEPS, SIZE = 300, 3, 32  # 32: whole vectors of PyTorch, whose loops treat a rest differently in the last bit
KINDS = ["sgd", "adam", "adamw"]
SETTINGS = ["kind", "double", "lr", "momentum", "dampening", "nesterov", "weight_decay", "beta1", "beta2", "eps",
            "amsgrad"]
STATES = ["momentum_buffer", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"]
rng = np.random.default_rng(6)


def numbers(shape, dtype, specials):
    out = rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 3, shape)
    largest = np.finfo(dtype).max
    special = rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan, largest, -largest], shape,
                         p=[.3, .3, .1, .1, .1, .05, .05])
    return np.where(rng.random(shape) < specials, special, out).astype(dtype)


def setting():
    pick = lambda *values: float(rng.choice(values))
    s = {"kind": rng.integers(3), "double": rng.integers(2), "lr": pick(0, 1e-3, 0.1, 1),
         "momentum": pick(0, 0, 0.5, 0.9),
         "dampening": pick(0, 0, 0.3, 1), "nesterov": 0, "weight_decay": pick(0, 0, 1e-2, 0.5),
         "beta1": pick(0, 0.3, 0.5, 0.9), "beta2": pick(0, 0.5, 0.999), "eps": pick(0, 1e-8, 1e-3),
         "amsgrad": rng.integers(2)}
    if s["momentum"] > 0 and s["dampening"] == 0:
        s["nesterov"] = rng.integers(2)
    return s


def optimizer(s, p):
    if KINDS[s["kind"]] == "sgd":
        return torch.optim.SGD([p], lr=s["lr"], momentum=s["momentum"], dampening=s["dampening"],
                               nesterov=bool(s["nesterov"]), weight_decay=s["weight_decay"], foreach=False, fused=False)
    make = torch.optim.Adam if KINDS[s["kind"]] == "adam" else torch.optim.AdamW
    return make([p], lr=s["lr"], betas=(s["beta1"], s["beta2"]), eps=s["eps"], weight_decay=s["weight_decay"],
                amsgrad=bool(s["amsgrad"]), foreach=False, fused=False)


out = {"settings": np.zeros((CASES, len(SETTINGS))), "before": np.zeros((CASES, SIZE)),
       "gradients": np.zeros((CASES, STEPS, SIZE)), "after": np.zeros((CASES, SIZE))}
out |= {name: np.zeros((CASES, SIZE)) for name in STATES}
for i in range(CASES):
    s = setting()
    dtype = np.float64 if s["double"] else np.float32
    specials = float(rng.choice([0, 0.1, 0.5, 1]))
    before = numbers(SIZE, dtype, specials)
    gradients = numbers((STEPS, SIZE), dtype, float(rng.choice([0, specials])))
    gradients[:, :4] = [0.0, -0.0, 0.0, -0.0]  # nothing happens to these but by momentum and weight decay
    p = torch.from_numpy(before.copy()).requires_grad_()
    opt = optimizer(s, p)
    for g in gradients:
        p.grad = torch.from_numpy(g.copy())
        opt.step()
    out["settings"][i] = [s[name] for name in SETTINGS]
    out["before"][i], out["gradients"][i], out["after"][i] = before, gradients, p.detach().numpy()
    for name in STATES:
        value = opt.state[p].get(name)
        if value is not None:
            out[name][i] = value.numpy()
np.savez_compressed(HERE / "optim.npz", **out)
print(f"{CASES} cases, PyTorch {torch.__version__}")
