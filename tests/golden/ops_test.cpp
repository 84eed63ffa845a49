// Operations and layers against PyTorch's results and gradients, over the random cases of make_ops.py.
#include <doctest/doctest.h>

#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "coppice/engine.h"
#include "coppice/nn.h"

namespace {

using namespace coppice;
using Json = nlohmann::json;
using Function = std::function<TensorList(const TensorList&, const Json&)>;

std::vector<std::int64_t> list(const Json& s, const char* key) { return s.at(key).get<std::vector<std::int64_t>>(); }
Pair pair(const Json& s, const char* key) { return {s.at(key)[0], s.at(key)[1]}; }

ConvOptions conv_options(const Json& s) {
  return {list(s, "stride"), list(s, "padding"), list(s, "dilation"), s.at("groups")};
}

PoolOptions pool_options(const Json& s) {
  PoolOptions o;
  o.kernel = pair(s, "kernel");
  o.stride = pair(s, "stride");
  o.padding = pair(s, "padding");
  o.ceil_mode = s.at("ceil_mode");
  if (s.contains("count_include_pad")) o.count_include_pad = s.at("count_include_pad");
  return o;
}

NormOrder order(const std::string& text) {
  if (text == "nuc") return NormOrder::Word::nuc;
  if (text == "fro") return NormOrder::Word::fro;
  return std::stod(text);
}

coppice::Reduction reduction(const Json& s) {
  const std::string word = s.at("reduction");
  return word == "none" ? coppice::Reduction::none : word == "sum" ? coppice::Reduction::sum : coppice::Reduction::mean;
}

std::optional<std::int64_t> optional(const Json& value) {
  return value.is_null() ? std::nullopt : std::optional<std::int64_t>(value.get<std::int64_t>());
}

Tensor third(const TensorList& in) { return in.size() > 2 ? in[2] : Tensor(); }

/// A module in double whose parameters are the given tensors themselves, so that gradients reach them.
void adopt(nn::Module& m, const std::vector<std::string>& names, const TensorList& in, std::size_t first) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    m.slots().erase(names[i]);
    m.register_parameter(names[i], in[first + i]);
  }
}

TensorList lstm(const TensorList& in, const Json& s) {
  nn::LSTM m({.input_size = 3,
              .hidden_size = 4,
              .num_layers = s.at("num_layers"),
              .bias = s.at("bias"),
              .batch_first = s.at("batch_first"),
              .bidirectional = s.at("bidirectional"),
              .proj_size = s.at("proj_size")});
  adopt(m, s.at("names"), in, 3);
  return m(TensorList{in[0], in[1], in[2]});
}

TensorList batch_norm(const TensorList& in, const Json& s) {
  const std::shared_ptr<nn::Module> m = in[0].dim() == 4
                                            ? nn::make_module("BatchNorm2d", {{"num_features", std::int64_t{3}}})
                                            : nn::make_module("BatchNorm1d", {{"num_features", std::int64_t{3}}});
  adopt(*m, {"weight", "bias"}, in, 1);
  m->register_buffer("running_mean", in[3].detach().clone());
  m->register_buffer("running_var", in[4].detach().clone());
  m->train(s.at("training"));
  const Tensor y = (*m)(in[0]);
  return {y, m->tensor("running_mean"), m->tensor("running_var")};
}

TensorList layer_norm(const TensorList& in, const Json& s) {
  nn::LayerNorm m(list(s, "shape"));
  adopt(m, {"weight", "bias"}, in, 1);
  return {m(in[0])};
}

TensorList pair_of(const Selected& s) { return {s.values, s.indices}; }

