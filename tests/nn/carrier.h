#pragma once
/// A module of a program's with an argument of every kind that model files hold from format 2 on.

#include "coppice/engine/ops/elementwise.h"
#include "coppice/nn.h"

namespace coppice::test {

inline Tensor negated(const Tensor& x) { return x * -1.0; }

/// y = function(x) * factors[0] + table + settings.shift
class Carrier final : public nn::Implements<Carrier> {
 public:
  static constexpr std::string_view kType = "test.Carrier";
  explicit Carrier(const nn::Arguments& a)
      : factors_(a.numbers("factors", {0.5})), settings_(a.has("settings") ? a.map("settings") : nn::Arguments()) {
    if (a.has("function")) {
      name_ = a.function_name("function");
      function_ = a.function<Tensor(const Tensor&)>("function");
    }
    if (a.has("table")) register_buffer("table", a.tensor("table"), false);
  }
  [[nodiscard]] nn::Arguments arguments() const override {
    nn::Arguments out;
    out.set("factors", factors_);
    if (!settings_->empty()) out.set("settings", *settings_);
    if (function_) out.set("function", NamedFunction{name_});
    if (has("table")) out.set("table", tensor("table"));
    return out;
  }
  [[nodiscard]] const nn::Arguments& settings() const { return *settings_; }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override {
    Tensor y = (function_ ? function_(x) : x) * factors_.at(0);
    if (has("table")) y = y + tensor("table");
    return settings_->has("shift") ? y + settings_->tensor("shift") : y;
  }

 private:
  std::vector<double> factors_;
  nn::KeptArguments settings_;
  std::string name_;
  std::function<Tensor(const Tensor&)> function_;
};

/// Registers Carrier and the function that its tests name.
inline void know_carrier() {
  if (nn::is_registered(Carrier::kType)) return;
  nn::register_module(Carrier::kType, [](const nn::Arguments& a) { return std::make_shared<Carrier>(a); });
  register_function<Tensor(const Tensor&)>("test.carrier.negated", negated);
}

/// Of every kind, within a map too.
inline nn::Arguments carried() {
  using List = std::vector<std::int64_t>;
  using Reals = std::vector<double>;
  return {{"factors", Reals{2, -0.0, 1e-300, 0.1}},
          {"settings",
           nn::Arguments{{"shift", Tensor::of({10, 20})},
                         {"none", std::monostate{}},
                         {"on", true},
                         {"steps", std::int64_t{-7}},
                         {"level", 0.25},
                         {"whole", 3.0},
                         {"word", std::string("\xC3\xA9.\"x\"")},
                         {"sizes", List{1, 4}},
                         {"empty", List{}},
                         {"levels", Reals{1, 2}},
                         {"nobody", nn::Arguments{}},
                         {"deeper", nn::Arguments{{"map", nn::Arguments{{"tensor", Tensor::of(3).to(Dtype::i64)}}},
                                                  {"fn", NamedFunction{"test.carrier.negated"}}}}}},
          {"function", NamedFunction{"test.carrier.negated"}},
          {"table", Tensor::of({0.5, -0.5})}};
}

}  // namespace coppice::test
