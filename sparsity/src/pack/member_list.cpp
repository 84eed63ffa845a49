#include "pack/member_list.h"

#include <set>
#include <utility>

#include "coppice/engine/io/json.h"
#include "coppice/sparsity/pack/sparse_members.h"

namespace coppice::sparsity {
namespace {

constexpr const char* kLayout = "layout";
constexpr const char* kShapes = "shapes";

/// Layout 1: ["a", "b"]. Layout 2: {"layout": 2, "shapes": {"a": [3, 4], "b": []}}.
class MemberList final : public JsonReceiver {
 public:
  MemberList(const Source& source, const Limits& limits) : source_(source), limits_(limits) {}
  std::vector<ListedTensor> tensors;

  void check_whole() const {
    if (!has_list_) wrong();
  }

 private:
  void scalar(JsonScalar value) override {
    if (names_) {
      auto* name = std::get_if<std::string>(&value);
      if (name == nullptr || depth() != 1 || !seen_.insert(*name).second) wrong();
      return add(std::move(*name));
    }
    const auto* number = std::get_if<std::uint64_t>(&value);
    if (depth() == 1 && key_ == kLayout) {
      if (number == nullptr || *number < kOldestLayout || *number > kNewestLayout)
        source_.reject("metadata ", quote(kSparseMembersKey), " is of layout ", shown(value), "; this library reads ",
                       kOldestLayout, "..", kNewestLayout);
      layout_ = *number;
    } else if (depth() == 3 && number != nullptr) {
      auto& sizes = *tensors.back().sizes;
      if (sizes.size() == limits_.rank)
        source_.exceeded("rank", cat("the axes of ", quote(tensors.back().name)), limits_.rank, sizes.size() + 1);
      sizes.push_back(*number);
    } else {
      wrong();
    }
  }
  void key(const std::string& text) override {
    if (depth() == 2) return add(text);
    if (depth() != 1 || (text == kShapes ? layout_ != 2 : text != kLayout)) wrong();
    key_ = text;
  }
  void open(bool list) override {
    if (depth() == 0 && list) names_ = has_list_ = true;
    if (depth() == 0) return;
    if (names_ || depth() > 2 || (depth() == 1 ? list || key_ != kShapes : !list)) wrong();
    if (depth() == 1) has_list_ = true;
    if (depth() == 2) tensors.back().sizes.emplace();
  }
  void close(bool) override {}
  void twice(const std::string&) override { wrong(); }
  void malformed(std::uint64_t, const std::string&) override { wrong(); }

  void add(std::string name) {
    if (tensors.size() == limits_.tensors)
      source_.exceeded("tensors", "sparse members", limits_.tensors, tensors.size() + 1);
    tensors.push_back({std::move(name), std::nullopt});
  }
  [[noreturn]] void wrong() const {
    source_.reject("metadata ", quote(kSparseMembersKey),
                   " must be a list of names, each once, or an object with their layout and shapes");
  }

  const Source& source_;
  const Limits& limits_;
  std::set<std::string> seen_;
  std::string key_;
  std::uint64_t layout_ = 0;
  bool names_ = false, has_list_ = false;
};

}  // namespace

std::vector<ListedTensor> read_member_list(const std::string& text, const Source& source, const Limits& limits) {
  MemberList list(source, limits);
  list.read(text);
  list.check_whole();
  return std::move(list.tensors);
}

std::string member_list_text(const std::vector<ListedTensor>& tensors) {
  JsonWriter out;
  out.open_object().key(kLayout).value(kNewestLayout).key(kShapes).open_object();
  for (const ListedTensor& tensor : tensors) {
    out.key(tensor.name).open_list();
    for (const std::uint64_t size : *tensor.sizes) out.value(size);
    out.close_list();
  }
  return out.close_object().close_object().text();
}

}  // namespace coppice::sparsity
