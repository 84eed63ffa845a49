#include "quant/int8_conv.h"

#include <algorithm>
#include <cstring>

#include "coppice/engine/parallel.h"
#include "quant/int8_tasks.h"

// Images become [height][width][channels] with their padding, channels in whole fours. A row of the product is then a
// few runs of neighbouring bytes, so that writing it down costs little beside the product.

namespace coppice::quant {
namespace {

using kernels::Int8Kernels;

constexpr std::int64_t kTaskPixels = 256;

/// Of one group: channels in and out, and the padded image.
struct GroupShape {
  std::int64_t in, out, fours, height, width, taps;

  explicit GroupShape(const ConvShape& s)
      : in(s.in_channels / s.groups),
        out(s.out_channels / s.groups),
        fours(row_stride(in)),
        height(s.input[0] + 2 * s.padding[0]),
        width(s.input[1] + 2 * s.padding[1]),
        taps(s.kernel[0] * s.kernel[1]) {}
  [[nodiscard]] std::int64_t bytes() const { return height * width * fours; }
};

/// Place in the input of place `at` of the padded image; -1 in padding of zeros.
std::int64_t source(std::int64_t at, std::int64_t size, std::int64_t padding, Padding mode) {
  const std::int64_t i = at - padding;
  if (i >= 0 && i < size) return i;
  if (mode == Padding::zeros) return -1;
  return i < 0 ? -i : 2 * (size - 1) - i;
}

/// Channels of one group of one image, [in][input], as a padded image.
void channels_last(const Int8Kernels& kernels, const ConvShape& s, const GroupShape& g, std::int32_t zero,
                   const std::uint8_t* x, std::uint8_t* image) {
  const std::int64_t plane = s.input[0] * s.input[1], line = g.width * g.fours;
  const auto z = static_cast<std::uint8_t>(zero);
  for (std::int64_t h = 0; h < g.height; ++h) {
    std::uint8_t* const to = image + h * line;
    const std::int64_t from = source(h, s.input[0], s.padding[0], s.mode);
    std::memset(to, from < 0 ? z : 0, static_cast<std::size_t>(line));
    if (from < 0) continue;
    std::uint8_t* const middle = to + s.padding[1] * g.fours;
    kernels.transpose(x + from * s.input[1], g.in, s.input[1], plane, middle, g.fours);
    for (std::int64_t w = 0; w < g.width; ++w) {
      if (w == s.padding[1]) w += s.input[1];
      if (w >= g.width) break;
      const std::int64_t column = source(w, s.input[1], s.padding[1], s.mode);
      if (column < 0)
        std::memset(to + w * g.fours, z, static_cast<std::size_t>(g.fours));
      else
        std::memcpy(to + w * g.fours, middle + column * g.fours, static_cast<std::size_t>(g.fours));
    }
  }
}

/// The inputs of output pixels begin .. end, a row of all taps each.
void gather(const ConvShape& s, const GroupShape& g, const std::uint8_t* image, std::int64_t begin, std::int64_t end,
            std::uint8_t* rows) {
  const std::int64_t across = s.output(1), line = g.width * g.fours;
  const bool joined = s.dilation[1] == 1;
  const std::int64_t runs = joined ? 1 : s.kernel[1], run = (joined ? s.kernel[1] : 1) * g.fours;
  for (std::int64_t pixel = begin; pixel < end; ++pixel) {
    const std::int64_t h = pixel / across * s.stride[0], w = pixel % across * s.stride[1];
    for (std::int64_t i = 0; i < s.kernel[0]; ++i)
      for (std::int64_t j = 0; j < runs; ++j, rows += run)
        std::memcpy(rows, image + (h + i * s.dilation[0]) * line + (w + j * s.dilation[1]) * g.fours,
                    static_cast<std::size_t>(run));
  }
}

/// Bytes of padding between channels are 0, also where the image's padding is: sums of rows count channels alone.
void clear_gaps(const GroupShape& g, std::uint8_t* image) {
  if (g.fours == g.in) return;
  for (std::int64_t p = 0; p < g.height * g.width; ++p)
    std::fill(image + p * g.fours + g.in, image + (p + 1) * g.fours, std::uint8_t{0});
}

}  // namespace

Int8ConvWeights::Int8ConvWeights(const ConvShape& shape, std::span<const std::int8_t> weight,
                                 std::span<const std::int32_t> zeros) {
  const GroupShape g(shape);
  for (std::int64_t group = 0; group < shape.groups; ++group) {
    const std::int64_t first = group * g.out;
    const auto own =
        zeros.size() > 1 ? zeros.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(g.out)) : zeros;
    std::vector<std::int8_t> rows;
    for (std::int64_t o = 0; o < g.out; ++o) {
      // Weights of the gaps are the zero point: they count nothing.
      const std::int32_t z = own.empty() ? 0 : own[own.size() == 1 ? 0 : static_cast<std::size_t>(o)];
      for (std::int64_t t = 0; t < g.taps; ++t)
        for (std::int64_t c = 0; c < g.fours; ++c)
          rows.push_back(c < g.in ? weight[static_cast<std::size_t>(((first + o) * g.in + c) * g.taps + t)]
                                  : static_cast<std::int8_t>(z));
    }
    groups_.emplace_back(g.out, g.taps * g.fours, rows, own);
  }
}

