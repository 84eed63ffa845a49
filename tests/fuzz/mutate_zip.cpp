#include <libdeflate.h>

#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "fuzz/mutate.h"
#include "fuzz/mutate_text.h"
#include "hostile/build.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace coppice::fuzz {
namespace {

using test::le;
using test::Member;

std::uint64_t number(std::string_view bytes, std::size_t at, std::size_t width) {
  std::uint64_t out = 0;
  for (std::size_t i = width; i-- > 0;) out = out << 8 | static_cast<unsigned char>(bytes[at + i]);
  return out;
}

std::optional<std::string> inflated(std::string_view data, std::uint64_t bytes) {
  if (bytes > 1u << 20) return std::nullopt;
  const std::unique_ptr<libdeflate_decompressor, void (*)(libdeflate_decompressor*)> work(
      ::libdeflate_alloc_decompressor(), &::libdeflate_free_decompressor);
  std::string out(bytes + 1, '\0');
  std::size_t made = 0;
  if (work == nullptr || ::libdeflate_deflate_decompress(work.get(), data.data(), data.size(), out.data(), out.size(),
                                                         &made) != LIBDEFLATE_SUCCESS)
    return std::nullopt;
  out.resize(made);
  return out;
}

/// The members as the directory lists them, unpacked; nothing for an archive that is not whole.
std::optional<std::vector<Member>> members_of(std::string_view zip) {
  const std::size_t end = zip.rfind("PK\5\6");
  if (end == zip.npos || zip.size() - end < 22) return std::nullopt;
  std::vector<Member> out;
  std::size_t at = number(zip, end + 16, 4);
  for (std::uint64_t i = 0; i < number(zip, end + 10, 2) && i < 1000; ++i) {
    if (at > zip.size() || zip.size() - at < 46 || zip.substr(at, 4) != "PK\1\2") return std::nullopt;
    const std::uint64_t method = number(zip, at + 10, 2), stored = number(zip, at + 20, 4),
                        bytes = number(zip, at + 24, 4), name = number(zip, at + 28, 2),
                        rest = number(zip, at + 30, 2) + number(zip, at + 32, 2), local = number(zip, at + 42, 4);
    if (zip.size() - at - 46 < name + rest || local > zip.size() || zip.size() - local < 30) return std::nullopt;
    const std::size_t data = local + 30 + number(zip, local + 26, 2) + number(zip, local + 28, 2);
    if (data > zip.size() || stored > zip.size() - data) return std::nullopt;
    Member member{std::string(zip.substr(at + 46, name)), std::string(zip.substr(data, stored))};
    if (method == 8) {
      auto unpacked = inflated(member.data, bytes);
      if (!unpacked) return std::nullopt;
      member.data = std::move(*unpacked);
      member.method = 8;
    }
    out.push_back(std::move(member));
    at += 46 + name + rest;
  }
  return out;
}

/// A number in a pickle becomes another one, or a piece is copied elsewhere: libFuzzer's own ways change lengths.
std::string mutate_pickle(std::string bytes, std::minstd_rand& random) {
  if (bytes.size() < 4 || random() % 3 != 0) return mutate_text(std::move(bytes), 64);
  const std::size_t from = random() % bytes.size(), to = random() % bytes.size();
  const std::size_t length = 1 + random() % std::min<std::size_t>(40, bytes.size() - from);
  const std::string piece = bytes.substr(from, length);
  if (random() % 2 == 0) return bytes.insert(to, piece);
  return bytes.replace(to, std::min(length, bytes.size() - to), piece);
}

}  // namespace

std::size_t mutate_zip(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  std::minstd_rand random(seed + 1);
  auto members = random() % 6 == 0 ? std::nullopt : members_of({reinterpret_cast<const char*>(data), size});
  if (!members || members->empty()) return LLVMFuzzerMutate(data, size, most);
  std::size_t chosen = random() % members->size();
  // The pickle is where the rules are.
  for (std::size_t i = 0; i < members->size() && random() % 4 != 0; ++i)
    if ((*members)[i].name.ends_with(".pkl")) chosen = i;
  Member& member = (*members)[chosen];
  switch (random() % 12) {
    case 0: member.name = mutate_text(std::move(member.name), 8); break;
    case 1: members->push_back(member); break;
    case 2: members->erase(members->begin() + static_cast<std::ptrdiff_t>(chosen)); break;
    case 3: member.method = member.method == 0 ? 8 : 0; break;
    default: member.data = mutate_pickle(std::move(member.data), random);
  }
  for (Member& m : *members) {
    if (m.method != 8) continue;
    m.size = m.data.size();
    m.unpacked = m.data;
    m.data = test::deflated(m.data);
  }
  const std::string out = test::make_zip(*members);
  if (out.size() > most) return LLVMFuzzerMutate(data, size, most);
  std::memcpy(data, out.data(), out.size());
  return out.size();
}

}  // namespace coppice::fuzz
