#pragma once
// A weight made ready for products, kept as long as the tensors that it came from. Private to the library.

#include <memory>
#include <mutex>

#include "coppice/engine/tensor.h"

namespace coppice::nn::quant {

template <class Weight>
class Prepared {
 public:
  Prepared() = default;
  /// A copy of a layer has tensors of its own and prepares for itself.
  Prepared(const Prepared&) {}
  Prepared& operator=(const Prepared&) = delete;

  /// The weight for these tensors as they are now: make() anew where one was written or another stands in its place.
  template <class Make>
  [[nodiscard]] Weight of(const Tensor& weight, const Tensor& bias, Make make) const {
    const Source now{weight, bias};
    const std::lock_guard lock(mutex_);
    if (made_ == nullptr || !(source_ == now)) {
      made_ = std::make_unique<Weight>(make());
      source_ = now;
    }
    return *made_;
  }

 private:
  struct Source {
    std::shared_ptr<Storage> weight, bias;
    std::uint64_t weight_version = 0, bias_version = 0;
    std::size_t weight_offset = 0, bias_offset = 0;
    Shape weight_shape, bias_shape;
    QParamsPtr qparams;

    Source() = default;
    Source(const Tensor& w, const Tensor& b)
        : weight(w.storage()),
          weight_version(w.version()),
          weight_offset(w.storage_offset()),
          weight_shape(w.shape()),
          qparams(w.qparams()) {
      if (!b.defined()) return;
      bias = b.storage(), bias_version = b.version();
      bias_offset = b.storage_offset(), bias_shape = b.shape();
    }
    bool operator==(const Source&) const = default;
  };
  mutable std::mutex mutex_;
  mutable Source source_;
  mutable std::unique_ptr<Weight> made_;
};

}  // namespace coppice::nn::quant
