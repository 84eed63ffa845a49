// What modules say of themselves, and in messages, when names and arguments are a stranger's.
#include "coppice/nn.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using nn::Sequential;

namespace {

/// Arguments that fit no shape and no line.
class Odd final : public nn::Implements<Odd> {
 public:
  static constexpr std::string_view kType = "Odd";
  [[nodiscard]] nn::Arguments arguments() const override {
    return {{"list", std::vector<std::int64_t>{-1, INT64_MAX, INT64_MAX}},
            {"none", std::vector<std::int64_t>{}},
            {"text", std::string("a\033[2J'")},
            {"long", std::string(1'000'000, 'x')}};
  }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x; }
};

bool holds(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

}  // namespace

TEST_SUITE("nn/module_text") {
  TEST_CASE("describe shows any list and text, and nothing that a terminal would obey") {
    const Sequential root{{"n\n\033[2J", std::make_shared<Odd>()}};
    const std::string said = root.describe();
    CHECK(holds(said, "(n\\x0a\\x1b[2J): Odd(list=(-1, 9223372036854775807, 9223372036854775807), none=(), "));
    CHECK(holds(said, "text='a\\x1b[2J''"));
    CHECK(said.size() < 500);
  }

  TEST_CASE("messages show the first of many names, and the beginning of long ones") {
    Sequential root;
    for (int i = 0; i < 1000; ++i) root.append(std::make_shared<nn::ReLU>());
    const std::string said = outcome([&] { return root.child(std::string(1'000'000, 'x')); });
    CHECK(holds(said, "it has '0', '1', "));
    CHECK(holds(said, " and 980 more"));
    CHECK(said.size() < 500);
    CHECK_THROWS_AS(root.add_module(std::string(1'000'000, '.'), std::make_shared<nn::ReLU>()), KeyError);
    const std::string refused = outcome([&] {
      root.add_module(std::string(1'000'000, '.'), std::make_shared<nn::ReLU>());
      return 0;
    });
    CHECK(refused.size() < 500);
  }
}
