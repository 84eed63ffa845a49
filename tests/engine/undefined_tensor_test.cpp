// What a default-made tensor may do: answer defined() and is(), be assigned, be printed. Nothing else, and no crash.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

#include "coppice/engine.h"
#include "support/op_cases.h"

namespace {

using namespace coppice;

struct Use {
  const char* name;
  std::function<void(Tensor)> call;
};

const Tensor kPair = Tensor::of({1, 2});

const std::vector<Use> kMethods{
    {"shape", [](Tensor t) { (void)t.shape(); }},
    {"dim", [](Tensor t) { (void)t.dim(); }},
    {"size", [](Tensor t) { (void)t.size(0); }},
    {"numel", [](Tensor t) { (void)t.numel(); }},
    {"dtype", [](Tensor t) { (void)t.dtype(); }},
    {"nbytes", [](Tensor t) { (void)t.nbytes(); }},
    {"data", [](Tensor t) { (void)t.data<float>(); }},
    {"mutable_data", [](Tensor t) { (void)t.mutable_data<float>(); }},
    {"bytes", [](Tensor t) { (void)t.bytes(); }},
    {"mutable_bytes", [](Tensor t) { (void)t.mutable_bytes(); }},
    {"item", [](Tensor t) { (void)t.item(); }},
    {"at", [](Tensor t) { (void)t.at({0}); }},
    {"set_", [](Tensor t) { t.set_({0}, 1); }},
    {"to_vector", [](Tensor t) { (void)t.to_vector<float>(); }},
    {"shares_storage", [](Tensor t) { (void)t.shares_storage(kPair); }},
    {"shares_storage of the other", [](Tensor t) { (void)kPair.shares_storage(t); }},
    {"version", [](Tensor t) { (void)t.version(); }},
    {"storage", [](Tensor t) { (void)t.storage(); }},
    {"storage_offset", [](Tensor t) { (void)t.storage_offset(); }},
    {"clone", [](Tensor t) { (void)t.clone(); }},
    {"detach", [](Tensor t) { (void)t.detach(); }},
    {"to", [](Tensor t) { (void)t.to(Dtype::f64); }},
    {"reshape",
     [](Tensor t) {
       (void)t.reshape({2, -1});
     }},
    {"reshape to a shape", [](Tensor t) { (void)t.reshape(Shape{2}); }},
    {"fill_", [](Tensor t) { t.fill_(1); }},
    {"zero_", [](Tensor t) { t.zero_(); }},
    {"copy_", [](Tensor t) { t.copy_(kPair); }},
    {"copy_ from it", [](Tensor t) { kPair.clone().copy_(t); }},
    {"add_", [](Tensor t) { t.add_(kPair); }},
    {"add_ of it", [](Tensor t) { kPair.clone().add_(t); }},
    {"mul_", [](Tensor t) { t.mul_(kPair); }},
    {"mul_ by it", [](Tensor t) { kPair.clone().mul_(t); }},
    {"mul_ by a number", [](Tensor t) { t.mul_(2); }},
    {"replace_", [](Tensor t) { t.replace_(kPair); }},
    {"replace_ by it", [](Tensor t) { kPair.clone().replace_(t); }},
    {"requires_grad", [](Tensor t) { (void)t.requires_grad(); }},
    {"requires_grad_", [](Tensor t) { t.requires_grad_(); }},
    {"requires_grad_ off", [](Tensor t) { t.requires_grad_(false); }},
    {"is_leaf", [](Tensor t) { (void)t.is_leaf(); }},
    {"grad", [](Tensor t) { (void)t.grad(); }},
    {"set_grad", [](Tensor t) { t.set_grad(Tensor()); }},
    {"backward", [](Tensor t) { t.backward(); }},
    {"backward from a gradient", [](Tensor t) { t.backward(kPair); }},
    {"backward from it", [](Tensor t) { (kPair.clone().requires_grad_() * 2.0).backward(t); }},
    {"==", [](Tensor t) { (void)(t == kPair); }},
    {"== on the right", [](Tensor t) { (void)(kPair == t); }},
    {"== of two", [](Tensor t) { (void)(t == Tensor()); }},
    {"allclose", [](Tensor t) { (void)allclose(t, kPair); }},
    {"max_difference", [](Tensor t) { (void)max_difference(kPair, t); }},
    {"with_grad",
     [](Tensor t) {
       (void)with_grad(t, {kPair.clone().requires_grad_()}, [](const Tensor& dy) { return GradList{dy}; });
     }},
};

const std::vector<Use> kOperations{
    {"zeros_like", [](Tensor t) { (void)zeros_like(t); }},
    {"ones_like", [](Tensor t) { (void)ones_like(t); }},
    {"eq", [](Tensor t) { (void)eq(kPair, t); }},
    {"lt", [](Tensor t) { (void)lt(t, kPair); }},
    {"logical_and", [](Tensor t) { (void)logical_and(kPair, t); }},
    {"logical_not", [](Tensor t) { (void)logical_not(t); }},
    {"isnan", [](Tensor t) { (void)isnan(t); }},
    {"argmax", [](Tensor t) { (void)argmax(t); }},
    {"any", [](Tensor t) { (void)any(t); }},
    {"all", [](Tensor t) { (void)all(t); }},
    {"count_nonzero", [](Tensor t) { (void)count_nonzero(t); }},
    {"topk", [](Tensor t) { (void)topk(t, 1); }},
    {"kthvalue", [](Tensor t) { (void)kthvalue(t, 1); }},
    {"sort", [](Tensor t) { (void)sort(t); }},
    {"select_masks",
     [](Tensor t) {
       (void)select_masks({kPair, t}, {.count = 1});
     }},
    {"select_masks_", [](Tensor t) { select_masks_({t}, {kPair}, {.count = 1}); }},
    {"zero_selected_", [](Tensor t) { zero_selected_({t}, {.count = 1}); }},
    {"PackedMatrix::pack", [](Tensor t) { (void)PackedMatrix::pack(t, "csr"); }},
    {"PackedMatrix::linear",
     [](Tensor t) {
       (void)PackedMatrix::pack(ones({2, 2}), "csr").linear(t, Tensor());
     }},
    {"linear of a packed matrix",
     [](Tensor t) {
       (void)linear(t, PackedMatrix::pack(ones({2, 2}), "csr"));
     }},
    {"conv2d of a packed matrix",
     [](Tensor t) {
       (void)conv2d(t, PackedMatrix::pack(ones({2, 2}), "csr"), Tensor(), {1, 1}, {});
     }},
};

/// "" if the call throws a StateError or a ValueError whose message opens with a name in brackets.
std::string refusal(const std::function<void()>& call) {
  const auto opens = [](const Error& error) {
    return std::string_view(error.what()).starts_with("[") ? std::string() : cat("the message is: ", error.what());
  };
  try {
    call();
  } catch (const StateError& error) {
    return opens(error);
  } catch (const ValueError& error) {
    return opens(error);
  }
  return "nothing was thrown";
}

TEST_SUITE("engine/tensor") {
  TEST_CASE("an undefined tensor answers defined() and is(), can be assigned and printed") {
    Tensor t;
    CHECK_FALSE(t.defined());
    CHECK(t.is(Tensor()));
    CHECK_FALSE(t.is(kPair));
    CHECK(to_string(t) == "tensor(undefined)");
    t = kPair;
    CHECK(t.is(kPair));
    t = Tensor();
    CHECK_FALSE(t.defined());
  }

  TEST_CASE("every other method of an undefined tensor is a StateError that names it") {
    for (const auto& [name, call] : kMethods) {
      CAPTURE(std::string(name));
      CHECK_THROWS_AS(call(Tensor()), StateError);
    }
    CHECK_THROWS_WITH((void)Tensor().shape(), "[Tensor::shape] the tensor is undefined");
    CHECK_THROWS_WITH((void)Tensor().requires_grad(), "[Tensor::requires_grad] the tensor is undefined");
  }

  TEST_CASE("every operation refuses an undefined tensor, unless it is one that may be left out") {
    for (const auto& [name, call] : kOperations) {
      CAPTURE(std::string(name));
      CHECK(refusal([&, &run = call] { run(Tensor()); }) == "");
    }
  }

  TEST_CASE("every operation of the table refuses an undefined tensor where its row needs one, and only there") {
    for (const auto& c : testing::op_cases()) {
      const OpRow& row = c.row();
      const Arguments with = filled_in(row, c.attributes);  // the row's function itself, without call_op's checks
      const auto check = [&](const TensorList& inputs, bool optional) {
        if (!optional) {
          CHECK(refusal([&] { (void)row.call(inputs, with); }) == "");
          return;
        }
        // An LSTM without its projection needs other shapes.
        if (c.op == "lstm_layer" && inputs.size() == 8 && !inputs[7].defined())
          CHECK_THROWS_AS((void)row.call(inputs, with), ShapeError);
        else
          CHECK_NOTHROW((void)row.call(inputs, with));
      };
      for (std::size_t i = 0; i < c.inputs.size(); ++i) {
        CAPTURE(c.op);
        CAPTURE(i);
        const bool optional = row.most_inputs != kAnyNumber && i >= static_cast<std::size_t>(row.least_inputs);
        TensorList inputs = c.inputs;
        inputs[i] = Tensor();
        check(inputs, optional);
        for (Tensor& t : inputs)  // the same while gradients are recorded
          if (t.defined() && is_floating(t.dtype())) t = t.clone().requires_grad_();
        check(inputs, optional);
      }
    }
  }

  TEST_CASE("no storage and no bytes are refused") {
    CHECK_THROWS_AS((void)Tensor::over(nullptr, 0, Shape{1}, Dtype::f32), ValueError);
  }
}

}  // namespace
