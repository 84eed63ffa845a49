#pragma once
/// Steps of a selection over spans of float32 scores or of their keys, one table per instruction-set level.
/// select/keys.h says what keys are.

#include <cstdint>

namespace coppice::kernels {

struct SelectKernels {
  void (*keys_f32)(const float* x, std::uint32_t* keys, std::int64_t n, bool magnitude);
  std::int64_t (*count_equal)(const std::uint32_t* keys, std::int64_t n, std::uint32_t key);
  /// Copies keys in low .. low + width to `out` (room for n more), returns how many; adds those below to `below`.
  std::int64_t (*bracket)(const std::uint32_t* keys, std::int64_t n, std::uint32_t low, std::uint32_t width,
                          std::uint32_t* out, std::int64_t* below);
  /// `one` where first_kept <= key != none, else 0.
  void (*mask_words)(const std::uint32_t* keys, std::int64_t n, std::uint32_t first_kept, std::uint32_t none,
                     std::uint32_t one, std::uint32_t* out);
  /// 1 where first_kept <= key, else 0.
  void (*keep_bytes)(const std::uint32_t* keys, std::int64_t n, std::uint32_t first_kept, std::uint8_t* out);
  /// bracket(), with the places of what it copies, counted from `place`, in `at` (room for n more), and keep_bytes() of
  /// what is not below.
  std::int64_t (*split)(const std::uint32_t* keys, std::int64_t n, std::uint32_t low, std::uint32_t width,
                        std::uint32_t place, std::uint32_t* out, std::uint32_t* at, std::uint8_t* keep,
                        std::int64_t* below);
  /// bracket() of the keys of magnitudes, which are not stored.
  std::int64_t (*bracket_f32)(const float* x, std::int64_t n, std::uint32_t low, std::uint32_t width,
                              std::uint32_t* out, std::int64_t* below);
  /// mask_words() of the keys of magnitudes; returns how many are equal to `key`, which is no NaN's.
  std::int64_t (*mask_f32)(const float* x, std::int64_t n, std::uint32_t first_kept, std::uint32_t key,
                           std::uint32_t one, std::uint32_t* out);
};

}  // namespace coppice::kernels
