#include "engine/differentiable_ops.h"

#include <cmath>

#include "coppice/engine.h"

namespace coppice::testing {
namespace {

using In = const TensorList&;
using Table = std::vector<DifferentiableOp>;

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

/// Adds a row; `f` gives a tensor or a list of tensors.
template <class F>
void add_row(Table& table, const char* name, F f, TensorList inputs, std::vector<std::size_t> optional = {}) {
  table.push_back({name,
                   [f](In in) {
                     if constexpr (std::is_same_v<decltype(f(in)), TensorList>)
                       return f(in);
                     else
                       return TensorList{f(in)};
                   },
                   std::move(inputs), std::move(optional)});
}

void add_element_wise(Table& t) {
  const Tensor a = smooth({2, 3}), b = smooth({3}, 1), c = smooth({3, 4});
  const Tensor condition = Tensor::of({{1, 0, 1}, {0, 0, 1}});
  add_row(t, "add", [](In in) { return in[0] + in[1]; }, {a, b});
  add_row(t, "sub", [](In in) { return in[0] - in[1]; }, {a, b});
  add_row(t, "mul", [](In in) { return in[0] * in[1]; }, {a, b});
  add_row(t, "div", [](In in) { return in[0] / in[1]; }, {a, b});
  add_row(t, "add", [](In in) { return in[0] * 3.0 + 2.0; }, {a});
  add_row(t, "mul", [](In in) { return mul(in[0], 3.0); }, {a});
  add_row(t, "maximum", [](In in) { return maximum(in[0], in[1]); }, {a, b});
  add_row(t, "minimum", [](In in) { return minimum(in[0], in[1]); }, {a, b});
  add_row(t, "pow", [](In in) { return pow(abs(in[0]), in[1]); }, {a, b});
  add_row(t, "pow", [](In in) { return pow(in[0], 3.0); }, {a});
  add_row(t, "pow", [](In in) { return pow(in[0], 2.0); }, {a});
  add_row(t, "where", [](In in) { return where(gt(in[1], Tensor::of(0)), in[0], in[1]); }, {a, b});
  add_row(t, "where", [](In in) { return where(in[0], in[1], in[2]); }, {condition.to(Dtype::boolean), a, b});
  add_row(t, "where", [](In in) { return where(in[0], in[1], in[2]); }, {condition, a, b});
  add_row(t, "neg", [](In in) { return neg(in[0]); }, {c});
  add_row(t, "abs", [](In in) { return abs(in[0]); }, {c});
  add_row(t, "exp", [](In in) { return exp(in[0]); }, {c});
  add_row(t, "log", [](In in) { return log(abs(in[0])); }, {c});
  add_row(t, "log", [](In in) { return log(in[0]); }, {abs(c)});
  add_row(t, "sqrt", [](In in) { return sqrt(abs(in[0])); }, {c});
  add_row(t, "sqrt", [](In in) { return sqrt(in[0]); }, {abs(c)});
  add_row(t, "tanh", [](In in) { return tanh(in[0]); }, {c});
  add_row(t, "sigmoid", [](In in) { return sigmoid(in[0]); }, {c});
  add_row(t, "relu", [](In in) { return relu(in[0]); }, {c});
  add_row(t, "gelu", [](In in) { return gelu(in[0]); }, {c});
  add_row(t, "gelu", [](In in) { return gelu(in[0], true); }, {c});
  add_row(t, "clamp", [](In in) { return clamp(in[0], -1.003, 0.707); }, {c});
  add_row(t, "dropout",
          [](In in) {
            Generator generator(1);
            return dropout(in[0], 0.5, &generator);
          },
          {c});
  add_row(t, "softmax", [](In in) { return softmax(in[0], 0); }, {c});
  add_row(t, "log_softmax", [](In in) { return log_softmax(in[0], 1); }, {c});
}

void add_reductions(Table& t) {
  const Tensor a = smooth({2, 3, 2});
  for (const Axes& axes : {Axes{}, Axes{1}, Axes{0, 2}, Axes{-1}}) {
    add_row(t, "sum", [=](In in) { return sum(in[0], axes); }, {a});
    add_row(t, "mean", [=](In in) { return mean(in[0], axes, true); }, {a});
    add_row(t, "var", [=](In in) { return var(in[0], axes); }, {a});
    for (const bool keepdim : {false, true}) {
      add_row(t, "max", [=](In in) { return max(in[0], axes, keepdim); }, {a});
      add_row(t, "min", [=](In in) { return min(in[0], axes, keepdim); }, {a});
      add_row(t, "norm", [=](In in) { return norm(in[0], 1, axes, keepdim); }, {a});
      add_row(t, "norm", [=](In in) { return norm(in[0], 2, axes, keepdim); }, {a});
    }
  }
}

void add_products(Table& t) {
  const auto product = [](In in) { return matmul(in[0], in[1]); };
  add_row(t, "matmul", product, {smooth({2, 3}), smooth({3, 4}, 1)});
  add_row(t, "matmul", product, {smooth({2, 2, 3}), smooth({3, 2}, 1)});
  add_row(t, "matmul", product, {smooth({3}), smooth({3}, 1)});
  add_row(t, "matmul", product, {smooth({3}), smooth({3, 2}, 1)});
  add_row(t, "matmul", product, {smooth({2, 3}), smooth({3}, 1)});
  add_row(t, "linear", [](In in) { return linear(in[0], in[1], in[2]); },
          {smooth({2, 3}), smooth({4, 3}, 1), smooth({4}, 2)}, {2});
  const ConvOptions o{{2}, {1}, {1}, 2};
  add_row(t, "conv1d", [=](In in) { return conv1d(in[0], in[1], in[2], o); },
          {smooth({2, 4, 5}), smooth({2, 2, 3}, 1), smooth({2}, 2)}, {2});
  add_row(t, "conv2d", [=](In in) { return conv2d(in[0], in[1], in[2], o); },
          {smooth({1, 4, 4, 3}), smooth({2, 2, 2, 3}, 1), smooth({2}, 2)}, {2});
  add_row(t, "conv3d",
          [](In in) {
            return conv3d(in[0], in[1], in[2], {{1}, {0}, {2}, 1});
          },
          {smooth({1, 1, 3, 3, 3}), smooth({2, 1, 2, 2, 2}, 1), smooth({2}, 2)}, {2});
}

void add_shapes(Table& t) {
  const Tensor a = smooth({2, 3, 4});
  add_row(t, "transpose", [](In in) { return transpose(in[0], 0, 2); }, {a});
  add_row(t, "permute", [](In in) { return permute(in[0], {2, 0, 1}); }, {a});
  add_row(t, "flatten", [](In in) { return flatten(in[0], 1); }, {a});
  add_row(t, "reshape", [](In in) { return in[0].reshape({4, -1}); }, {a});
  add_row(t, "clone", [](In in) { return in[0].clone(); }, {a});
  add_row(t, "to", [](In in) { return in[0].to(Dtype::f32).to(Dtype::f64) * 0.0 + in[0].to(Dtype::f64); }, {a});
  add_row(t, "narrow", [](In in) { return narrow(in[0], 0, 1, 1); }, {a});
  add_row(t, "narrow", [](In in) { return narrow(in[0], 2, 1, 2); }, {a});
  add_row(t, "select", [](In in) { return select(in[0], 1, -1); }, {a});
  add_row(t, "index_select", [](In in) { return index_select(in[0], 1, in[1]); }, {a, integers({2, 0, 2})});
  add_row(t, "cat_tensors", [](In in) { return cat_tensors({in[0], in[1]}, 1); }, {a, smooth({2, 1, 4}, 1)});
  add_row(t, "stack", [](In in) { return stack({in[0], in[1]}, 1); }, {a, smooth({2, 3, 4}, 1)});
  add_row(t, "split", [](In in) { return split(in[0], 2, 2); }, {a});
  add_row(t, "split", [](In in) { return split(in[0], {1, 3}, 2); }, {a});
}

void add_layers(Table& t) {
  for (const auto reduction : {coppice::Reduction::none, coppice::Reduction::mean, coppice::Reduction::sum}) {
    add_row(t, "cross_entropy", [=](In in) { return cross_entropy(in[0], in[1], reduction); },
            {smooth({3, 4}), integers({1, 0, 2})});
    add_row(t, "mse_loss", [=](In in) { return mse_loss(in[0], in[1], reduction); },
            {smooth({3, 2}), smooth({3, 2}, 1)});
  }
  const Tensor planes = smooth({2, 2, 5, 4});
  add_row(t, "max_pool2d", [](In in) { return max_pool2d(in[0], {.kernel = {2, 3}, .padding = {1, 1}}); }, {planes});
  add_row(t, "avg_pool2d", [](In in) { return avg_pool2d(in[0], {.kernel = {2, 2}, .ceil_mode = true}); }, {planes});
  add_row(t, "adaptive_avg_pool2d", [](In in) { return adaptive_avg_pool2d(in[0], {3, 2}); }, {planes});
  for (const std::optional<std::int64_t> padding : {std::optional<std::int64_t>(), std::optional<std::int64_t>(2)}) {
    add_row(t, "embedding", [](In in) { return embedding(in[0], in[1]); }, {smooth({3, 2}), integers({0, 2, 2, 1})});
    for (const auto mode : {BagMode::sum, BagMode::mean, BagMode::max}) {
      const auto bags = [=](In in) { return embedding_bag(in[0], in[1], in[2], mode, padding); };
      add_row(t, "embedding_bag", bags, {smooth({3, 2}), integers({0, 2, 2, 1}), integers({0, 3})});
      // Rows that stand twice in a bag, in several bags, and in none; empty bags at both ends and between.
      add_row(t, "embedding_bag", bags,
              {smooth({5, 3}, 1), integers({4, 0, 4, 2, 2, 4, 0}), integers({0, 0, 3, 3, 4, 7})});
      add_row(t, "embedding_bag", bags, {smooth({4, 1}, 2), integers({3, 1, 3, 0, 1}), integers({0, 2})});
    }
  }
}

void add_lstm(Table& t) {
  for (const bool reverse : {false, true})
    for (const bool projected : {false, true}) {
      const std::int64_t r = projected ? 2 : 3;
      TensorList in{smooth({3, 2, 2}),  smooth({2, r}, 1), smooth({2, 3}, 2), smooth({12, 2}, 3),
                    smooth({12, r}, 4), smooth({12}, 5),   smooth({12}, 6)};
      if (projected) in.push_back(smooth({2, 3}, 7));
      const auto run = [=](In x) {
        const LstmResult y =
            lstm_layer(x[0], x[1], x[2], {x[3], x[4], x[5], x[6], projected ? x[7] : Tensor()}, reverse);
        return TensorList{y.output, y.h, y.c};
      };
      add_row(t, "lstm_layer", run, in, {5, 6});
    }
}

}  // namespace

const std::vector<DifferentiableOp>& differentiable_ops() {
  static const Table table = [] {
    Table t;
    add_element_wise(t);
    add_reductions(t);
    add_products(t);
    add_shapes(t);
    add_layers(t);
    add_lstm(t);
    return t;
  }();
  return table;
}

const std::vector<std::string>& other_ops() {
  static const std::vector<std::string> names{
      "eq",     "ne",     "lt",  "le",  "gt",   "ge",       "logical_and", "logical_or",   "logical_not", "isnan",
      "argmax", "argmin", "any", "all", "topk", "kthvalue", "sort",        "select_masks", "detach",      "grad"};
  return names;
}

}  // namespace coppice::testing
