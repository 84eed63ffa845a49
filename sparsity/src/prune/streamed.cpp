#include "coppice/sparsity/prune/streamed.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "coppice/engine/create.h"
#include "coppice/engine/error.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/engine/score_stream.h"
#include "coppice/nn/bits.h"

namespace coppice::sparsity::prune {
namespace {

constexpr std::uint64_t kAround = 64 * 1024;  // bytes that the system maps at a time

/// Sets bits first .. first + n to what `keep` says, a byte each; others may write other bits of the same byte.
void write_bits(std::uint8_t* bits, std::int64_t first, std::int64_t n, const std::uint8_t* keep) {
  while (n > 0) {
    if (first % 8 == 0 && n >= 8) {
      bits[first / 8] = nn::byte_of_flags(keep);
      first += 8, keep += 8, n -= 8;
      continue;
    }
    const std::int64_t count = std::min(n, 8 - first % 8);
    unsigned those = 0, set = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      those |= 1u << (first % 8 + i);
      set |= static_cast<unsigned>(keep[i]) << (first % 8 + i);
    }
    const std::atomic_ref<std::uint8_t> shared(bits[first / 8]);
    shared.fetch_and(static_cast<std::uint8_t>(~those | set));
    shared.fetch_or(static_cast<std::uint8_t>(set));
    first += count, keep += count, n -= count;
  }
}

/// The values of all tensors, one behind the other, and their masks.
class Values final : public ScoreStream {
 public:
  Values(const TensorList& tensors, TensorList& masks, std::uint64_t window) : window_(window) {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const Tensor& t = tensors[i];
      if (itemsize(t.dtype()) > sizeof(float) || !is_floating(t.dtype()))
        throw DtypeError(cat("[global_l1_bits] needs float32, float16 or bfloat16; got ", t.dtype()));
      parts_.push_back({t, masks[i].mutable_data<std::uint8_t>().data(), size_});
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
      write_bits(part->mask, first - part->begin, count, keep);
      keep += count, first += count, n -= count;
    }
  }

 private:
  struct Part {
    Tensor values;
    std::uint8_t* mask;
    std::int64_t begin;
    [[nodiscard]] std::int64_t end() const { return begin + values.numel(); }
  };

  /// Behind empty parts that begin there too.
  [[nodiscard]] const Part* part_of(std::int64_t at) const {
    return &*(std::ranges::upper_bound(parts_, at, {}, &Part::begin) - 1);
  }

  void forget_sometimes(std::int64_t n) const {
    // A few of them bring what stands around them into memory too.
    const std::uint64_t bytes = std::max(static_cast<std::uint64_t>(n) * sizeof(float), n <= 64 ? kAround : 0);
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

TensorList global_l1_bits(const TensorList& tensors, const Amount& amount, std::uint64_t window) {
  TensorList masks;
  for (const Tensor& t : tensors) masks.push_back(zeros({(t.numel() + 7) / 8}, Dtype::u8));
  Values values(tensors, masks, std::max<std::uint64_t>(1, window));
  const std::int64_t count = amount.of(values.size());
  if (values.size() > 0) (void)select_once(values, count, true);
  for (const Tensor& t : tensors) forget_pages({t.bytes(), t.nbytes()});
  return masks;
}

}  // namespace coppice::sparsity::prune
