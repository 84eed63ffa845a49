// Masked layers against PyTorch's names, results and gradients, over the random cases of make_parametrize.py.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "coppice/engine.h"
#include "coppice/nn.h"

namespace {

using namespace coppice;
using namespace coppice::nn::parametrize;
using Json = nlohmann::json;
using Names = std::vector<std::string>;

const std::string kTests = COPPICE_TESTS_DIR "/golden/";
const Tolerance kClose{1e-9, 1e-12};

/// Hands out the numbers of one array in order.
class Feed {
 public:
  explicit Feed(const Tensor& all) : all_(all) {}
  Tensor next(const Shape& shape) {
    const Tensor part = narrow(all_, 0, at_, shape.numel()).reshape(shape);
    at_ += shape.numel();
    return part;
  }
  [[nodiscard]] bool empty() const { return at_ == all_.numel(); }

 private:
  Tensor all_;
  std::int64_t at_ = 0;
};

nn::Arguments arguments(const Json& object) {
  nn::Arguments out;
  for (const auto& [key, value] : object.items()) {
    if (value.is_boolean())
      out.set(key, value.get<bool>());
    else if (value.is_array())
      out.set(key, value.get<std::vector<std::int64_t>>());
    else
      out.set(key, value.get<std::int64_t>());
  }
  return out;
}

Names names(const std::vector<nn::NamedTensor>& list) {
  Names out;
  for (const auto& [name, tensor] : list) out.push_back(name);
  return out;
}

void check_case(const Json& c, Feed& fed, Feed& made) {
  const NoGrad for_filling;
  const nn::ModulePtr m = nn::make_module(c["type"].get<std::string>(), arguments(c["args"]));
  m->to(Dtype::f64);
  m->eval();
  for (const auto& list : {m->named_parameters(), m->named_buffers()})
    for (const auto& [name, tensor] : list) {
      Tensor handle = tensor;
      handle.copy_(fed.next(tensor.shape()));
    }
  Tensor x = fed.next(Shape(c["input"].get<std::vector<std::int64_t>>()));
  if (c["type"] == "Embedding") x = x.to(Dtype::i64);
  for (const std::string name : c["steps"])
    register_parametrization(*m, name, std::make_shared<nn::FakeSparsity>(fed.next(m->tensor(name).shape()).clone()));
  {
    const EnableGrad on;
    const Tensor y = (*m)(x);
    CHECK(allclose(y, made.next(y.shape()), kClose));
    sum(mul(y, fed.next(y.shape()))).backward();
  }
  for (const auto& [name, parameter] : m->named_parameters()) {
    const auto& shown = name;  // Clang 14 cannot capture a structured binding
    CAPTURE(shown);
    CHECK(allclose(parameter.grad(), made.next(parameter.shape()), kClose));
  }
  CHECK(names(m->named_parameters()) == c["parameters"].get<Names>());
  CHECK(names(m->named_buffers()) == c["buffers"].get<Names>());
  Names modules;
  for (const auto& [path, module] : m->named_modules()) modules.push_back(path);
  CHECK(modules == c["modules"].get<Names>());
  CHECK(nn::state_dict(*m).names() == c["state_dict"].get<Names>());
  if (!c["remove"].get<bool>()) return;
  const std::string name = c["steps"][0];
  remove_parametrizations(*m, name, c["leave"].get<bool>());
  CHECK(names(m->named_parameters()) == c["after"].get<Names>());
  const Tensor value = m->tensor(name);
  CHECK(allclose(value, made.next(value.shape()), kClose));
}

TEST_SUITE("golden/parametrize") {
  TEST_CASE("masked layers have PyTorch's names, results and gradients") {
    std::ifstream file(kTests + "parametrize.json");
    const Json all = Json::parse(file);
    const NamedTensors arrays = read_npz(kTests + "parametrize.npz");
    Feed fed(arrays.at("fed")), made(arrays.at("made"));
    int number = 0;
    for (const Json& c : all["cases"]) {
      ++number;
      CAPTURE(number);
      const std::string what = c.dump().substr(0, 300);
      CAPTURE(what);
      check_case(c, fed, made);
    }
    CHECK(number == 240);
    CHECK(fed.empty());
    CHECK(made.empty());
  }
}

}  // namespace
