#pragma once
/// Pieces of pickles and of the archives that torch.save writes.

#include <cstdint>
#include <string>
#include <vector>

#include "hostile/build.h"

namespace coppice::test::pickle {

inline std::string text(const std::string& s) { return "X" + le(s.size(), 4) + s; }
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string num(std::uint64_t n) { return "\x8A\x08" + le(n, 8); }
inline std::string tuple(const std::vector<std::string>& items) {
  std::string out = "(";
  for (const std::string& item : items) out += item;
  return out + "t";
}
inline const std::string kHooks = global("collections", "OrderedDict") + ")R";
inline const std::string kFalse = "\x89";
inline const std::string kTrue = "\x88";

inline std::string storage(std::uint64_t numel, const std::string& type = "FloatStorage",
                           const std::string& key = "0") {
  return tuple({text("storage"), global("torch", type), text(key), text("cpu"), num(numel)}) + "Q";
}
inline std::string rebuilt(const std::vector<std::string>& args) {
  return global("torch._utils", "_rebuild_tensor_v2") + tuple(args) + "R";
}
/// A tensor over storage "0" of four floats.
inline std::string tensor(const std::string& offset, const std::string& sizes, const std::string& strides,
                          const std::string& held = storage(4)) {
  return rebuilt({held, offset, sizes, strides, kFalse, kHooks});
}
inline const std::string kGood = tensor(num(0), tuple({num(4)}), tuple({num(1)}));
/// {"w": value}
inline std::string dict(const std::string& value) { return "}" + text("w") + value + "s"; }
inline std::string raw_pt(const std::string& pickle, const std::string& data = std::string(16, '\0')) {
  return make_zip({{"m/data.pkl", pickle}, {"m/data/0", data}, {"m/version", "3\n"}});
}
inline std::string pt(const std::string& body, const std::string& data = std::string(16, '\0')) {
  return raw_pt("\x80\2" + body + ".", data);
}

}  // namespace coppice::test::pickle
