#pragma once
/// A small module with a slot of every kind, for the tests of modules and slots.

#include <string>
#include <vector>

#include "coppice/engine/ops/elementwise.h"
#include "coppice/nn/derived.h"
#include "coppice/nn/module.h"

namespace coppice::test {

/// A module of a user's: x * factor, with a slot of every kind to play with.
class Scale final : public nn::Implements<Scale> {
 public:
  static constexpr std::string_view kType = "Scale";
  explicit Scale(double factor = 1) { register_parameter("factor", Tensor::of(factor)); }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x * tensor("factor"); }
};

/// A derived tensor: twice another one.
class TwiceOf final : public nn::Derived {
 public:
  explicit TwiceOf(std::string of) : of_(std::move(of)) {}
  [[nodiscard]] Tensor value(const nn::Module& owner) const override { return owner.tensor(of_) * 2; }
  [[nodiscard]] std::shared_ptr<Derived> clone() const override { return std::make_shared<TwiceOf>(of_); }

 private:
  std::string of_;
};

using Names = std::vector<std::string>;
template <class List>
Names names_of(const List& list) {
  Names out;
  for (const auto& entry : list) out.push_back(entry.first);
  return out;
}

/// What `call` says as it throws E; "" when it does not.
template <class E, class F>
std::string refusal(F&& call) {
  try {
    call();
  } catch (const E& e) {
    return e.what();
  }
  return {};
}
inline bool holds(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

}  // namespace coppice::test
