#include "coppice/sparsity/pack/sparse_members.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/io/budget.h"
#include "coppice/engine/io/json.h"
#include "pack/zero_bits.h"

namespace coppice::sparsity {
namespace {

constexpr const char* kShape = ".shape";
constexpr const char* kBitmask = ".bitmask";
constexpr const char* kCompressed = ".compressed";
constexpr const char* kSigns = ".signs";

/// Metadata under the name of a tensor that is not in a file notes a tie.
bool names_are_free(const NamedTensors& tensors, const std::string& name) {
  return !tensors.metadata().contains(name) &&
         std::ranges::none_of(std::initializer_list{kShape, kBitmask, kCompressed, kSigns},
                              [&](const char* member) { return tensors.contains(name + member); });
}

/// The members of one tensor, if they are smaller than it.
/// @param name_bytes  of its name
NamedTensors members_of(const Tensor& t, StoredTensor& row, std::size_t name_bytes) {
  const std::int64_t n = t.numel();
  const ZeroCounts counts = count_zeros(t);
  row.zeros = counts.zeros;
  const auto size = static_cast<std::int64_t>(itemsize(t.dtype()));
  const std::int64_t stored = counts.constant ? 1 : n - counts.zeros;
  const std::int64_t signs = counts.negative > 0 ? bytes_for(counts.zeros) : 0;
  const std::int64_t bytes = 8 * t.dim() + bytes_for(n) + stored * size + signs;
  NamedTensors out;
  // What the header says of a member, about: a file must not become larger.
  const auto entry = static_cast<std::int64_t>(name_bytes) + 80;
  if (n == 0 || bytes + (signs > 0 ? 4 : 3) * entry >= n * size) return out;
  row.bytes = static_cast<std::uint64_t>(bytes);
  row.sparse = true;
  const Shape& shape = t.shape();
  out.add(kShape, Tensor::from(std::vector<std::int64_t>(shape.begin(), shape.end()), {t.dim()}));
  Tensor mask = Tensor::empty({bytes_for(n)}, Dtype::u8), values = Tensor::empty({stored}, t.dtype());
  Tensor minus = Tensor::empty({signs}, Dtype::u8);
  split_zeros(t, mask, values, minus);
  out.add(kBitmask, std::move(mask));
  out.add(kCompressed, std::move(values));
  if (signs > 0) out.add(kSigns, std::move(minus));
  return out;
}

/// One tensor out of its members.
class Member {
 public:
  Member(const NamedTensors& all, const std::string& name, const Source& source, const Limits& limits)
      : source_(source),
        name_(name),
        mask_(find(all, kBitmask, Dtype::u8)),
        values_(find(all, kCompressed, std::nullopt)) {
    const Tensor axes = find(all, kShape, Dtype::i64);
    if (static_cast<std::uint64_t>(axes.numel()) > limits.rank)
      source_.exceeded("rank", cat("the axes of ", quote(name)), limits.rank, static_cast<std::uint64_t>(axes.numel()));
    std::vector<std::uint64_t> sizes;
    for (const std::int64_t axis : axes.data<std::int64_t>()) {
      if (axis < 0) source_.reject(quote(name + kShape), " must hold sizes; got ", axis);
      sizes.push_back(static_cast<std::uint64_t>(axis));
    }
    const auto bytes = checked_volume(sizes, itemsize(values_.dtype()));
    if (!bytes) source_.reject(quote(name + kShape), " overflows");
    bytes_ = *bytes;
    shape_ = Shape(axes.data<std::int64_t>());
    if (mask_.numel() != bytes_for(shape_.numel()))
      source_.reject(quote(name + kBitmask), " must have ", bytes_for(shape_.numel()), " bytes for shape ", shape_,
                     "; got ", mask_.numel());
    check_spare(mask_, shape_.numel(), kBitmask);
    const std::int64_t kept = count_bits(mask_), zeros = shape_.numel() - kept;
    if (values_.numel() != kept && (values_.numel() != 1 || kept == 0))
      source_.reject(quote(name + kCompressed), " must have ", kept, " elements, or 1; got ", values_.numel());
    if (!all.contains(name + kSigns)) return;
    signs_ = find(all, kSigns, Dtype::u8);
    if (!is_floating(values_.dtype())) source_.reject(quote(name + kSigns), " for ", values_.dtype());
    if (signs_.numel() != bytes_for(zeros))
      source_.reject(quote(name + kSigns), " must have ", bytes_for(zeros), " bytes for ", zeros, " zeros; got ",
                     signs_.numel());
    check_spare(signs_, zeros, kSigns);
  }

  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] Dtype dtype() const { return values_.dtype(); }
  /// Where its members stand: the same for tied tensors.
  [[nodiscard]] std::array<const std::byte*, 3> place() const {
    return {mask_.bytes(), values_.bytes(), signs_.defined() ? signs_.bytes() : nullptr};
  }
  /// Bytes of the tensor.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] Tensor expanded() const {
    Tensor out = Tensor::empty(shape_, values_.dtype());
    join_zeros(mask_, values_, signs_, out);
    return out;
  }

