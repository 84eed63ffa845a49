"""Integer Linear 1024 x 1024 of PyTorch's engines and of ONNX Runtime, one thread, beside our own (bench/int8_bench).

    python3 bench/peers/int8_compare.py --build build-bench [--rounds N]

Needs a Python with torch; onnxruntime and onnx where they are to be compared. Both sides run in turn; the best time of
each peer counts, and of our program the last table: "dynamic" has floats in and out, "bytes" bytes.
"""
import argparse
import os
import subprocess
import time
import warnings

N = 1024
BATCHES = (1, 64)


def best(call, seconds=0.3):
    for _ in range(10):
        call()
    least, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(5):
            call()
        least = min(least, (time.perf_counter() - start) / 5)
    return least * 1e6


def torch_peers():
    import torch
    import torch.ao.nn.quantized as quantized

    torch.set_num_threads(1)
    weight, bias = torch.randn(N, N) * 0.03, torch.randn(N)
    for engine in torch.backends.quantized.supported_engines:
        if engine == "none":
            continue
        torch.backends.quantized.engine = engine
        linear = torch.nn.Linear(N, N)
        model = torch.nn.Sequential(linear)
        dynamic = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
        fixed = quantized.Linear(N, N)
        zeros = torch.zeros(N, dtype=torch.long)
        fixed.set_weight_bias(torch.quantize_per_channel(weight, torch.full((N,), 0.001), zeros, 0, torch.qint8), bias)
        fixed.scale, fixed.zero_point = 0.1, 60
        for batch in BATCHES:
            x = torch.randn(batch, N)
            q = torch.quantize_per_tensor(x, 0.03, 64, torch.quint8)
            # The engine is looked up when a layer runs.
            def run(layer, x, engine=engine):
                torch.backends.quantized.engine = engine
                with torch.inference_mode():
                    return layer(x)
            yield f"PyTorch {engine}", "dynamic", batch, lambda m=dynamic, x=x, run=run: run(m, x)
            yield f"PyTorch {engine}", "bytes", batch, lambda m=fixed, q=q, run=run: run(m, q)


def onnx_session(nodes, source, target, constants):
    import onnxruntime
    from onnx import helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node(op, ins, outs, **attributes) for op, ins, outs, attributes in nodes], "linear",
        [helper.make_tensor_value_info("x", source, ["batch", N])],
        [helper.make_tensor_value_info("y", target, ["batch", N])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def onnx_peers():
    import numpy as np
    import onnxruntime
    from onnx import TensorProto

    weight = np.random.randint(-127, 128, (N, N)).astype(np.int8)
    scalar = lambda value, kind: np.array(value, dtype=kind)
    dynamic = onnx_session(
        [("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"], {}),
         ("MatMulInteger", ["q", "w", "qz", "wz"], ["sums"], {}),
         ("Cast", ["sums"], ["floats"], {"to": TensorProto.FLOAT}), ("Mul", ["qs", "ws"], ["scale"], {}),
         ("Mul", ["floats", "scale"], ["scaled"], {}), ("Add", ["scaled", "b"], ["y"], {})],
        TensorProto.FLOAT, TensorProto.FLOAT,
        {"w": weight, "wz": scalar(0, np.int8), "ws": scalar(0.001, np.float32), "b": np.zeros(N, np.float32)})
    fixed = onnx_session(
        [("QLinearMatMul", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["y"], {})],
        TensorProto.UINT8, TensorProto.UINT8,
        {"w": weight, "wz": np.zeros(N, np.int8), "ws": np.full(N, 0.001, np.float32), "xs": scalar(0.03, np.float32),
         "xz": scalar(64, np.uint8), "ys": scalar(0.1, np.float32), "yz": scalar(60, np.uint8)})
    for batch in BATCHES:
        for name, session, x in (("dynamic", dynamic, np.random.randn(batch, N).astype(np.float32)),
                                 ("bytes", fixed, np.random.randint(0, 256, (batch, N)).astype(np.uint8))):
            binding = session.io_binding()
            held = (onnxruntime.OrtValue.ortvalue_from_numpy(x),
                    onnxruntime.OrtValue.ortvalue_from_shape_and_type((batch, N), x.dtype.type))
            binding.bind_ortvalue_input("x", held[0])
            binding.bind_ortvalue_output("y", held[1])
            yield "ONNX Runtime", name, batch, lambda s=session, b=binding, h=held: s.run_with_iobinding(b)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    peers = []
    for source in (torch_peers, onnx_peers):
        try:
            peers += list(source())
        except ImportError as missing:
            print(f"left out: {missing}")
    times, ours = {}, ""
    for _ in range(args.rounds):
        for name, form, batch, call in peers:
            key = (form, batch, name)
            times[key] = min(times.get(key, float("inf")), best(call))
        program = os.path.join(args.build, "bench", "int8_bench")
        ours = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    for (form, batch, name), microseconds in sorted(times.items()):
        print(f"{form:8} batch {batch:3}  {name:18} {microseconds:9.1f} us")
    print(ours)


if __name__ == "__main__":
    main()