void conv2d(const ConvShape& s, const Int8ConvWeights& w, const StaticConstants& constants, std::int64_t batch,
            const std::uint8_t* x, std::uint8_t* y) {
  const GroupShape g(s);
  const std::int64_t pixels = std::max<std::int64_t>(s.output(0), 0) * std::max<std::int64_t>(s.output(1), 0);
  if (batch == 0 || g.out == 0 || pixels == 0) return;
  const Int8Kernels& kernels = kernels::int8_in_use();
  const std::int64_t images = batch * s.groups, plane = s.input[0] * s.input[1], k = g.taps * g.fours;
  const auto padded = aligned<std::uint8_t>(static_cast<std::size_t>(images * g.bytes()));
  parallel_for(images, std::max<std::int64_t>((1 << 18) / std::max<std::int64_t>(g.bytes(), 1), 1), [&](Rows r) {
    for (std::int64_t i = r.begin; i < r.end; ++i) {
      channels_last(kernels, s, g, constants.x.zero_point, x + i * g.in * plane, padded.get() + i * g.bytes());
      clear_gaps(g, padded.get() + i * g.bytes());
    }
  });
  const std::int64_t strips = (pixels + kTaskPixels - 1) / kTaskPixels;
  const std::int64_t products = std::max<std::int64_t>(std::min(pixels, kTaskPixels) * (g.out + 32) * k, 1);
  parallel_for(images * strips, std::max<std::int64_t>(kTaskProducts / products, 1), [&](Rows tasks) {
    const auto rows = aligned<std::uint8_t>(static_cast<std::size_t>(kTaskPixels * k));
    const auto bytes = aligned<std::uint8_t>(static_cast<std::size_t>(kTaskPixels * g.out));
    std::vector<std::int32_t> row_sums(kTaskPixels);
    for (std::int64_t task = tasks.begin; task < tasks.end; ++task) {
      const std::int64_t image = task / strips, group = image % s.groups, first = group * g.out;
      const std::int64_t begin = task % strips * kTaskPixels, end = std::min(begin + kTaskPixels, pixels);
      const Int8Panels& panels = w.group(group);
      gather(s, g, padded.get() + image * g.bytes(), begin, end, rows.get());
      kernels::Int8Dense p{end - begin, g.out, k, rows.get(), k, panels.data(), output_of(constants)};
      p.out.scale += first;
      if (p.out.term != nullptr) p.out.term += first;
      if (p.out.bias != nullptr) p.out.bias += first;
      p.out.columns = panels.columns().data();
      if (!panels.zeros().empty()) {
        p.out.zeros = panels.zeros().data();
        p.out.row_sums = row_sums.data();
        kernels.row_sums(rows.get(), p.m, k, k, row_sums.data());
      }
      p.out.y = bytes.get();
      p.out.y_stride = g.out;
      kernels.dense(p, 0, panels_of(g.out));
      kernels.transpose(bytes.get(), p.m, g.out, g.out, y + image * g.out * pixels + begin, pixels);
    }
  });
}

}  // namespace coppice::quant
