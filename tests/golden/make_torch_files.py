#!/usr/bin/env python3
"""Writes torch_files.npz and torch_files.json: what torch.save makes of random nestings, and what is in them.

A case is a file (zip or legacy, pickle protocols 1 to 5) of a random nesting of dicts, lists, objects and modules, with
tensors of every type and layout, tied ones and views among them, and with what is no tensor: numbers, arrays of NumPy,
classes, functions, sparse and complex tensors. The json has, for each case, the tensors' names in order with type and
shape, which of them share a storage, and the paths of what is left out; the values of all cases stand one after another
in the npz. Needs PyTorch 2.13 and NumPy.
"""
import argparse
import collections
import dataclasses
import datetime
import decimal
import io
import json
import pathlib
import random
import tempfile
import types
import warnings

import numpy as np
import torch
from torch import nn

HERE = pathlib.Path(__file__).parent
CASES = 300
warnings.simplefilter("ignore")
rng = random.Random(13)
torch.manual_seed(13)

TYPES = {torch.float32: "float32", torch.float64: "float64", torch.float16: "float16", torch.bfloat16: "bfloat16",
         torch.int8: "int8", torch.uint8: "uint8", torch.int16: "int16", torch.int32: "int32", torch.int64: "int64",
         torch.bool: "bool"}


class Layers(collections.OrderedDict):
    """A dict of its own class."""


class Tagged(torch.Tensor):
    """A tensor of its own class."""


class Registry:
    """An object that refers to itself."""

    def __init__(self):
        self.me = self


@dataclasses.dataclass
class State:
    step: object
    value: object


Pair = collections.namedtuple("Pair", "left right")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.rest = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(3))
        self.tied = nn.Linear(2, 3, bias=False)
        self.tied.weight = self.first.weight
        self.act = torch.nn.functional.relu
        self.config = argparse.Namespace(width=3)


def plain_tensor():
    dtype = rng.choice(list(TYPES))
    shape = [rng.randint(0 if rng.random() < 0.1 else 1, 4) for _ in range(rng.randint(0, 4))]
    return torch.randint(0, 256, [*shape, dtype.itemsize], dtype=torch.uint8).view(dtype).reshape(shape) \
        if dtype != torch.bool else torch.rand(shape) < 0.5


def tensor(seen):
    kind = rng.randint(0, 11)
    base = rng.choice(seen) if seen and rng.random() < 0.3 else plain_tensor()
    base = base.detach().as_subclass(torch.Tensor)
    if kind == 0:
        base = base.transpose(0, -1) if base.dim() > 1 else base
    elif kind == 1 and base.dim() > 0 and base.shape[0] > 1:
        base = base[1:]
    elif kind == 2 and base.dim() > 0:
        base = base.unsqueeze(0).expand(2, *base.shape)
    elif kind == 3:
        base = torch.randn(rng.randint(1, 4), dtype=torch.complex64).conj().imag
    elif kind == 4 and base.dim() == 4:
        base = base.to(memory_format=torch.channels_last)
    elif kind == 5 and base.is_floating_point():
        base = nn.Parameter(base)
    elif kind == 6 and base.is_floating_point():
        base = nn.Parameter(base)
        base.partition = (0, 1)
    elif kind == 7:
        base = base.as_subclass(Tagged)
        base.note = "a class of its own"
    elif kind == 8 and base.dtype != torch.bool and not base.isnan().any():  # whose bits PyTorch loses for half types
        base = torch._neg_view(base)
    seen.append(base)
    return base


def unsupported():
    return rng.choice([lambda: torch.zeros(2, dtype=torch.complex64), lambda: torch.ones(2, device="meta"),
                       lambda: torch.eye(3).to_sparse(), lambda: torch.zeros(3, dtype=torch.uint16),
                       lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
                       lambda: torch.zeros(4, dtype=torch.float8_e4m3fn)])()


def other():
    loop = Registry()
    return rng.choice([
        1, -5, 2**40, 2**100, 0.25, float("nan"), True, None, "text", "größe", b"bytes", bytearray(b"more"), 3j,
        np.float64(1.5), np.int32(7), np.bool_(True), np.arange(3), np.array(["a"]), argparse.Namespace(lr=0.1),
        argparse.Namespace(path=pathlib.PurePosixPath("/a")), collections.Counter("abca"),
        collections.defaultdict(list, a=[1]), pathlib.PurePosixPath("a/b"), datetime.datetime(2020, 1, 2),
        datetime.timedelta(1), io.BytesIO(b"abc"), slice(1, 2), range(3), torch.nn.functional.relu, nn.Linear, len,
        {1, 2}, frozenset("ab"), decimal.Decimal("1.5"), torch.float16, torch.device("cpu"), torch.Size([1, 2]), loop,
        Layers(a=1), State(1, None), Pair(1, 2), {"\0": 1, "b": [2, 3]}, {(1, 2): 3, 0.5: 4}, [[], [[]], {}],
        types.SimpleNamespace(a=1), collections.deque([1]), nn.ReLU()])


def key():
    return rng.choice([
        lambda: rng.choice("abcdefgh") + str(rng.randint(0, 99)), lambda: rng.randint(-3, 99),
        lambda: "größe" + str(rng.randint(0, 99)), lambda: (rng.randint(0, 99), "x"), lambda: rng.randint(1, 9) / 4 + 100,
        lambda: True])()


