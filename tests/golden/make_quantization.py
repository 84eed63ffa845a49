#!/usr/bin/env python3
"""Writes quantization.npz and quantization.json: quantised tensors, observers and fake quantisers in random configurations.

A case names its settings; numbers stand one after another in two arrays, float32 values and int64 integers. Inputs are
drawn so that halves between two integers, outliers, constants, empty batches and limits are met.
"""
import json
import pathlib
import random
import warnings

import numpy as np
import torch
import torch.ao.quantization as tq

HERE = pathlib.Path(__file__).parent
torch.set_num_threads(1)
warnings.simplefilter("ignore")
rng = random.Random(53)
values, integers = [], []
DTYPES = {"qint8": (torch.qint8, -128, 127), "quint8": (torch.quint8, 0, 255), "qint32": (torch.qint32, -2**31, 2**31 - 1)}


def keep(t):
    values.append(t.detach().to(torch.float32).reshape(-1).numpy().copy())
    return t


def keep_integers(t):
    integers.append(np.asarray(t, np.int64).reshape(-1))


def shape(rank=None, most=6):
    return [rng.randint(1, most) for _ in range(rank if rank is not None else rng.randint(1, 4))]


def floats(sizes, spread=1.0):
    n = int(np.prod(sizes)) if sizes else 1
    kind = rng.choice(["normal", "normal", "halves", "cubed", "constant", "positive"])
    draw = {"normal": lambda: rng.gauss(0, spread), "halves": lambda: rng.randint(-20, 20) / 2 * spread,
            "cubed": lambda: rng.gauss(0, 1) ** 3 * spread, "constant": lambda c=rng.gauss(0, spread): c,
            "positive": lambda: abs(rng.gauss(0, spread))}[kind]
    return torch.tensor([draw() for _ in range(n)], dtype=torch.float32).reshape(sizes)


def scale():
    return rng.choice([1.0, 0.5, 0.1, 10 ** rng.uniform(-4, 1), 2.0 ** rng.randint(-8, 2)])


