#!/usr/bin/env python3
"""Writes ops.json and ops.npz: results and gradients of operations and layers, as PyTorch computes them.

Every case is drawn at random from a fixed seed. Inputs and results are float64, so that a comparison finds a wrong
formula rather than another order of additions.
"""
import json
import pathlib
import random

import numpy as np
import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent
arrays, cases = {}, []
rng = random.Random(20240917)
torch.manual_seed(20240917)


def keep(name, tensor):
    arrays[name] = np.array(tensor.detach().numpy(), order="C")
    return name


def case(op, inputs, f, differentiable=None, **settings):
    """Runs f(*inputs), then backward with a random gradient."""
    key = f"{len(cases):03d}"
    differentiable = differentiable if differentiable is not None else [t.is_floating_point() for t in inputs]
    leaves = [t.clone().requires_grad_(d) for t, d in zip(inputs, differentiable)]
    out = f(*leaves)
    outs = out if isinstance(out, (tuple, list)) else [out]
    entry = {"op": op, "settings": settings,
             "inputs": [keep(f"{key}.in{i}", t) for i, t in enumerate(inputs)],
             "outputs": [keep(f"{key}.out{i}", t) for i, t in enumerate(outs)]}
    graded = [o for o in outs if o.requires_grad]
    if graded and any(differentiable):
        dys = [torch.randn(o.shape, dtype=o.dtype) for o in graded]
        torch.autograd.backward(graded, dys)
        entry["dys"] = [keep(f"{key}.dy{i}", d) for i, d in enumerate(dys)]
        entry["grads"] = [keep(f"{key}.grad{i}", t.grad) if d and t.grad is not None else None
                          for i, (t, d) in enumerate(zip(leaves, differentiable))]
    cases.append(entry)


def randn(*shape):
    return torch.randn(shape, dtype=torch.float64)


def pick(*options):
    return rng.choice(options)


def sizes(n, low=1, high=4):
    return [rng.randint(low, high) for _ in range(n)]