def text_key():
    return rng.choice("klmnopq") + str(rng.randint(0, 999))


def nesting(depth, seen):
    draw = rng.random()
    if depth == 0 or draw < 0.35:
        draw = rng.random()
        return tensor(seen) if draw < 0.55 else unsupported() if draw < 0.65 else other()
    children = [nesting(depth - 1, seen) for _ in range(rng.randint(1, 4))]
    kind = rng.choice(["dict", "dict", "dict", "ordered", "list", "tuple", "default", "layers", "namespace", "state",
                       "pair", "module", "deque"])
    if kind in ("dict", "ordered", "default", "layers"):
        items = {key(): child for child in children}
        return {"dict": dict, "ordered": collections.OrderedDict, "layers": Layers,
                "default": lambda d: collections.defaultdict(list, d)}[kind](items)
    if kind == "namespace":
        return argparse.Namespace(**{text_key(): child for child in children})
    return {"list": lambda: children, "tuple": lambda: tuple(children), "deque": lambda: collections.deque(children),
            "state": lambda: State(children[0], children[-1]), "pair": lambda: Pair(children[0], children[-1]),
            "module": Net}[kind]()


OBJECTS = (collections.defaultdict, Layers, argparse.Namespace, State, Pair, collections.deque, nn.Module)


def entries(value):
    """(name, child, whether it is an attribute or argument)"""
    if isinstance(value, nn.Module):
        held = list(value._parameters.items()) + list(value._buffers.items()) + list(value._modules.items())
        return [(name, child, True) for name, child in held if child is not None]
    if isinstance(value, (argparse.Namespace, State)):
        return [(name, child, True) for name, child in vars(value).items()]
    if isinstance(value, Pair):
        return [(str(i), child, True) for i, child in enumerate(value)]
    if isinstance(value, dict):
        return [(f"({k[0]}, {k[1]})" if isinstance(k, tuple) else str(k), child, False) for k, child in value.items()]
    if isinstance(value, (list, tuple, collections.deque)):
        return [(str(i), child, False) for i, child in enumerate(value)]
    return []


def bears(value):
    return isinstance(value, torch.Tensor) or any(bears(child) for _, child, _ in entries(value))


def is_held(value):
    return value.layout == torch.strided and not value.is_meta and not value.is_quantized and value.dtype in TYPES


def flatten(value, path, quiet, tensors, left):
    if isinstance(value, torch.Tensor):
        if not is_held(value):
            left.append(path)
        else:
            tensors.append((path, value))
            if vars(value) and not quiet:
                left.append(path)
        return
    if isinstance(value, OBJECTS) and not quiet:
        left.append(path if path is not None else "what holds everything")
    for name, child, inner in entries(value):
        below = name if path is None else path + "." + name
        if bears(child):
            flatten(child, below, quiet or inner, tensors, left)
        elif not (quiet or inner):
            left.append(below)


def place_of(value):
    """Equal for tensors that share a storage when they are read: row-major views do, and equal views of other kinds."""
    storage = value.untyped_storage().data_ptr()
    if value.numel() == 0:
        return None
    if value.is_contiguous() and not value.is_neg():
        return storage
    return storage, value.storage_offset(), tuple(value.shape), value.stride(), value.is_neg()


def case(scratch):
    root = nesting(rng.randint(1, 4), [])
    if not bears(root) or isinstance(root, torch.Tensor):
        return None
    tensors, left = [], []
    flatten(root, None, False, tensors, left)
    names = [name for name, _ in tensors]
    if not names or len(set(names)) < len(names):
        return None
    how = {"pickle_protocol": rng.choice([2, 2, 2, 1, 3, 4, 5]), "_use_new_zipfile_serialization": rng.random() < 0.7}
    path = scratch / "case.pt"
    try:
        torch.save(root, path, **how)
    except Exception:  # some views of one storage as two types
        return None
    places = {}
    listed, values = [], []
    for name, value in tensors:
        place = place_of(value)
        number = -1 if place is None else places.setdefault(place, len(places))
        value = value.detach().as_subclass(torch.Tensor).resolve_neg().clone(memory_format=torch.contiguous_format)
        listed.append([name, TYPES[value.dtype], list(value.shape), number])
        values.append(np.frombuffer(value.reshape(-1).view(torch.uint8).numpy().tobytes(), np.uint8)
                      if value.numel() else np.zeros(0, np.uint8))
    return {"tensors": listed, "left_out": sorted(left)}, values, np.fromfile(path, np.uint8)


def main():
    cases, values, files = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        while len(cases) < CASES:
            made = case(pathlib.Path(scratch))
            if made is None:
                continue
            made[0]["bytes"] = len(made[2])
            cases.append(made[0])
            values += made[1]
            files.append(made[2])
    np.savez_compressed(HERE / "torch_files.npz", values=np.concatenate(values), files=np.concatenate(files))
    (HERE / "torch_files.json").write_text(json.dumps(cases, separators=(",", ":"), ensure_ascii=False) + "\n")
    print(len(cases), "cases with", sum(len(c["tensors"]) for c in cases), "tensors")


if __name__ == "__main__":
    main()
