#include "support/op_cases.h"

#include <cmath>

#include "coppice/engine.h"

namespace coppice::testing {
namespace {

using Cases = std::vector<OpCase>;
using Integers = std::vector<std::int64_t>;

/// Numbers in ±2 that keep their distance: no two are within 0.01, none is within 0.01 of 0.
Tensor smooth(const Shape& shape, int salt = 0) {
  Tensor t = Tensor::empty(shape, Dtype::f64);
  const auto y = t.mutable_data<double>();
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double u = std::fmod(0.6180339887 * static_cast<double>(i + 1) + 0.37 * salt, 1.0);
    y[i] = (u < 0.5 ? -1 : 1) * (0.05 + 1.9 * std::fmod(2 * u, 1.0));
  }
  return t;
}

Tensor integers(std::initializer_list<double> values) { return Tensor::of(values).to(Dtype::i64); }

/// Standard normal float32.
Tensor noise(const Shape& shape) {
  Tensor t = Tensor::empty(shape);
  Generator generator(1);
  generator.normal(t.mutable_data<float>());
  return t;
}

/// float32 tensors of these shapes.
std::function<TensorList()> of_noise(std::vector<Shape> shapes) {
  return [shapes = std::move(shapes)] {
    TensorList list;
    for (const Shape& shape : shapes) list.push_back(noise(shape));
    return list;
  };
}

/// Row numbers below `rows`, spread over all of them.
Tensor scattered(std::int64_t count, std::int64_t rows) {
  Tensor t = Tensor::empty({count}, Dtype::i64);
  std::int64_t at = 0;
  for (std::int64_t& v : t.mutable_data<std::int64_t>()) v = (at += 7919) % rows;
  return t;
}

const Shape kLarge{1000, 1000};  // four megabytes

void add_arithmetic(Cases& t) {
  const Tensor a = smooth({2, 3}), b = smooth({3}, 1), positive = abs(a);
  const Tensor condition = Tensor::of({{1, 0, 1}, {0, 0, 1}});
  for (const char* op : {"add", "sub", "mul", "div"}) {
    t.push_back({op, {a, b}, {}, of_noise({kLarge, kLarge})});
    t.push_back({op, {a}, {{"other", 3.0}}});
  }
  for (const char* op : {"maximum", "minimum"}) t.push_back({op, {a, b}, {}, of_noise({kLarge, kLarge})});
  t.push_back({"pow", {positive, b}});
  t.push_back({"pow", {a}, {{"exponent", 3.0}}, of_noise({kLarge})});
  t.push_back({"pow", {a}, {{"exponent", std::int64_t{2}}}});
  t.push_back({"where", {condition.to(Dtype::boolean), a, b}, {}, [] {
                 const Tensor x = noise(kLarge);
                 return TensorList{gt(x, Tensor::of(0)), x, x};
               }});
  t.push_back({"where", {condition, a, b}});
}

void add_functions(Cases& t) {
  const Tensor c = smooth({3, 4}), positive = abs(c);
  for (const char* op : {"neg", "abs", "exp", "tanh", "sigmoid", "relu", "gelu", "clamp", "dropout"})
    t.push_back({op, {c}, {}, of_noise({kLarge})});
  for (const char* op : {"log", "sqrt"})
    t.push_back({op, {positive}, {}, [] { return TensorList{abs(noise(kLarge))}; }});
  t.push_back({"gelu", {c}, {{"approximate", std::string("tanh")}}});
  t.push_back({"clamp", {c}, {{"min", -1.003}, {"max", 0.707}}});
  t.push_back({"clamp", {c}, {{"max", std::int64_t{1}}}});
  t.push_back({"dropout", {c}, {{"p", 0.25}}});
  for (const double p : {0.0, 1.0}) t.push_back({"dropout", {c}, {{"p", p}}});
}

void add_comparisons(Cases& t) {
  const Tensor a = Tensor::of({{1, 2, 0}, {0, 2, -1}}), b = Tensor::of({1, 0, 0});
  for (const char* op : {"eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or"})
    t.push_back({op, {a, b}, {}, of_noise({kLarge, kLarge})});
  for (const char* op : {"logical_not", "isnan"}) t.push_back({op, {a}, {}, of_noise({kLarge})});
}

void add_reductions(Cases& t) {
  const Tensor a = smooth({2, 3, 2});
  for (const Integers& axes : {Integers{}, Integers{1}, Integers{0, 2}, Integers{-1}}) {
    for (const char* op : {"sum", "mean", "var", "max", "min", "norm", "any", "all"})
      for (const bool keepdim : {false, true}) {
        Arguments with{{"keepdim", keepdim}};
        if (!axes.empty()) with.set("dim", axes);
        t.push_back({op, {a}, with, axes.empty() && !keepdim ? of_noise({kLarge}) : nullptr});
        if (op != std::string("norm")) continue;
        with.set("p", std::int64_t{1});
        t.push_back({op, {a}, with});
      }
  }
  t.push_back({"var", {a}, {{"correction", std::int64_t{0}}}});
  t.push_back({"norm", {a}, {{"p", std::string("fro")}, {"dim", Integers{0, 1}}}});
  for (const char* op : {"argmax", "argmin"}) {
    t.push_back({op, {a}, {{"dim", std::int64_t{-1}}}, of_noise({kLarge})});
    t.push_back({op, {a}, {{"dim", std::int64_t{1}}, {"keepdim", true}}});
  }
}

void add_products(Cases& t) {
  t.push_back({"matmul", {smooth({2, 3}), smooth({3, 4}, 1)}, {}, of_noise({{256, 256}, {256, 256}})});
  t.push_back({"matmul", {smooth({2, 2, 3}), smooth({3, 2}, 1)}});
  t.push_back({"matmul", {smooth({3}), smooth({3}, 1)}});
  t.push_back({"matmul", {smooth({3}), smooth({3, 2}, 1)}});
  t.push_back({"matmul", {smooth({2, 3}), smooth({3}, 1)}});
  t.push_back(
      {"linear", {smooth({2, 3}), smooth({4, 3}, 1), smooth({4}, 2)}, {}, of_noise({{64, 512}, {512, 512}, {512}})});
  t.push_back({"linear", {smooth({2, 2, 3}), smooth({4, 3}, 1)}});
  const Arguments strided{{"stride", std::int64_t{2}}, {"padding", Integers{1}}, {"groups", std::int64_t{2}}};
  t.push_back({"conv1d",
               {smooth({2, 4, 5}), smooth({2, 2, 3}, 1), smooth({2}, 2)},
               strided,
               of_noise({{8, 32, 512}, {32, 16, 3}, {32}})});
  t.push_back({"conv2d",
               {smooth({1, 4, 4, 3}), smooth({2, 2, 2, 3}, 1), smooth({2}, 2)},
               strided,
               of_noise({{8, 32, 28, 28}, {32, 16, 3, 3}, {32}})});
  t.push_back({"conv3d",
               {smooth({1, 1, 3, 3, 3}), smooth({2, 1, 2, 2, 2}, 1), smooth({2}, 2)},
               {{"dilation", Integers{2, 2, 2}}},
               of_noise({{1, 8, 12, 12, 12}, {8, 8, 3, 3, 3}, {8}})});
}

void add_shapes(Cases& t) {
  const Tensor a = smooth({2, 3, 4});
  const auto number = [](std::int64_t i) { return Argument(i); };
  t.push_back({"transpose", {a}, {{"dim0", number(0)}, {"dim1", number(2)}}, of_noise({{100, 100, 100}})});
  t.push_back({"permute", {a}, {{"dims", Integers{2, 0, 1}}}, of_noise({{100, 100, 100}})});
  t.push_back({"flatten", {a}, {{"start_dim", number(1)}}, of_noise({{100, 100, 100}})});
  t.push_back({"flatten", {a}});
  t.push_back({"reshape", {a}, {{"shape", Integers{4, -1}}}, of_noise({kLarge})});
  t.push_back({"clone", {a}, {}, of_noise({kLarge})});
  t.push_back({"to", {a}, {{"dtype", std::string("float32")}}});
  t.push_back({"to", {a}, {{"dtype", std::string("bfloat16")}}, of_noise({kLarge})});
  t.push_back({"narrow", {a}, {{"dim", number(0)}, {"start", number(1)}, {"length", number(1)}}});
  t.push_back(
      {"narrow", {a}, {{"dim", number(2)}, {"start", number(1)}, {"length", number(2)}}, of_noise({{10000, 25, 4}})});
  t.push_back({"select", {a}, {{"dim", number(1)}, {"index", number(-1)}}, of_noise({{1000, 10, 100}})});
  t.push_back({"index_select", {a, integers({2, 0, 2})}, {{"dim", number(1)}}, [] {
                 return TensorList{noise({100, 100, 100}), scattered(100, 100)};
               }});
  t.push_back({"cat", {a, smooth({2, 1, 4}, 1)}, {{"dim", number(1)}}, of_noise({{100, 100, 100}, {100, 50, 100}})});
  t.push_back({"stack", {a, smooth({2, 3, 4}, 1)}, {{"dim", number(1)}}, of_noise({kLarge, kLarge})});
  t.push_back({"split", {a}, {{"split_size", number(2)}, {"dim", number(2)}}, of_noise({{1000, 100, 10}})});
  t.push_back({"split", {a}, {{"sections", Integers{1, 3}}, {"dim", number(2)}}});
}

void add_selections(Cases& t) {
  const Tensor a = smooth({3, 4}).to(Dtype::f32);
  t.push_back({"topk", {a}, {{"k", std::int64_t{2}}}, of_noise({kLarge})});
  t.push_back(
      {"topk",
       {a},
       {{"k", std::int64_t{2}}, {"dim", std::int64_t{0}}, {"largest", false}, {"ties", std::string("pytorch")}}});
  t.push_back({"kthvalue", {a}, {{"k", std::int64_t{2}}}, of_noise({kLarge})});
  t.push_back({"sort", {a}, {{"descending", true}}, of_noise({kLarge})});
}

void add_layers(Cases& t) {
  for (const char* op : {"softmax", "log_softmax"})
    for (const std::int64_t axis : {0, 1})
      t.push_back({op, {smooth({3, 4})}, {{"dim", axis}}, axis == 1 ? of_noise({kLarge}) : nullptr});
  for (const char* reduction : {"mean", "none", "sum"}) {
    const Arguments with{{"reduction", std::string(reduction)}};
    t.push_back({"cross_entropy", {smooth({3, 4}), integers({1, 0, 2})}, with, [] {
                   return TensorList{noise(kLarge), scattered(1000, 1000)};
                 }});
    t.push_back({"mse_loss", {smooth({3, 2}), smooth({3, 2}, 1)}, with, of_noise({kLarge, kLarge})});
  }
  const Tensor planes = smooth({2, 2, 5, 4});
  t.push_back({"max_pool2d", {planes}, {{"kernel_size", Integers{2, 3}}, {"padding", std::int64_t{1}}}});
  t.push_back({"max_pool2d", {planes}, {{"kernel_size", std::int64_t{2}}}, of_noise({{16, 32, 32, 32}})});
  t.push_back(
      {"avg_pool2d", {planes}, {{"kernel_size", std::int64_t{2}}, {"ceil_mode", true}}, of_noise({{16, 32, 32, 32}})});
  t.push_back({"adaptive_avg_pool2d", {planes}, {{"output_size", Integers{3, 2}}}, of_noise({{16, 32, 32, 32}})});
}

void add_embeddings(Cases& t) {
  t.push_back({"embedding", {smooth({3, 2}), integers({0, 2, 2, 1})}, {}, [] {
                 return TensorList{noise({10000, 64}), scattered(4096, 10000)};
               }});
  for (const bool padded : {false, true}) {
    const auto with = [padded](Arguments a) {
      if (padded) a.set("padding_idx", std::int64_t{2});
      return a;
    };
    for (const char* mode : {"sum", "mean", "max"}) {
      const Arguments bag = with({{"mode", std::string(mode)}});
      t.push_back({"embedding_bag", {smooth({3, 2}), integers({0, 2, 2, 1}), integers({0, 3})}, bag, [] {
                     return TensorList{noise({10000, 64}), scattered(4096, 10000), integers({0, 1000, 2000, 3000})};
                   }});
      // Rows that stand twice in a bag, in several bags, and in none; empty bags at both ends and between.
      const Tensor twice = integers({4, 0, 4, 2, 2, 4, 0});
      t.push_back({"embedding_bag", {smooth({5, 3}, 1), twice, integers({0, 0, 3, 3, 4, 7})}, bag});
      t.push_back({"embedding_bag", {smooth({4, 1}, 2), integers({3, 1, 3, 0, 1}), integers({0, 2})}, bag});
    }
  }
}

void add_lstm(Cases& t) {
  for (const bool reverse : {false, true})
    for (const bool projected : {false, true}) {
      const std::int64_t r = projected ? 2 : 3;
      TensorList in{smooth({3, 2, 2}),  smooth({2, r}, 1), smooth({2, 3}, 2), smooth({12, 2}, 3),
                    smooth({12, r}, 4), smooth({12}, 5),   smooth({12}, 6)};
      if (projected) in.push_back(smooth({2, 3}, 7));
      const bool plain = !reverse && !projected;
      t.push_back({"lstm_layer",
                   std::move(in),
                   {{"reverse", reverse}},
                   plain ? of_noise({{32, 8, 64}, {8, 128}, {8, 128}, {512, 64}, {512, 128}, {512}, {512}}) : nullptr});
    }
}

void add_quantized(Cases& t) {
  const Tensor x = smooth({2, 3}).to(Dtype::f32), scales = Tensor::of({0.5, 0.25}), zeros = integers({0, 3});
  const auto with = [](Arguments a, const char* dtype) {
    a.set("dtype", std::string(dtype));
    return a;
  };
  const Arguments one{{"scale", 0.125}, {"zero_point", std::int64_t{3}}}, axis{{"axis", std::int64_t{0}}};
  for (const char* dtype : {"qint8", "qint32"}) {
    t.push_back({"quantize_per_tensor", {x}, with(one, dtype), of_noise({kLarge})});
    t.push_back({"quantize_per_channel", {x, scales, zeros}, with(axis, dtype)});
  }
  const Tensor q = quantize_per_tensor(x, 0.125, 3, Dtype::quint8);
  t.push_back(
      {"dequantize", {q}, {}, [] { return TensorList{quantize_per_tensor(noise(kLarge), 0.1, 3, Dtype::quint8)}; }});
  t.push_back({"dequantize", {quantize_per_channel(x, scales, zeros, 0, Dtype::qint8)}});
  t.push_back({"int_repr", {q}});
  const Arguments limits{{"quant_min", std::int64_t{-8}}, {"quant_max", std::int64_t{7}}};
  Arguments fake = limits, channels = limits;
  fake.set("scale", 0.25);
  fake.set("zero_point", std::int64_t{1});
  channels.set("axis", std::int64_t{0});
  t.push_back({"fake_quantize_per_tensor_affine", {smooth({2, 3})}, fake, of_noise({kLarge})});
  t.push_back({"fake_quantize_per_channel_affine", {smooth({2, 3}), scales, zeros}, channels});
}

}  // namespace

const OpRow& OpCase::row() const {
  if (const OpRow* found = find_op(op)) return *found;
  throw KeyError(cat("[op_cases] there is no operation '", op, "'"));
}

const std::vector<OpCase>& op_cases() {
  static const Cases cases = [] {
    Cases t;
    for (const auto add : {add_arithmetic, add_functions, add_comparisons, add_products, add_layers, add_reductions,
                           add_embeddings, add_lstm, add_shapes, add_selections, add_quantized})
      add(t);
    return t;
  }();
  return cases;
}

TensorList run(const OpCase& c, const TensorList& inputs) {
  if (c.row().is(OpFlags::random)) default_generator().manual_seed(1);
  return call_op(c.row(), inputs, c.attributes);
}

}  // namespace coppice::testing