const std::map<std::string, Function>& table() {
  using L = const TensorList&;
  using J = const Json&;
  static const std::map<std::string, Function> functions{
      {"conv1d", [](L in, J s) { return TensorList{conv1d(in[0], in[1], third(in), conv_options(s))}; }},
      {"conv2d", [](L in, J s) { return TensorList{conv2d(in[0], in[1], third(in), conv_options(s))}; }},
      {"conv3d", [](L in, J s) { return TensorList{conv3d(in[0], in[1], third(in), conv_options(s))}; }},
      {"max_pool2d", [](L in, J s) { return TensorList{max_pool2d(in[0], pool_options(s))}; }},
      {"avg_pool2d", [](L in, J s) { return TensorList{avg_pool2d(in[0], pool_options(s))}; }},
      {"adaptive_avg_pool2d", [](L in, J s) { return TensorList{adaptive_avg_pool2d(in[0], pair(s, "output"))}; }},
      {"sum", [](L in, J s) { return TensorList{sum(in[0], list(s, "axes"), s.at("keepdim"))}; }},
      {"mean", [](L in, J s) { return TensorList{mean(in[0], list(s, "axes"), s.at("keepdim"))}; }},
      {"max", [](L in, J s) { return TensorList{max(in[0], list(s, "axes"), s.at("keepdim"))}; }},
      {"min", [](L in, J s) { return TensorList{min(in[0], list(s, "axes"), s.at("keepdim"))}; }},
      {"norm",
       [](L in, J s) { return TensorList{norm(in[0], order(s.at("order")), list(s, "axes"), s.at("keepdim"))}; }},
      {"add", [](L in, J) { return TensorList{in[0] + in[1]}; }},
      {"sub", [](L in, J) { return TensorList{in[0] - in[1]}; }},
      {"mul", [](L in, J) { return TensorList{in[0] * in[1]}; }},
      {"div", [](L in, J) { return TensorList{in[0] / in[1]}; }},
      {"maximum", [](L in, J) { return TensorList{maximum(in[0], in[1])}; }},
      {"minimum", [](L in, J) { return TensorList{minimum(in[0], in[1])}; }},
      {"pow", [](L in, J) { return TensorList{pow(in[0], in[1])}; }},
      {"where", [](L in, J) { return TensorList{where(in[0], in[1], in[2])}; }},
      {"neg", [](L in, J) { return TensorList{neg(in[0])}; }},
      {"abs", [](L in, J) { return TensorList{abs(in[0])}; }},
      {"exp", [](L in, J) { return TensorList{exp(in[0])}; }},
      {"tanh", [](L in, J) { return TensorList{tanh(in[0])}; }},
      {"sigmoid", [](L in, J) { return TensorList{sigmoid(in[0])}; }},
      {"relu", [](L in, J) { return TensorList{relu(in[0])}; }},
      {"gelu", [](L in, J) { return TensorList{gelu(in[0])}; }},
      {"gelu_tanh", [](L in, J) { return TensorList{gelu(in[0], true)}; }},
      {"log", [](L in, J) { return TensorList{log(in[0])}; }},
      {"sqrt", [](L in, J) { return TensorList{sqrt(in[0])}; }},
      {"clamp", [](L in, J s) { return TensorList{clamp(in[0], s.at("low"), s.at("high"))}; }},
      {"softmax", [](L in, J s) { return TensorList{softmax(in[0], s.at("axis"))}; }},
      {"log_softmax", [](L in, J s) { return TensorList{log_softmax(in[0], s.at("axis"))}; }},
      {"matmul", [](L in, J) { return TensorList{matmul(in[0], in[1])}; }},
      {"linear", [](L in, J) { return TensorList{linear(in[0], in[1], in[2])}; }},
      {"cross_entropy", [](L in, J s) { return TensorList{cross_entropy(in[0], in[1], reduction(s))}; }},
      {"mse_loss", [](L in, J s) { return TensorList{mse_loss(in[0], in[1], reduction(s))}; }},
      {"permute", [](L in, J s) { return TensorList{permute(in[0], list(s, "axes"))}; }},
      {"narrow", [](L in, J s) { return TensorList{narrow(in[0], s.at("axis"), s.at("start"), s.at("length"))}; }},
      {"index_select", [](L in, J s) { return TensorList{index_select(in[0], s.at("axis"), in[1])}; }},
      {"cat", [](L in, J s) { return TensorList{cat_tensors(in, s.at("axis"))}; }},
      {"embedding", [](L in, J s) { return TensorList{embedding(in[0], in[1], optional(s.at("padding_idx")))}; }},
      {"embedding_bag",
       [](L in, J s) {
         const std::string mode = s.at("mode");
         return TensorList{embedding_bag(in[0], in[1], in[2],
                                         mode == "sum"    ? BagMode::sum
                                         : mode == "mean" ? BagMode::mean
                                                          : BagMode::max,
                                         optional(s.at("padding_idx")))};
       }},
      {"layer_norm", layer_norm},
      {"batch_norm", batch_norm},
      {"lstm", lstm},
      {"topk", [](L in, J s) { return pair_of(topk(in[0], s.at("k"), 0, s.at("largest"), TieRule::pytorch)); }},
      {"kthvalue", [](L in, J s) { return pair_of(kthvalue(in[0], s.at("k"), s.at("axis"))); }},
      {"sort", [](L in, J s) { return pair_of(sort(in[0], s.at("axis"))); }},
  };
  return functions;
}

void compare(const Tensor& ours, const Tensor& theirs) {
  REQUIRE(ours.defined());
  CHECK(ours.shape() == theirs.shape());
  CHECK(ours.dtype() == theirs.dtype());
  const bool close = allclose(ours, theirs, Tolerance{1e-9, 1e-10});
  CHECK_MESSAGE(close, to_string(ours), " against ", to_string(theirs));
}

TEST_SUITE("golden/ops") {
  TEST_CASE("results and gradients equal PyTorch's") {
    const std::string folder = COPPICE_TESTS_DIR "/golden/";
    std::ifstream file(folder + "ops.json");
    const Json golden = Json::parse(file);
    const NamedTensors arrays = read_npz(folder + "ops.npz");
    std::map<std::string, int> seen;
    for (const Json& c : golden.at("cases")) {
      const std::string op = c.at("op");
      CAPTURE(op);
      CAPTURE(c.dump());
      TensorList inputs;
      for (const Json& name : c.at("inputs")) inputs.push_back(arrays.at(name.get<std::string>()).clone());
      const bool graded = c.contains("grads");
      for (std::size_t i = 0; graded && i < inputs.size(); ++i)
        if (!c["grads"][i].is_null()) inputs[i].requires_grad_();
      const TensorList outputs = table().at(op)(inputs, c.at("settings"));
      {
        NoGrad guard;  // inference may take other paths: the same results
        const TensorList plain = table().at(op)(inputs, c.at("settings"));
        for (std::size_t i = 0; i < plain.size(); ++i) CHECK(allclose(plain[i], outputs[i], Tolerance{1e-12, 1e-12}));
      }
      REQUIRE(outputs.size() == c.at("outputs").size());
      for (std::size_t i = 0; i < outputs.size(); ++i)
        compare(outputs[i], arrays.at(c["outputs"][i].get<std::string>()));
      if (graded) {
        for (std::size_t i = 0; i < c["dys"].size(); ++i)
          outputs[i].backward(arrays.at(c["dys"][i].get<std::string>()), i + 1 < c["dys"].size());
        for (std::size_t i = 0; i < inputs.size(); ++i)
          if (!c["grads"][i].is_null()) compare(inputs[i].grad(), arrays.at(c["grads"][i].get<std::string>()));
      }
      ++seen[op];
    }
    CHECK(seen.size() == table().size());
    CHECK(golden.at("cases").size() > 400);
  }
}

}  // namespace
