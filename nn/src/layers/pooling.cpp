#include "coppice/nn/layers/pooling.h"

namespace coppice::nn {
namespace {

Pair pair_of(std::string_view type, const char* name, const std::vector<std::int64_t>& list) {
  if (list.size() == 1) return {list[0], list[0]};
  if (list.size() != 2) throw ValueError(cat("[", type, "] ", name, " needs 1 or 2 numbers; got ", list.size()));
  return {list[0], list[1]};
}

/// What the operation takes at all; what fits an input is seen when there is one.
Pair bounded(std::string_view type, const char* name, const std::vector<std::int64_t>& list, std::int64_t least) {
  const Pair pair = pair_of(type, name, list);
  for (const std::int64_t v : pair)
    if (v < least || v > INT32_MAX)
      throw ValueError(cat("[", type, "] ", name, " must be in ", least, "..", INT32_MAX, "; got ", v));
  return pair;
}

std::vector<std::int64_t> list_of(Pair p) { return {p[0], p[1]}; }

PoolOptions common(std::string_view type, const Arguments& a) {
  PoolOptions o;
  o.kernel = bounded(type, "kernel_size", a.integers("kernel_size"), 1);
  if (a.has("stride")) o.stride = bounded(type, "stride", a.integers("stride"), 1);
  o.padding = bounded(type, "padding", a.integers("padding", {0}), 0);
  o.ceil_mode = a.boolean("ceil_mode", false);
  return o;
}

Arguments common(const PoolOptions& o) {
  return {{"kernel_size", list_of(o.kernel)},
          {"stride", list_of(o.stride.value_or(o.kernel))},
          {"padding", list_of(o.padding)},
          {"ceil_mode", o.ceil_mode}};
}

}  // namespace

MaxPool2d::MaxPool2d(const Arguments& a) : options_(common(kType, a)) {
  options_.dilation = bounded(kType, "dilation", a.integers("dilation", {1}), 1);
}

Arguments MaxPool2d::arguments() const {
  Arguments a = common(options_);
  a.set("dilation", list_of(options_.dilation));
  return a;
}

AvgPool2d::AvgPool2d(const Arguments& a) : options_(common(kType, a)) {
  options_.count_include_pad = a.boolean("count_include_pad", true);
  if (a.has("divisor_override")) options_.divisor_override = a.integer("divisor_override");
}

Arguments AvgPool2d::arguments() const {
  Arguments a = common(options_);
  a.set("count_include_pad", options_.count_include_pad);
  if (options_.divisor_override) a.set("divisor_override", *options_.divisor_override);
  return a;
}

AdaptiveAvgPool2d::AdaptiveAvgPool2d(const Arguments& a)
    : output_(bounded(kType, "output_size", a.integers("output_size"), 0)) {}

}  // namespace coppice::nn
