// One argument: equality and text.
#include <algorithm>

#include "coppice/engine/arguments.h"
#include "coppice/engine/checked.h"

namespace coppice {
namespace {

/// Exact also where an integer has more digits than a double.
bool same(std::int64_t a, double b) {
  return b >= -0x1p63 && b < 0x1p63 && static_cast<std::int64_t>(b) == a && b == static_cast<double>(a);
}

template <class T>
std::string listed(const std::vector<T>& values) {
  std::string out = "(";
  for (std::size_t i = 0; i < values.size(); ++i) out += cat(i == 0 ? "" : ", ", values[i]);
  return out + ")";
}

struct Text {
  std::string operator()(std::monostate) const { return "None"; }
  std::string operator()(bool v) const { return v ? "True" : "False"; }
  std::string operator()(std::int64_t v) const { return cat(v); }
  std::string operator()(double v) const { return cat(v); }
  std::string operator()(const std::string& v) const { return quote(v); }
  std::string operator()(const std::vector<std::int64_t>& v) const { return v.size() == 1 ? cat(v[0]) : listed(v); }
  std::string operator()(const std::vector<double>& v) const { return listed(v); }
  std::string operator()(const Tensor& v) const {
    return v.defined() ? cat("tensor(", v.dtype(), " ", v.shape(), ")") : "None";
  }
  std::string operator()(const Arguments& v) const { return to_string(v); }
  std::string operator()(const NamedFunction& v) const { return cat("function ", quote(v.name)); }
};

struct Equal {
  template <class T>
  bool operator()(const T& a, const T& b) const {
    return a == b;
  }
  bool operator()(const Tensor& a, const Tensor& b) const { return a.is(b) || (a.defined() && b.defined() && a == b); }
  bool operator()(std::int64_t a, double b) const { return same(a, b); }
  bool operator()(double a, std::int64_t b) const { return same(b, a); }
  bool operator()(const std::vector<std::int64_t>& a, const std::vector<double>& b) const {
    return std::ranges::equal(a, b, same);
  }
  bool operator()(const std::vector<double>& a, const std::vector<std::int64_t>& b) const { return (*this)(b, a); }
  template <class A, class B>
  bool operator()(const A&, const B&) const {
    return false;
  }
};

}  // namespace

bool operator==(const Argument& a, const Argument& b) {
  return std::visit(Equal(), static_cast<const ArgumentKinds&>(a), static_cast<const ArgumentKinds&>(b));
}

std::string to_string(const Argument& value) { return std::visit(Text(), static_cast<const ArgumentKinds&>(value)); }

std::string to_string(const Arguments& arguments) {
  std::string out = "{";
  for (const auto& [name, value] : arguments) out += cat(out.size() == 1 ? "" : ", ", quote(name), ": ", value);
  return out + "}";
}

}  // namespace coppice