 private:
  [[nodiscard]] Tensor find(const NamedTensors& all, const char* member, std::optional<Dtype> dtype) const {
    const Tensor* found = all.find(name_ + member);
    if (found == nullptr) source_.reject("has no ", quote(name_ + member));
    if (found->dim() != 1 || (dtype && found->dtype() != *dtype))
      source_.reject(quote(name_ + member), " must be a list", dtype ? cat(" of ", *dtype) : "", "; got ",
                     found->dtype(), " ", found->shape());
    return *found;
  }
  void check_spare(const Tensor& bits, std::int64_t used, const char* member) const {
    if (used % 8 == 0) return;
    const auto last = bits.data<std::uint8_t>().back();
    if (last >> (used % 8) != 0) source_.reject(quote(name_ + member), " has bits behind its last");
  }

  const Source& source_;
  std::string name_;
  Tensor mask_, values_, signs_;
  Shape shape_;
  std::uint64_t bytes_ = 0;
};

/// A JSON list of texts, each once.
class NameList final : public JsonReceiver {
 public:
  explicit NameList(const Source& source) : source_(source) {}
  std::vector<std::string> names;

 private:
  void scalar(JsonScalar value) override {
    auto* name = std::get_if<std::string>(&value);
    if (name == nullptr || depth() != 1 || !seen_.insert(*name).second) wrong();
    names.push_back(std::move(*name));
  }
  void key(const std::string&) override { wrong(); }
  void open(bool list) override {
    if (!list || depth() != 0) wrong();
  }
  void close(bool) override {}
  void twice(const std::string&) override { wrong(); }
  void malformed(std::uint64_t, const std::string&) override { wrong(); }
  [[noreturn]] void wrong() const {
    source_.reject("metadata ", quote(kSparseMembersKey), " must be a list of names, each once");
  }

  const Source& source_;
  std::set<std::string> seen_;
};

/// The names that the metadata lists. @throws FormatError  unless it is a list of texts, each once
std::vector<std::string> listed(const NamedTensors& tensors, const Source& source) {
  NameList list(source);
  list.read(tensors.metadata().at(kSparseMembersKey));
  return std::move(list.names);
}

}  // namespace

bool is_compact(const NamedTensors& tensors) { return tensors.metadata().contains(kSparseMembersKey); }

NamedTensors compact(const NamedTensors& tensors, std::vector<StoredTensor>* rows) {
  if (is_compact(tensors)) throw ValueError("[compact] the tensors are stored as sparse members already");
  NamedTensors out;
  JsonWriter names;
  bool any = false;
  names.open_list();
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
    if (is_utf8(name) && names_are_free(tensors, name)) {
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
    if (members.empty())
      out.add(name, tensor);
    else
      out.add_all(name, members), names.value(name), any = true;
    if (rows != nullptr) rows->push_back(std::move(row));
  }
  out.metadata() = tensors.metadata();
  if (any) out.metadata().emplace(kSparseMembersKey, names.close_list().text());
  out.skipped() = tensors.skipped();
  return out;
}

NamedTensors expand(const NamedTensors& tensors, const std::string& file, const Limits& limits) {
  NamedTensors out;
  out.skipped() = tensors.skipped();
  out.metadata() = tensors.metadata();
  out.compared() = tensors.compared();
  const Source source{"expand", file};
  std::map<std::string, std::string, std::less<>> by_member;  // which tensor a member belongs to
  if (is_compact(tensors)) {
    MemoryBudget budget(source, limits, tensors.nbytes());
    for (const std::string& name : listed(tensors, source)) {
      if (tensors.contains(name)) source.reject("holds ", quote(name), " beside its members");
      budget.take(Member(tensors, name, source, limits).bytes(), cat("tensor ", quote(name)));
      for (const char* member : {kShape, kBitmask, kCompressed, kSigns})
        if (!by_member.emplace(name + member, name).second)
          source.reject(quote(name + member), " belongs to two tensors");
    }
  }
  std::map<std::array<const std::byte*, 3>, Tensor> done;  // of tied tensors
  const auto expanded = [&](const std::string& name) {
    const Member member(tensors, name, source, limits);
    Tensor& known = done[member.place()];
    if (!known.defined() || known.shape() != member.shape() || known.dtype() != member.dtype())
      known = member.expanded();
    return known;
  };
  for (const auto& [member, tensor] : tensors) {
    const auto owner = by_member.find(member);
    if (owner == by_member.end())
      out.add(member, tensor);
    else if (!out.contains(owner->second))
      out.add(owner->second, expanded(owner->second));
  }
  out.metadata().erase(kSparseMembersKey);
  return out;
}

}  // namespace coppice::sparsity