def quantise_case():
    name = rng.choice(list(DTYPES))
    dtype, low, high = DTYPES[name]
    zero = lambda: rng.randint(max(low, -300), min(high, 300)) if name == "qint32" else rng.choice([0, 7, 11, high, low, rng.randint(low, high)]) if low <= 0 else 0
    kind = rng.choice(["tensor", "tensor", "channel", "channel", "float"])
    x = keep(floats(sizes := shape(), rng.choice([1.0, 5.0, 100.0])))
    if kind == "tensor":
        s, z = scale(), zero()
        z = min(max(z, low), high)
        q = torch.quantize_per_tensor(x, s, z, dtype)
        case = {"dtype": name, "kind": kind, "shape": sizes, "scale": s, "zero_point": z}
    else:
        axis = rng.randrange(len(sizes))
        if kind == "float":
            name = rng.choice(["quint8", "quint4x2"])
            dtype = torch.quint8 if name == "quint8" else torch.quint4x2
            if name == "quint4x2":
                sizes = [sizes[0], 2 * rng.randint(1, 4)]
                values[-1] = values[-1][:0]
                x, axis = keep(floats(sizes, 1.0)), 0
            else:
                axis = 0
        scales = keep(torch.tensor([scale() for _ in range(sizes[axis])], dtype=torch.float32))
        if kind == "float":
            zeros = keep(torch.tensor([rng.gauss(3, 3) for _ in range(sizes[axis])], dtype=torch.float32))
            q = torch.quantize_per_channel(x, scales, zeros, axis, dtype)
        else:
            zeros = torch.tensor([min(max(zero(), low), high) for _ in range(sizes[axis])])
            keep_integers(zeros)
            q = torch.quantize_per_channel(x, scales.double(), zeros, axis, dtype)
        case = {"dtype": name, "kind": kind, "shape": sizes, "axis": axis}
    if case["dtype"] == "quint4x2":
        bytes_ = q.int_repr().reshape(-1).numpy()[: int(np.prod(case["shape"])) // 2]
        keep_integers(np.stack([bytes_ & 15, bytes_ >> 4], 1))
    else:
        keep_integers(q.int_repr().numpy())
    keep(q.dequantize())
    return case


def batches(channels=None):
    out = []
    for _ in range(rng.randint(1, 4)):
        sizes = shape(2, 8)
        if channels:
            sizes[0] = channels
        out.append(floats(sizes, rng.choice([0.01, 1.0, 1.0, 30.0])))
    return out


OBSERVERS = {
    "MinMaxObserver": tq.MinMaxObserver,
    "MovingAverageMinMaxObserver": tq.MovingAverageMinMaxObserver,
    "PerChannelMinMaxObserver": tq.PerChannelMinMaxObserver,
    "MovingAveragePerChannelMinMaxObserver": tq.MovingAveragePerChannelMinMaxObserver,
    "HistogramObserver": tq.HistogramObserver,
}


def observer_settings(name):
    per_channel = "PerChannel" in name
    while True:
        dtype = rng.choice(["quint8", "qint8"])
        scheme = rng.choice(["affine", "symmetric"])
        s = {"dtype": dtype, "qscheme": ("per_channel_" if per_channel else "per_tensor_") + scheme}
        if per_channel and rng.random() < 0.2:
            s = {"dtype": "quint8", "qscheme": "per_channel_affine_float_qparams"}
        if rng.random() < 0.3:
            s["reduce_range"] = True
        if rng.random() < 0.3:
            s["quant_min"], s["quant_max"] = rng.choice([(0, 127), (0, 255), (-127, 127), (-8, 7), (0, 15)])
            if dtype == "quint8" and s["quant_min"] < 0:
                continue
        if rng.random() < 0.2:
            s["eps"] = 2.0**-12
        if "MovingAverage" in name and rng.random() < 0.5:
            s["averaging_constant"] = rng.choice([0.5, 0.1, 1.0])
        if name == "HistogramObserver" and rng.random() < 0.6:
            s["bins"] = rng.choice([8, 16, 64, 500])
        if name == "HistogramObserver" and s.get("reduce_range") and s["qscheme"].endswith("symmetric") and dtype == "quint8":
            continue
        try:
            return s, OBSERVERS[name](**{k: getattr(torch, v) if isinstance(v, str) else v for k, v in s.items()})
        except NotImplementedError:
            continue


def observer_case(name):
    settings, observer = observer_settings(name)
    seen = batches(rng.randint(1, 6) if "PerChannel" in name else None)
    for batch in seen:
        observer(batch)
    if (observer.min_val > observer.max_val).any():  # two averages of one number, rounded: PyTorch refuses
        return observer_case(name)
    for batch in seen:
        keep(batch)
    s, z = observer.calculate_qparams()
    keep(s)
    keep(observer.min_val)
    keep(observer.max_val)
    if z.dtype.is_floating_point:
        keep(z)
    else:
        keep_integers(z.numpy())
    if name == "HistogramObserver":
        keep(observer.histogram)
    return {"type": name, "settings": settings, "batches": [list(b.shape) for b in seen], "channels": s.numel()}


def fake_case():
    low, high = rng.choice([(0, 255), (0, 127), (-128, 127), (-8, 7)])
    sizes = shape()
    x = keep(floats(sizes, rng.choice([1.0, 5.0, 50.0]))).requires_grad_()
    dy = keep(floats(sizes))
    case = {"shape": sizes, "quant_min": low, "quant_max": high}
    if rng.random() < 0.5:
        case["scale"], case["zero_point"] = scale(), rng.randint(low, high)
        y = torch.fake_quantize_per_tensor_affine(x, case["scale"], case["zero_point"], low, high)
    else:
        axis = case["axis"] = rng.randrange(len(sizes))
        scales = keep(torch.tensor([scale() for _ in range(sizes[axis])], dtype=torch.float32))
        zeros = torch.tensor([rng.randint(low, high) for _ in range(sizes[axis])], dtype=torch.int32)
        keep_integers(zeros.numpy())
        y = torch.fake_quantize_per_channel_affine(x, scales, zeros, axis, low, high)
    y.backward(dy)
    keep(y)
    keep(x.grad)
    return case


def fused_case():
    per_channel = rng.random() < 0.5
    activation = not per_channel and rng.random() < 0.5
    settings = {"observer": "MovingAveragePerChannelMinMaxObserver" if per_channel else "MovingAverageMinMaxObserver"}
    if activation:
        settings |= {"quant_min": 0, "quant_max": 255, "dtype": "quint8", "reduce_range": rng.random() < 0.5}
    else:
        settings |= {"quant_min": -128, "quant_max": 127, "dtype": "qint8",
                     "qscheme": "per_channel_symmetric" if per_channel else "per_tensor_symmetric"}
    if rng.random() < 0.3:
        settings["averaging_constant"] = 0.5
    given = {k: getattr(torch, v) if k in ("dtype", "qscheme") else v for k, v in settings.items()}
    given["observer"] = OBSERVERS[settings["observer"]]
    fake = tq.FusedMovingAvgObsFakeQuantize(**given)
    seen = batches(rng.randint(1, 6) if per_channel else None)
    for batch in seen:
        y = fake(keep(batch))
        keep(y)
        keep(fake.scale)
        keep_integers(fake.zero_point.numpy())
    s, z = fake.calculate_qparams()
    keep(s)
    keep_integers(z.numpy())
    return {"settings": settings, "batches": [list(b.shape) for b in seen], "channels": s.numel()}


cases = {
    "quantise": [quantise_case() for _ in range(600)],
    "observers": [observer_case(name) for name in OBSERVERS for _ in range(60 if name != "HistogramObserver" else 100)],
    "fake": [fake_case() for _ in range(200)],
    "fused": [fused_case() for _ in range(120)],
}
np.savez_compressed(HERE / "quantization.npz", values=np.concatenate(values), integers=np.concatenate(integers))
(HERE / "quantization.json").write_text(
    json.dumps({"torch": torch.__version__, **cases}, separators=(",", ":")) + "\n")
print({name: len(list_) for name, list_ in cases.items()})
