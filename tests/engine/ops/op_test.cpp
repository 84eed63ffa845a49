// The scope of an operation: what a listener hears, what a gradient is called.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "coppice/engine.h"
#include "support/op_cases.h"

namespace {

using namespace coppice;
using coppice::testing::run;

struct Heard {
  const OpRow* row;
  TensorList inputs;
  Arguments attributes;
  TensorList outputs;
};

class Ear : public OpListener {
 public:
  void on_op(const OpRow& row, const TensorList& inputs, const Arguments& attributes,
             const TensorList& outputs) override {
    heard.push_back({&row, inputs, attributes, outputs});
  }
  [[nodiscard]] std::string names() const {
    std::string text;
    for (const Heard& h : heard) text += cat(text.empty() ? "" : " ", h.row->name);
    return text;
  }
  std::vector<Heard> heard;
};

/// Equal bit for bit, NaN included.
bool same(const TensorList& a, const TensorList& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].shape() != b[i].shape() || a[i].dtype() != b[i].dtype() ||
        !std::equal(a[i].bytes(), a[i].bytes() + a[i].nbytes(), b[i].bytes()))
      return false;
  return true;
}

TEST_SUITE("engine/op") {
  TEST_CASE("a listener hears each call once, and what it hears can be run again") {
    for (const auto& c : testing::op_cases()) {
      CAPTURE(c.op);
      for (const bool grad : {false, true}) {
        TensorList inputs = c.inputs;
        if (grad && c.row().is(OpFlags::differentiable))
          for (Tensor& t : inputs)
            if (t.dtype() == Dtype::f64) t = t.clone().requires_grad_();
        Ear ear;
        const TensorList outputs = run(c, inputs);
        CHECK(ear.names() == c.op);
        REQUIRE(ear.heard.size() == 1);
        const Heard& h = ear.heard[0];
        CHECK(h.row == &c.row());
        REQUIRE(h.inputs.size() >= inputs.size());
        for (std::size_t i = 0; i < inputs.size(); ++i) CHECK(h.inputs[i].is(inputs[i]));
        for (std::size_t i = 0; i < outputs.size(); ++i) CHECK(h.outputs[i].is(outputs[i]));
        CHECK(same(run({c.op, h.inputs, h.attributes}, h.inputs), outputs));
      }
    }
  }

  TEST_CASE("the parts of an operation are silent, also when one of them throws") {
    const Tensor x = Tensor::of({{1, 2}, {3, 4}});
    Ear ear;
    (void)select(x, 0, 1);
    (void)var(x);
    CHECK_THROWS_AS((void)matmul(x, Tensor::of({1, 2, 3})), ShapeError);
    CHECK_THROWS_AS((void)mean(x.to(Dtype::i64)), DtypeError);
    (void)(x - 1.0);
    CHECK(ear.names() == "select var to sub");
  }

  TEST_CASE("attributes are those of the call, under PyTorch's names") {
    const Tensor x = Tensor::of({{1, 2}, {3, 4}});
    Ear ear;
    (void)x.reshape({-1});
    (void)sum(x, {1}, true);
    (void)sum(x);
    (void)narrow(x, -1, 0, 1);
    (void)cat_tensors({x, x}, -2);
    CHECK(ear.heard[3].attributes.integer("dim") == -1);  // as it was given: a graph may take other ranks
    CHECK(ear.heard[4].attributes.integer("dim") == -2);
    CHECK(ear.heard[0].attributes == Arguments{{"shape", std::vector<std::int64_t>{-1}}});
    CHECK(ear.heard[1].attributes == Arguments{{"dim", std::vector<std::int64_t>{1}}, {"keepdim", true}});
    CHECK(ear.heard[2].attributes == Arguments{{"keepdim", false}});
  }

  TEST_CASE("a row of padding is an attribute, and heard once with the whole embedding") {
    const Tensor weight = Tensor::of({{1, 2}, {3, 4}}).requires_grad_(), index = Tensor::of({1, 0, 1}).to(Dtype::i64);
    Ear ear;
    const Tensor y = embedding(weight, index, 1);
    CHECK(ear.names() == "embedding");
    CHECK(ear.heard[0].attributes == Arguments{{"padding_idx", std::int64_t{1}}});
    CHECK(call_op(*find_op("embedding"), {weight, index}, ear.heard[0].attributes)[0] == y);
    sum(y).backward();
    CHECK(weight.grad() == Tensor::of({{1, 1}, {0, 0}}));
  }

  TEST_CASE("products with packed weights are heard as such, and name their gradient") {
    const PackedMatrix w = PackedMatrix::pack(ones({2, 4}), "csr");
    const Tensor x = ones({1, 4}).requires_grad_();
    Ear ear;
    const Tensor y = linear(x, w);
    (void)conv2d(ones({1, 1, 2, 2}), w, Tensor(), {2, 2}, {});
    CHECK(ear.names() == "packed_linear packed_conv2d");
    CHECK(grad_fn(y)->op->name == "packed_linear");
  }

  TEST_CASE("methods that write in place are not heard, nor their parts") {
    Tensor x = Tensor::of({1, 2});
    Ear ear;
    x.add_(Tensor::of({1, 1}).to(Dtype::f64)).mul_(x).mul_(2).copy_(ones({2}, Dtype::i64)).fill_(3);
    CHECK(ear.names() == "to");  // the argument's
  }

  TEST_CASE("listeners may end in any order") {
    auto first = std::make_unique<Ear>();
    auto second = std::make_unique<Ear>();
    first.reset();
    (void)exp(Tensor::of({1}));
    CHECK(second->names() == "exp");
    second.reset();
    (void)exp(Tensor::of({1}));  // nobody is told
  }

  TEST_CASE("the newest listener of a thread hears, others do not") {
    const Tensor x = Tensor::of({1, 2});
    Ear outer;
    {
      Ear inner;
      (void)exp(x);
      CHECK(inner.names() == "exp");
    }
    std::thread([&] { (void)log(x); }).join();
    (void)neg(x);
    CHECK(outer.names() == "neg");
  }

  TEST_CASE("grad_fn names the operation that made a tensor, with its attributes") {
    const Tensor x = Tensor::of({{1, 2}, {3, 4}}).requires_grad_();
    CHECK_FALSE(grad_fn(x));
    CHECK_FALSE(grad_fn(x.detach() * 2.0));
    CHECK(grad_fn(x * 2.0)->op->name == "mul");
    CHECK(grad_fn(x * 2.0)->attributes == Arguments{{"other", 2.0}});
    CHECK(grad_fn(linear(x, x))->op->name == "linear");
    CHECK(grad_fn(max_pool2d(x.reshape({1, 2, 2}), {.kernel = {2, 1}}))->attributes.integers("kernel_size") ==
          std::vector<std::int64_t>{2, 1});
    CHECK(grad_fn(mean(x))->op->name == "mul");  // the last part that has a gradient
    const Tensor own = with_grad(x.detach(), {x}, [](const Tensor& dy) { return GradList{dy}; });
    CHECK(grad_fn(own)->op == nullptr);
    CHECK_THROWS_AS((void)grad_fn(Tensor()), StateError);
    const NoGrad off;
    CHECK_FALSE(grad_fn(x * 2.0));
  }

  TEST_CASE("a gradient is made only when it is needed") {
    const Tensor x = Tensor::of({1, 2});
    int made = 0, written = 0;
    const auto call = [&](const Tensor& t) {
      const Op op(*find_op("exp"), [&](Arguments&) { ++written; });
      return op.with_grad(t.clone(), {t}, [&] {
        ++made;
        return [](const Tensor& dy) { return GradList{dy}; };
      });
    };
    (void)call(x);
    CHECK(made == 0);
    CHECK(written == 0);
    const Tensor y = call(x.clone().requires_grad_());
    CHECK(made == 1);
    CHECK(written == 1);
    CHECK(y.requires_grad());
    const NoGrad off;
    (void)call(x.clone().requires_grad_());
    CHECK(made == 1);
  }
}

}  // namespace
