#include "coppice/nn/adopts_tensors.h"

#include "coppice/nn/io/model_file.h"
#include "coppice/nn/registry.h"
#include "coppice/nn/state_dict.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;

namespace {

/// Holds a rising list of any length.
class Rising final : public nn::Implements<Rising>, public nn::AdoptsTensors {
 public:
  static constexpr std::string_view kType = "test.Rising";
  Rising() { register_buffer("list", Tensor::of({1})); }
  explicit Rising(const nn::Arguments&) : Rising() {}
  void check_adoptable(const NamedTensors& own) const override {
    if (own.names() != std::vector<std::string>{"list"}) throw FormatError("[Rising] needs 'list' alone");
    const auto values = own.at("list").to_vector<double>();
    if (!std::ranges::is_sorted(values)) throw FormatError("[Rising] 'list' must rise");
  }
  void adopt(const NamedTensors& own) override {
    check_adoptable(own);
    register_buffer("list", own.at("list"));
  }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x; }
};

}  // namespace

TEST_SUITE("nn/adopts_tensors") {
  TEST_CASE("files and state dicts are checked as a whole, and shapes may be others") {
    if (!nn::is_registered(Rising::kType))
      nn::register_module(Rising::kType, [](const nn::Arguments& a) { return std::make_shared<Rising>(a); });
    const TempDir dir;
    Rising m;
    m.adopt({{"list", Tensor::of({1, 2, 4})}});
    nn::save_model(m, dir / "m.safetensors");
    CHECK(nn::load_model(dir / "m.safetensors")->tensor("list") == Tensor::of({1, 2, 4}));
    CHECK_THROWS_AS(nn::load_state_dict(m, {{"list", Tensor::of({3, 2, 1})}}), FormatError);
    CHECK(m.tensor("list") == Tensor::of({1, 2, 4}));
    m.register_buffer("list", Tensor::of({2, 1}));
    CHECK_THROWS_WITH_AS(nn::save_model(m, dir / "bad.safetensors"), doctest::Contains("'list' must rise"),
                         NotSupported);
    CHECK_FALSE(std::filesystem::exists(dir / "bad.safetensors"));
  }
}
