/// Packing classes of the program's: packed, saved, loaded and run as they are; plain members are found out.
#include "coppice/nn.h"
#include "coppice/sparsity/mask_ops.h"
#include "coppice/sparsity/pack/pack.h"
#include "engine/io/io_support.h"
#include "support/approx.h"

using namespace coppice;
using namespace coppice::sparsity;
using coppice::test::TempDir;
using coppice::testing::differs;

namespace {

constexpr PackOptions kByBytes{.measure = false};
constexpr Tolerance kClose{1e-5, 1e-5};

/// A part that stays dense (it has no zeros) before one that is packed.
class Handles final : public nn::Implements<Handles> {
 public:
  static constexpr std::string_view kType = "test.Handles";
  Handles() = default;
  explicit Handles(const nn::Arguments&) {}
  nn::Child<nn::Linear> first{*this, "first", 8, 64};
  nn::Child<nn::Linear> second{*this, "second", 64, 32};

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return second(relu(first(x))); }
};

class Names final : public nn::Implements<Names> {
 public:
  static constexpr std::string_view kType = "test.Names";
  Names() {
    add_module("first", std::make_shared<nn::Linear>(8, 64));
    add_module("second", std::make_shared<nn::Linear>(64, 32));
  }
  explicit Names(const nn::Arguments&) : Names() {}

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return (*child("second"))((*child("first"))(x)); }
};

class Members final : public nn::Implements<Members> {
 public:
  static constexpr std::string_view kType = "test.Members";
  Members() {
    add_module("first", first_);
    add_module("second", second_);
  }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return (*second_)((*first_)(x)); }

 private:
  std::shared_ptr<nn::Linear> first_ = std::make_shared<nn::Linear>(8, 64);
  std::shared_ptr<nn::Linear> second_ = std::make_shared<nn::Linear>(64, 32);
};

template <class M>
std::shared_ptr<M> sparse() {
  if (!nn::is_registered(M::kType))
    nn::register_module(M::kType, [](const nn::Arguments&) { return std::make_shared<M>(); });
  manual_seed(3);
  auto model = std::make_shared<M>();
  const NoGrad off;
  Tensor w = model->child("second")->tensor("weight");
  w.copy_(nn::apply_mask(w, mask_smallest(w, 1900)));
  return model;
}

template <class M>
void check_round_trip() {
  const auto model = sparse<M>();
  const Tensor x = rand({3, 8});
  const Packed packed = pack(*model, kByBytes);
  CHECK(packed.model->child("first")->type_name() == "Linear");
  CHECK(packed.model->child("second")->type_name() == "PackedLinear");
  const TempDir dir;
  nn::save_model(*packed.model, dir / "packed.safetensors");
  const nn::ModulePtr back = nn::load_model(dir / "packed.safetensors");
  const Tensor y = (*back)(x);  // no guard
  CHECK(y == (*packed.model)(x));
  CHECK(differs(y.detach(), (*model)(x).detach(), kClose) == "");
  CHECK_THROWS_WITH_AS(sum(y).backward(), doctest::Contains("'second' (PackedLinear) is packed"), StateError);
}

}  // namespace

TEST_SUITE("sparsity/pack_classes") {
  TEST_CASE("a class with handles is packed, saved, loaded and run") { check_round_trip<Handles>(); }
  TEST_CASE("so is a class that finds its children by name") { check_round_trip<Names>(); }

  TEST_CASE(
      "a class that keeps children in plain members is refused when the packed copy runs, not run with old weights") {
    const auto model = sparse<Members>();
    const Packed packed = pack(*model, kByBytes);
    CHECK_THROWS_WITH_AS((void)(*packed.model)(ones({1, 8})), doctest::Contains("Keep children as nn::Child"),
                         StateError);
    CHECK_THROWS_AS((void)pack(*model, kByBytes, ones({1, 8})), StateError);  // it runs the copy
    CHECK_NOTHROW((void)(*model)(ones({1, 8})));
    const TempDir dir;
    CHECK_THROWS_WITH_AS(nn::save_model(*packed.model, dir / "m.safetensors"),
                         doctest::Contains("'second' cannot be replaced"), NotSupported);
    CHECK(dir.size() == 0);
  }
}
