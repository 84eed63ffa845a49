#include "coppice/nn/derived.h"

#include <doctest/doctest.h>

#include "coppice/engine/autograd.h"
#include "coppice/engine/error.h"
#include "coppice/nn/slots.h"
#include "scale.h"

using namespace coppice;
using nn::ModulePtr;
using test::Scale, test::TwiceOf;

namespace {

/// Half of another tensor, which it writes back to, and of which it lets nobody set a negative buffer.
class HalfOf final : public nn::Derived {
 public:
  [[nodiscard]] Tensor value(const nn::Module& owner) const override { return owner.tensor("b") * 0.5; }
  [[nodiscard]] std::shared_ptr<Derived> clone() const override { return std::make_shared<HalfOf>(); }
  bool assign(nn::Module& owner, const Tensor& wanted) override {
    owner.tensor("b").copy_(wanted * 2);
    return true;
  }
  [[nodiscard]] Tensor input(const nn::Module&, std::string_view name, const Tensor& wanted) const override {
    if (name == "b" && wanted.item() < 0) throw ValueError("negative");
    return wanted;
  }
};

}  // namespace

TEST_SUITE("nn/derived") {
  TEST_CASE("a derived tensor is computed on every reading, and can be exchanged") {
    Scale m(3);
    m.slots().register_derived("d", std::make_shared<TwiceOf>("factor"));
    CHECK(m.tensor("d").item() == 6);
    NoGrad off;
    m.tensor("factor").fill_(5);
    CHECK(m.tensor("d").item() == 10);
    m.register_buffer("b", Tensor::of(1));
    m.slots().replace_derived("d", std::make_shared<TwiceOf>("b"));
    CHECK(m.tensor("d").item() == 2);
    CHECK_THROWS_AS(m.slots().replace_derived("factor", std::make_shared<TwiceOf>("b")), KeyError);
  }

  TEST_CASE("derived tensors are computed from the copy's own tensors") {
    Scale m(3);
    m.slots().register_derived("d", std::make_shared<TwiceOf>("factor"));
    const ModulePtr copy = m.clone();
    NoGrad off;
    copy->tensor("factor").fill_(10);
    CHECK(copy->tensor("d").item() == 20);
    CHECK(m.tensor("d").item() == 6);
  }

  TEST_CASE("one that can be written is written through, and sees what is put in the place of its buffers") {
    const NoGrad off;
    Scale m;
    m.register_buffer("b", Tensor::of(4));
    m.slots().register_derived("half", std::make_shared<HalfOf>());
    m.set_tensor("half", Tensor::of(5));
    CHECK(m.tensor("b").item() == 10);
    m.set_tensor("b", Tensor::of(6));
    CHECK(m.tensor("half").item() == 3);
    CHECK_THROWS_AS(m.set_tensor("b", Tensor::of(-1)), ValueError);
    CHECK_THROWS_AS(m.register_buffer("b", Tensor::of(-1)), ValueError);
    CHECK(m.tensor("b").item() == 6);
    m.slots().register_derived("twice", std::make_shared<TwiceOf>("b"));
    CHECK_THROWS_AS(m.set_tensor("twice", Tensor::of(1)), TypeError);  // has no way back
  }
}
