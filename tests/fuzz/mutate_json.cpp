#include <array>
#include <cctype>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "fuzz/mutate.h"
#include "fuzz/mutate_text.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace coppice::fuzz {
namespace {

using Random = std::minstd_rand;

std::size_t below(Random& random, std::size_t n) { return n == 0 ? 0 : random() % n; }

constexpr std::array kNumbers{"0",
                              "1",
                              "-1",
                              "2",
                              "3",
                              "4",
                              "8",
                              "16",
                              "255",
                              "65536",
                              "2147483648",
                              "4294967295",
                              "281474976710655",
                              "281474976710656",
                              "9223372036854775807",
                              "18446744073709551615",
                              "18446744073709551616",
                              "1e3",
                              "0.5",
                              "1e999",
                              "-0",
                              "null",
                              "true",
                              "[]",
                              "\"\"",
                              "{}"};

/// The piece of `text` that begins at `at` and is one value: text, array, object; empty if it does not end.
std::string_view value_at(std::string_view text, std::size_t at) {
  if (text[at] == '"') {
    for (std::size_t i = at + 1; i < text.size(); ++i) {
      if (text[i] == '\\')
        ++i;
      else if (text[i] == '"')
        return text.substr(at, i + 1 - at);
    }
    return {};
  }
  std::size_t depth = 0;
  for (std::size_t i = at; i < text.size(); ++i) {
    if (text[i] == '{' || text[i] == '[') ++depth;
    if ((text[i] == '}' || text[i] == ']') && --depth == 0) return text.substr(at, i + 1 - at);
  }
  return {};
}

std::string_view some_value(std::string_view text, Random& random) {
  for (int attempt = 0; attempt < 20 && !text.empty(); ++attempt) {
    const std::size_t at = text.find_first_of("\"[{", below(random, text.size()));
    if (at != text.npos)
      if (const auto value = value_at(text, at); !value.empty()) return value;
  }
  return {};
}

}  // namespace

std::string mutate_json_text(std::string text, unsigned seed) {
  Random random(seed + 1);
  const std::size_t way = below(random, 8);
  if (way < 2) {
    const std::size_t at = text.find_first_of("0123456789", below(random, text.size()));
    if (at != text.npos) {
      const std::size_t end = std::min(text.find_first_not_of("0123456789.-+eE", at), text.size());
      return text.replace(at, end - at, kNumbers[below(random, kNumbers.size())]);
    }
  } else if (way < 5) {
    const std::string_view value = some_value(text, random), other = some_value(text, random);
    if (!value.empty()) {
      const auto at = static_cast<std::size_t>(value.data() - text.data());
      const std::string old(value), fresh(other);
      if (way == 2) return text.replace(at, old.size(), fresh);
      if (way == 3) return text.insert(at, old + ",");
      std::size_t length = old.size();
      if (at + length < text.size() && text[at + length] == ',') ++length;
      return text.erase(at, length);
    }
  }
  return mutate_text(std::move(text), 64);
}

std::string mutate_text(std::string text, std::size_t room) {
  const std::size_t size = text.size();
  text.resize(size + room);
  text.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(text.data()), size, text.size()));
  return text;
}

std::size_t mutate_json(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  const std::string out = mutate_json_text({reinterpret_cast<const char*>(data), size}, seed);
  if (out.size() > most) return LLVMFuzzerMutate(data, size, most);
  std::memcpy(data, out.data(), out.size());
  return out.size();
}

namespace {

/// `often` of eight times the text that stands in the metadata under `key` is changed; a null key: never.
std::size_t framed(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed, const char* key = nullptr,
                   std::size_t often = 0) {
  std::uint64_t length = 0;
  if (size >= 8) std::memcpy(&length, data, 8);
  Random random(seed);
  if (size < 10 || length > size - 8 || below(random, 10) == 0) return LLVMFuzzerMutate(data, size, most);
  std::string header(reinterpret_cast<const char*>(data) + 8, length);
  std::string values(reinterpret_cast<const char*>(data) + 8 + length, size - 8 - length);
  const std::size_t part = below(random, 8);
  bool done = false;
  if (key != nullptr && part < often) {
    auto json = nlohmann::ordered_json::parse(header, nullptr, false);
    if (json.is_object() && json.contains("__metadata__") && json["__metadata__"].is_object() &&
        json["__metadata__"].contains(key) && json["__metadata__"][key].is_string()) {
      auto& text = json["__metadata__"][key];
      text = mutate_json_text(text.get<std::string>(), static_cast<unsigned>(random()));
      header = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      done = true;
    }
  }
  if (!done && part < 6)
    header = mutate_json_text(std::move(header), static_cast<unsigned>(random()));
  else if (!done)
    values = mutate_text(std::move(values), 16);
  if (8 + header.size() + values.size() > most) return LLVMFuzzerMutate(data, size, most);
  length = header.size();
  std::memcpy(data, &length, 8);
  std::memcpy(data + 8, header.data(), header.size());
  std::memcpy(data + 8 + header.size(), values.data(), values.size());
  return 8 + header.size() + values.size();
}

}  // namespace

std::size_t mutate_framed(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return framed(data, size, most, seed);
}
std::size_t mutate_model(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return framed(data, size, most, seed, "coppice.model", 5);
}
std::size_t mutate_checkpoint(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return framed(data, size, most, seed, "coppice.finetune", 1);
}
std::size_t mutate_sparse_members(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return framed(data, size, most, seed, "coppice.sparse_members", 3);
}

}  // namespace coppice::fuzz
