#include "coppice/engine/norm_order.h"

#include <charconv>
#include <cmath>

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"

namespace coppice {

NormOrder NormOrder::parse(std::string_view text) {
  if (text == "fro") return Word::fro;
  if (text == "nuc") return Word::nuc;
  double p = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, p);  // takes inf, -inf and nan as well
  if (error != std::errc() || at != end)
    throw ValueError(cat("[NormOrder] must be a number, inf, -inf, fro or nuc; got ", quote(text)));
  return p;
}

std::string to_string(const NormOrder& order) {
  switch (order.word) {
    case NormOrder::Word::fro: return "fro";
    case NormOrder::Word::nuc: return "nuc";
    case NormOrder::Word::none: break;
  }
  if (std::isnan(order.p)) return "nan";  // without a sign
  return cat(order.p);
}

}  // namespace coppice
