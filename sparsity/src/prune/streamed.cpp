#include "coppice/sparsity/prune/streamed.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "coppice/engine/error.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/engine/score_stream.h"

namespace coppice::sparsity::prune {
namespace {

/// The values of all tensors, one behind the other, and their masks.
class Values final : public ScoreStream {
 public:
  Values(const TensorList& tensors, TensorList& masks, std::uint64_t window) : window_(window) {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const Tensor& t = tensors[i];
      if (itemsize(t.dtype()) > sizeof(float) || !is_floating(t.dtype()))
        throw DtypeError(cat("[global_l1_masks] needs float32, float16 or bfloat16; got ", t.dtype()));
      parts_.push_back({t, masks[i].mutable_data<bool>().data(), size_});
      size_ += t.numel();
    }
  }
  [[nodiscard]] std::int64_t size() const override { return size_; }

  const float* read(std::int64_t first, std::int64_t n, float* buffer) const override {
    forget_sometimes(n);
    const Part* part = part_of(first);
    if (part->values.dtype() == Dtype::f32 && first + n <= part->end())
      return part->values.data<float>().data() + (first - part->begin);
    for (float* to = buffer; n > 0; ++part) {
      const std::int64_t count = std::min(n, part->end() - first), at = first - part->begin;
      dispatch(part->values.dtype(), [&]<class T>() {
        const T* const from = part->values.data<T>().data() + at;
        for (std::int64_t i = 0; i < count; ++i) to[i] = convert<float>(from[i]);
      });
      to += count, first += count, n -= count;
    }
    return buffer;
  }

  void write(std::int64_t first, std::int64_t n, const std::uint8_t* keep) override {
    for (const Part* part = part_of(first); n > 0; ++part) {
      const std::int64_t count = std::min(n, part->end() - first);
      std::memcpy(part->mask + (first - part->begin), keep, static_cast<std::size_t>(count));
      keep += count, first += count, n -= count;
    }
  }

 private:
  struct Part {
    Tensor values;
    bool* mask;
    std::int64_t begin;
    [[nodiscard]] std::int64_t end() const { return begin + values.numel(); }
  };

  /// Behind empty parts that begin there too.
  [[nodiscard]] const Part* part_of(std::int64_t at) const {
    return &*(std::ranges::upper_bound(parts_, at, {}, &Part::begin) - 1);
  }

  void forget_sometimes(std::int64_t n) const {
    const auto bytes = static_cast<std::uint64_t>(n) * sizeof(float);
    const std::uint64_t before = read_.fetch_add(bytes);
    if (before / window_ == (before + bytes) / window_) return;
    for (const Part& part : parts_) forget_pages({part.values.bytes(), part.values.nbytes()});
  }

  std::vector<Part> parts_;
  std::int64_t size_ = 0;
  std::uint64_t window_;
  mutable std::atomic<std::uint64_t> read_{0};
};

}  // namespace

TensorList global_l1_masks(const TensorList& tensors, const Amount& amount, std::uint64_t window) {
  TensorList masks;
  for (const Tensor& t : tensors) masks.push_back(Tensor::empty(t.shape(), Dtype::boolean));
  Values values(tensors, masks, std::max<std::uint64_t>(1, window));
  const std::int64_t count = amount.of(values.size());
  if (values.size() > 0) (void)select_once(values, count, true);
  for (const Tensor& t : tensors) forget_pages({t.bytes(), t.nbytes()});
  return masks;
}

}  // namespace coppice::sparsity::prune
