#include "coppice/nn/pooling.h"

namespace coppice::nn {
namespace {

Pair pair_of(std::string_view type, const char* name, const std::vector<std::int64_t>& list) {
  if (list.size() == 1) return {list[0], list[0]};
  if (list.size() != 2) throw ValueError(cat("[", type, "] ", name, " needs 1 or 2 numbers; got ", list.size()));
  return {list[0], list[1]};
}

std::vector<std::int64_t> list_of(Pair p) { return {p[0], p[1]}; }

PoolOptions common(std::string_view type, const Arguments& a) {
  PoolOptions o;
  o.kernel = pair_of(type, "kernel_size", a.integers("kernel_size"));
  if (a.has("stride")) o.stride = pair_of(type, "stride", a.integers("stride"));
  o.padding = pair_of(type, "padding", a.integers("padding", {0}));
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
  options_.dilation = pair_of(kType, "dilation", a.integers("dilation", {1}));
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
    : output_(pair_of(kType, "output_size", a.integers("output_size"))) {}

}  // namespace coppice::nn
