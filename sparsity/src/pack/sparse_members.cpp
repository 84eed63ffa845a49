#include "coppice/sparsity/pack/sparse_members.h"

#include <algorithm>
#include <array>
#include <map>

#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/io/budget.h"
#include "pack/member_list.h"
#include "pack/sparse_member.h"
#include "pack/zero_bits.h"

namespace coppice::sparsity {
namespace {

/// Metadata under the name of a tensor that is not in a file notes a tie.
bool names_are_free(const NamedTensors& tensors, const std::string& name) {
  return !tensors.metadata().contains(name) && !tensors.contains(name + kPlaces) &&
         !tensors.contains(name + kCompressed);
}

/// A bit for each byte of the bitmask, and the bytes that are not 0.
std::vector<std::uint8_t> shortened(std::span<const std::uint8_t> bitmask) {
  std::vector<std::uint8_t> out((bitmask.size() + 7) / 8);
  for (std::size_t i = 0; i < bitmask.size(); ++i) {
    if (bitmask[i] == 0) continue;
    out[i / 8] = static_cast<std::uint8_t>(out[i / 8] | 1U << (i % 8));
    out.push_back(bitmask[i]);
  }
  return out;
}

/// The shorter way to write where zeros are.
Tensor places_of(std::span<const std::uint8_t> bitmask, std::span<const std::uint8_t> signs) {
  std::vector<std::uint8_t> bits = shortened(bitmask);
  const bool is_short = bits.size() < bitmask.size();
  if (!is_short) bits.assign(bitmask.begin(), bitmask.end());
  bits.insert(bits.begin(), static_cast<std::uint8_t>((is_short ? kShortBits : 0) | (signs.empty() ? 0 : kHasSigns)));
  bits.insert(bits.end(), signs.begin(), signs.end());
  return Tensor::from(bits, {static_cast<std::int64_t>(bits.size())});
}

/// The members of one tensor, if they are smaller than it.
/// @param name_bytes  of its name
NamedTensors members_of(const Tensor& t, StoredTensor& row, std::size_t name_bytes) {
  if (t.is_quantized()) return {};  // its zeros are a number of its own
  const std::int64_t n = t.numel();
  const ZeroCounts counts = count_zeros(t);
  row.zeros = counts.zeros;
  const std::uint64_t size = itemsize(t.dtype());
  const std::int64_t stored = counts.constant ? 1 : n - counts.zeros;
  const std::int64_t signs = counts.negative > 0 ? bytes_for(counts.zeros) : 0;
  NamedTensors out;
  const std::int64_t least = n / 64 + signs;  // of the places
  if (n == 0 || static_cast<std::uint64_t>(stored) * size + static_cast<std::uint64_t>(least) >= t.nbytes()) return out;
  Tensor mask = Tensor::empty({bytes_for(n)}, Dtype::u8), values = Tensor::empty({stored}, t.dtype());
  Tensor minus = Tensor::empty({signs}, Dtype::u8);
  split_zeros(t, mask, values, minus);
  Tensor places = places_of(mask.data<std::uint8_t>(), minus.data<std::uint8_t>());
  const std::uint64_t bytes = places.nbytes() + values.nbytes();
  // What the header says of a member, about, and the list of the shape: a file must not become larger.
  if (bytes + 2 * (name_bytes + 80) + 8 * t.shape().rank() >= t.nbytes()) return out;
  row.bytes = bytes;
  row.sparse = true;
  out.add(kPlaces, std::move(places));
  out.add(kCompressed, std::move(values));
  return out;
}

}  // namespace

bool is_compact(const NamedTensors& tensors) { return tensors.metadata().contains(kSparseMembersKey); }

NamedTensors compact(const NamedTensors& tensors, std::vector<StoredTensor>* rows) {
  if (is_compact(tensors)) throw ValueError("[compact] the tensors are stored as sparse members already");
  NamedTensors out;
  std::vector<ListedTensor> list;
  struct Stored {
    Tensor tensor;
    StoredTensor row;
    NamedTensors members;
  };
  std::map<const std::byte*, std::vector<Stored>> done;  // tied tensors share their members
  for (const auto& [name, tensor] : tensors) {
    StoredTensor row{.name = name, .elements = tensor.numel(), .bytes_before = tensor.nbytes()};
    row.bytes = row.bytes_before;
    NamedTensors members;
    if (!tensor.is_quantized() && is_utf8(name) && names_are_free(tensors, name)) {
      auto& there = done[tensor.bytes()];
      const auto tied = std::ranges::find_if(there, [&t = tensor](const Stored& one) {
        return one.tensor.shape() == t.shape() && one.tensor.dtype() == t.dtype();
      });
      if (tied != there.end()) {
        row = tied->row, members = tied->members;
        row.name = name;
      } else {
        members = members_of(tensor, row, name.size());
        there.push_back({tensor, row, members});
      }
    }
    if (members.empty()) {
      out.add(name, tensor);
    } else {
      out.add_all(name, members);
      list.push_back({name, std::vector<std::uint64_t>(tensor.shape().begin(), tensor.shape().end())});
    }
    if (rows != nullptr) rows->push_back(std::move(row));
  }
  out.metadata() = tensors.metadata();
  if (!list.empty()) out.metadata().emplace(kSparseMembersKey, member_list_text(list));
  out.skipped() = tensors.skipped();
  return out;
}

NamedTensors expand(const NamedTensors& tensors, const std::string& file, const Limits& limits) {
  NamedTensors out;
  out.skipped() = tensors.skipped();
  out.metadata() = tensors.metadata();
  out.compared() = tensors.compared();
  const Source source{"expand", file};
  std::map<std::string, const ListedTensor*, std::less<>> by_member;  // which tensor a member belongs to
  std::vector<ListedTensor> list;
  if (is_compact(tensors)) {
    MemoryBudget budget(source, limits, tensors.nbytes());
    list = read_member_list(tensors.metadata().at(kSparseMembersKey), source, limits);
    for (const ListedTensor& listed : list) {
      if (tensors.contains(listed.name)) source.reject("holds ", quote(listed.name), " beside its members");
      const SparseMember member(tensors, listed, source, limits);
      budget.take(member.bytes(), cat("tensor ", quote(listed.name)));
      for (const std::string& name : member.names())
        if (!by_member.emplace(name, &listed).second) source.reject(quote(name), " belongs to two tensors");
    }
  }
  std::map<std::array<const void*, 3>, Tensor> done;  // of tied tensors
  const auto expanded = [&](const ListedTensor& listed) {
    const SparseMember member(tensors, listed, source, limits);
    Tensor& known = done[member.place()];
    if (!known.defined() || known.shape() != member.shape() || known.dtype() != member.dtype())
      known = member.expanded();
    return known;
  };
  for (const auto& [member, tensor] : tensors) {
    const auto owner = by_member.find(member);
    if (owner == by_member.end())
      out.add(member, tensor);
    else if (!out.contains(owner->second->name))
      out.add(owner->second->name, expanded(*owner->second));
  }
  out.metadata().erase(kSparseMembersKey);
  return out;
}

}  // namespace coppice::sparsity