def convolutions():
    for spatial, f in ((1, F.conv1d), (2, F.conv2d), (3, F.conv3d)):
        for _ in range(18):
            groups = pick(1, 1, 2, 3)
            cin, cout = groups * rng.randint(1, 3), groups * rng.randint(1, 3)
            kernel = sizes(spatial, 1, 3)
            stride, padding, dilation = sizes(spatial, 1, 3), sizes(spatial, 0, 2), sizes(spatial, 1, 2)
            image = [d * (k - 1) + 1 + rng.randint(0, 4) for k, d in zip(kernel, dilation)]
            inputs = [randn(rng.randint(1, 3), cin, *image), randn(cout, cin // groups, *kernel), randn(cout)]
            if pick(True, False):
                inputs.pop()
            case(f"conv{spatial}d", inputs,
                 lambda x, w, b=None: f(x, w, b, stride, padding, dilation, groups),
                 stride=stride, padding=padding, dilation=dilation, groups=groups)


def pooling():
    for _ in range(20):
        kernel, stride = sizes(2, 1, 3), sizes(2, 1, 3)
        padding = [rng.randint(0, k // 2) for k in kernel]
        ceil_mode, include = pick(True, False), pick(True, False)
        x = randn(*sizes(2, 1, 3), rng.randint(4, 8), rng.randint(4, 8))
        case("max_pool2d", [x], lambda t: F.max_pool2d(t, kernel, stride, padding, 1, ceil_mode),
             kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode)
        case("avg_pool2d", [x], lambda t: F.avg_pool2d(t, kernel, stride, padding, ceil_mode, include),
             kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode, count_include_pad=include)
        output = sizes(2, 1, 7)
        case("adaptive_avg_pool2d", [x], lambda t: F.adaptive_avg_pool2d(t, output), output=output)


def axes_of(rank):
    chosen = sorted(rng.sample(range(rank), rng.randint(1, rank)))
    return [a - rank if pick(True, False) else a for a in chosen]


def reductions():
    for _ in range(16):
        x = randn(*sizes(rng.randint(1, 4)))
        axes, keepdim = axes_of(x.dim()), pick(True, False)
        case("sum", [x], lambda t: t.sum(axes, keepdim), axes=axes, keepdim=keepdim)
        case("mean", [x], lambda t: t.mean(axes, keepdim), axes=axes, keepdim=keepdim)
        case("max", [x.round()], lambda t: t.amax(axes, keepdim), axes=axes, keepdim=keepdim)
        case("min", [x.round()], lambda t: t.amin(axes, keepdim), axes=axes, keepdim=keepdim)
    for order in (2, 1, 0, 3, 0.5, 1.5, -1, -2, float("inf"), float("-inf")):
        for _ in range(4):
            x = randn(*sizes(rng.randint(1, 4), 1, 5))
            if pick(True, False):
                x = x.round()
            axes, keepdim = axes_of(x.dim()), pick(True, False)
            case("norm", [x], lambda t: torch.norm(t, order, axes, keepdim), differentiable=[order in (1, 2)],
                 order=str(order), axes=axes, keepdim=keepdim)
    x = randn(3, 4, 5)
    case("norm", [x], lambda t: torch.norm(t, "nuc", (0, 2)), differentiable=[False], order="nuc", axes=[0, 2],
         keepdim=False)
    case("norm", [x], lambda t: torch.norm(t, "fro", (0, 2)), order="fro", axes=[0, 2], keepdim=False)


def elementwise():
    pairs = [((2, 3), (2, 3)), ((2, 3), (3,)), ((4, 1, 3), (2, 1)), ((), (2, 2)), ((1, 3), (2, 1)), ((2, 0), (1, 0))]
    for a, b in pairs:
        x, y = randn(*a), randn(*b)
        case("add", [x, y], torch.add)
        case("sub", [x, y], torch.sub)
        case("mul", [x, y], torch.mul)
        case("div", [x, y + 3 * y.sign()], torch.div)
        case("maximum", [x.round(), y.round()], torch.maximum)
        case("minimum", [x.round(), y.round()], torch.minimum)
        case("pow", [x.abs() + 0.5, y], torch.pow)
        case("where", [(x > 0), x, y], lambda c, p, q: torch.where(c, p, q), differentiable=[False, True, True])
    x = randn(3, 5)
    for name, f in (("neg", torch.neg), ("abs", torch.abs), ("exp", torch.exp), ("tanh", torch.tanh),
                    ("sigmoid", torch.sigmoid), ("relu", torch.relu), ("gelu", F.gelu)):
        case(name, [x], f)
    case("gelu_tanh", [x], lambda t: F.gelu(t, approximate="tanh"))
    case("log", [x.abs() + 0.1], torch.log)
    case("sqrt", [x.abs() + 0.1], torch.sqrt)
    case("clamp", [x], lambda t: t.clamp(-0.5, 0.8), low=-0.5, high=0.8)
    for axis in (0, 1, 2, -1):
        y = randn(2, 3, 4)
        case("softmax", [y], lambda t: t.softmax(axis), axis=axis)
        case("log_softmax", [y], lambda t: t.log_softmax(axis), axis=axis)


def products():
    shapes = [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
              ((5, 1, 2, 3), (4, 3, 2)), ((2, 3), (5, 3, 4)), ((0, 3), (3, 2)), ((2, 0), (0, 3))]
    for a, b in shapes:
        case("matmul", [randn(*a), randn(*b)], torch.matmul)
    for lead in ((), (4,), (2, 3)):
        case("linear", [randn(*lead, 5), randn(3, 5), randn(3)], F.linear)


def losses():
    for reduction in ("none", "mean", "sum"):
        target = torch.tensor([0, 3, 1, 3, 2])
        case("cross_entropy", [randn(5, 4), target], lambda x, t: F.cross_entropy(x, t, reduction=reduction),
             reduction=reduction)
        case("mse_loss", [randn(2, 3), randn(2, 3)], lambda x, t: F.mse_loss(x, t, reduction=reduction),
             reduction=reduction)


def shapes():
    for _ in range(10):
        x = randn(*sizes(rng.randint(2, 4), 2, 5))
        order = rng.sample(range(x.dim()), x.dim())
        case("permute", [x], lambda t: t.permute(order), axes=order)
        axis = rng.randrange(x.dim())
        start = rng.randrange(x.size(axis))
        length = rng.randint(0, x.size(axis) - start)
        case("narrow", [x], lambda t: t.narrow(axis, start, length), axis=axis, start=start, length=length)
        index = torch.tensor([rng.randrange(x.size(axis)) for _ in range(rng.randint(1, 6))])
        case("index_select", [x, index], lambda t, i: t.index_select(axis, i), axis=axis)
        other = randn(*[rng.randint(1, 3) if i == axis else s for i, s in enumerate(x.shape)])
        case("cat", [x, other], lambda p, q: torch.cat([p, q], axis), axis=axis)


def embeddings():
    for mode in ("sum", "mean", "max"):
        for padding in (None, 2):
            index = torch.tensor([0, 2, 1, 2, 3, 4, 2])
            offsets = torch.tensor([0, 3, 3, 4])
            case("embedding_bag", [randn(5, 3), index, offsets],
                 lambda w, i, o: F.embedding_bag(i, w, o, mode=mode, padding_idx=padding),
                 mode=mode, padding_idx=padding)
    case("embedding", [randn(5, 3), torch.tensor([[0, 2], [4, 2]])], lambda w, i: F.embedding(i, w, padding_idx=2),
         padding_idx=2)


def layers():
    for layer_norm in ([4], [3, 4]):
        case("layer_norm", [randn(2, 3, 4), randn(*layer_norm), randn(*layer_norm)],
             lambda x, w, b: F.layer_norm(x, layer_norm, w, b), shape=layer_norm)
    for training in (True, False):
        for x in (randn(4, 3), randn(4, 3, 5), randn(4, 3, 2, 5)):
            mean, var = randn(3), randn(3).abs() + 0.5

            def batch_norm(t, w, b, m, v):
                m, v = m.clone(), v.clone()
                return F.batch_norm(t, m, v, w, b, training), m, v

            case("batch_norm", [x, randn(3), randn(3), mean, var], batch_norm,
                 differentiable=[True, True, True, False, False], training=training)
    for layers_, bidirectional, proj, bias, batch_first in ((1, False, 0, True, False), (1, True, 0, True, True),
                                                            (2, False, 0, False, False), (2, True, 0, True, False),
                                                            (1, False, 2, True, False), (2, True, 2, True, True)):
        module = torch.nn.LSTM(3, 4, layers_, bias, batch_first, 0.0, bidirectional, proj).double()
        names = [n for n, _ in module.named_parameters()]
        t, n, d = 5, 2, layers_ * (2 if bidirectional else 1)
        x = randn(n, t, 3) if batch_first else randn(t, n, 3)
        h0, c0 = randn(d, n, proj or 4), randn(d, n, 4)

        def lstm(x, h, c, *weights):
            out, (hn, cn) = torch.func.functional_call(module, dict(zip(names, weights)), (x, (h, c)))
            return out, hn, cn

        case("lstm", [x, h0, c0, *[p.detach() for p in module.parameters()]], lstm, names=names, num_layers=layers_,
             bidirectional=bidirectional, proj_size=proj, bias=bias, batch_first=batch_first)


def selection():
    for _ in range(60):
        n = rng.choice([4, 7, 12, 35, 64, 128, 200, 500])
        x = torch.randint(0, rng.choice([2, 5, 1000]), (n,), dtype=torch.float64)
        k, largest = rng.randint(0, max(1, n // rng.choice([1, 4, 64]))), pick(True, False)
        if pick(True, False):
            x[rng.randrange(n)] = float("nan")
        values, indices = x.topk(k, 0, largest)
        case("topk", [x], lambda t: (values, indices), differentiable=[False], k=k, largest=largest)
    for _ in range(8):
        x = randn(3, 5, 4)
        axis, k = rng.randrange(3), rng.randint(1, 3)
        case("kthvalue", [x], lambda t: torch.kthvalue(t, k, axis), differentiable=[False], k=k, axis=axis)
        case("sort", [x.round()], lambda t: torch.sort(t, dim=axis, stable=True), differentiable=[False], axis=axis)


for make in (convolutions, pooling, reductions, elementwise, products, losses, shapes, embeddings, layers, selection):
    make()
np.savez_compressed(HERE / "ops.npz", **arrays)
(HERE / "ops.json").write_text(json.dumps({"torch": torch.__version__, "cases": cases}, indent=0) + "\n")
print(len(cases), "cases with PyTorch", torch.__version__)
