// Sizes of a convolution, and the column matrix of an image.
#include <algorithm>

#include "coppice/engine/ops/conv.h"
#include "ops/im2col.h"

namespace coppice {
namespace {

std::int64_t setting(const char* op, const char* name, const std::vector<std::int64_t>& list, int spatial, int axis,
                     std::int64_t least) {
  if (list.size() != 1 && list.size() != static_cast<std::size_t>(spatial))
    throw ValueError(cat("[", op, "] ", name, " needs 1 or ", spatial, " numbers; got ", list.size()));
  const std::int64_t value = list[list.size() == 1 ? 0 : static_cast<std::size_t>(axis)];
  if (value < least || value > INT32_MAX)
    throw ValueError(cat("[", op, "] ", name, " must be in ", least, "..", INT32_MAX, "; got ", value));
  return value;
}

/// Output positions [first, last) along one axis whose tap `t` falls inside the input.
struct Span {
  std::int64_t first, last, offset;
  Span(const ConvGeometry& g, std::size_t axis, std::int64_t t) : offset(t * g.dilation[axis] - g.padding[axis]) {
    const std::int64_t s = g.stride[axis];
    first = offset < 0 ? std::min(g.output[axis], (-offset + s - 1) / s) : 0;
    const std::int64_t room = g.input[axis] - 1 - offset;
    last = room < 0 ? first : std::max(first, std::min(g.output[axis], room / s + 1));
  }
};

/// Calls `f(channel, row of the column matrix, spans)` for each tap of each channel of a group.
template <class F>
void each_tap(const ConvGeometry& g, std::int64_t group, F f) {
  const std::int64_t channels = g.in_channels / g.groups;
  std::int64_t row = 0;
  for (std::int64_t c = group * channels; c < (group + 1) * channels; ++c)
    for (std::int64_t d = 0; d < g.kernel[0]; ++d)
      for (std::int64_t h = 0; h < g.kernel[1]; ++h)
        for (std::int64_t w = 0; w < g.kernel[2]; ++w) f(c, row++, Span(g, 0, d), Span(g, 1, h), Span(g, 2, w));
}

/// Windows that move by one pixel over a plane of the output's size, as a 3x3 kernel with padding 1.
bool is_shift(const ConvGeometry& g) {
  return g.stride[1] == 1 && g.stride[2] == 1 && g.output[0] == 1 && g.input[0] == 1 && g.padding[0] == 0 &&
         g.output[1] == g.input[1] && g.output[2] == g.input[2];
}

/// One row of the column matrix of such windows: the plane moved by the tap's offset, zero where it left the frame.
/// A single copy where row by row would cost a call for every few pixels.
template <class T>
void shifted_plane(const ConvGeometry& g, const T* plane, const Span& sh, const Span& sw, T* to) {
  // A tap outside the input everywhere: its offset may be larger than the plane, and nothing of it is shown.
  if (sh.first >= sh.last || sw.first >= sw.last) {
    std::fill_n(to, g.positions(), T(0));
    return;
  }
  const std::int64_t width = g.input[2];
  const std::int64_t offset = sh.offset * width + sw.offset;
  const std::int64_t begin = std::max(sh.first * width, -offset);
  const std::int64_t end = std::min(sh.last * width, g.pixels() - offset);
  std::fill_n(to, std::max<std::int64_t>(begin, 0), T(0));
  if (begin < end) std::copy(plane + begin + offset, plane + end + offset, to + begin);
  const std::int64_t rest = std::max(begin, end);
  std::fill_n(to + rest, g.positions() - rest, T(0));
  for (std::int64_t h = sh.first; h < sh.last; ++h) {  // what came from the neighbouring line
    for (std::int64_t w = 0; w < sw.first; ++w) to[h * width + w] = T(0);
    for (std::int64_t w = sw.last; w < width; ++w) to[h * width + w] = T(0);
  }
}

/// Whether the multiply-adds of an image and the values of the result can be counted. What passes may still be more
/// than there is memory for, which the allocation tells.
bool countable(const ConvGeometry& g) {
  constexpr std::int64_t kMost = INT64_MAX / 4;  // sums of a few such counts stay numbers as well
  std::int64_t all = 1;
  for (const std::int64_t size : {g.output[0], g.output[1], g.output[2], g.out_channels, std::max(g.taps(), g.batch)})
    if (size != 0 && (__builtin_mul_overflow(all, size, &all) || all > kMost)) return false;
  return true;
}

}  // namespace

std::int64_t ConvGeometry::taps() const { return in_channels / groups * kernel[0] * kernel[1] * kernel[2]; }

bool ConvGeometry::pointwise() const {
  const std::array<std::int64_t, 3> one{1, 1, 1};
  return kernel == one && stride == one && padding == std::array<std::int64_t, 3>{0, 0, 0};
}

ConvGeometry conv_geometry(const char* op, int spatial, const Shape& x, const Shape& weight,
                           const ConvOptions& options) {
  if (x.rank() != spatial + 2 || weight.rank() != spatial + 2)
    throw ShapeError(cat("[", op, "] needs x: [n, in, ", spatial, " axes] and weight: [out, in / groups, ", spatial,
                         " axes]; got x: ", x, " and weight: ", weight));
  ConvGeometry g;
  g.batch = x[0];
  g.in_channels = x[1];
  g.out_channels = weight[0];
  g.groups = options.groups;
  if (g.groups < 1 || g.in_channels % g.groups != 0 || g.out_channels % g.groups != 0)
    throw ValueError(cat("[", op, "] groups must divide ", g.in_channels, " in and ", g.out_channels,
                         " out channels; got ", g.groups));
  if (weight[1] != g.in_channels / g.groups)
    throw ShapeError(cat("[", op, "] x ", x, " has ", g.in_channels, " channels in ", g.groups, " groups; weight ",
                         weight, " takes ", weight[1], " per group"));
  for (int i = 0; i < spatial; ++i) {
    const auto axis = static_cast<std::size_t>(3 - spatial + i);
    g.input[axis] = x[2 + i];
    g.kernel[axis] = weight[2 + i];
    g.stride[axis] = setting(op, "stride", options.stride, spatial, i, 1);
    g.padding[axis] = setting(op, "padding", options.padding, spatial, i, 0);
    g.dilation[axis] = setting(op, "dilation", options.dilation, spatial, i, 1);
    // A weight without channels may claim any kernel.
    const std::int64_t kernel = std::min<std::int64_t>(g.kernel[axis], INT32_MAX);
    const std::int64_t room = g.input[axis] + 2 * g.padding[axis] - g.dilation[axis] * (kernel - 1) - 1;
    if (g.kernel[axis] != kernel || kernel < 1 || room < 0)
      throw ShapeError(cat("[", op, "] kernel ", weight, " does not fit into x ", x, " with padding ", g.padding[axis],
                           " and dilation ", g.dilation[axis]));
    g.output[axis] = room / g.stride[axis] + 1;
  }
  if (!countable(g))
    throw LimitError(cat("[", op, "] x ", x, " and weight ", weight, " must need at most 2^61 products; got ",
                         g.output[0], " x ", g.output[1], " x ", g.output[2], " output positions"));
  return g;
}

Shape conv_result_shape(const ConvGeometry& g, int spatial) {
  std::vector<std::int64_t> sizes{g.batch, g.out_channels};
  sizes.insert(sizes.end(), g.output.end() - spatial, g.output.end());
  return Shape(std::move(sizes));
}

template <class T>
void im2col(const ConvGeometry& g, const T* image, std::int64_t group, T* columns) {
  const bool shift = is_shift(g);
  each_tap(g, group, [&](std::int64_t c, std::int64_t row, const Span& sd, const Span& sh, const Span& sw) {
    T* to = columns + row * g.positions();
    if (shift) return shifted_plane(g, image + c * g.pixels(), sh, sw, to);
    if (sd.first > 0 || sd.last < g.output[0] || sh.first > 0 || sh.last < g.output[1] || sw.first > 0 ||
        sw.last < g.output[2])
      std::fill_n(to, g.positions(), T(0));
    const T* channel = image + c * g.pixels();
    for (std::int64_t d = sd.first; d < sd.last; ++d)
      for (std::int64_t h = sh.first; h < sh.last; ++h) {
        const T* line = channel +
                        ((d * g.stride[0] + sd.offset) * g.input[1] + h * g.stride[1] + sh.offset) * g.input[2] +
                        sw.offset;
        T* out = to + (d * g.output[1] + h) * g.output[2];
        const std::int64_t step = g.stride[2];
        if (step == 1)
          std::copy(line + sw.first, line + sw.last, out + sw.first);
        else
          for (std::int64_t w = sw.first; w < sw.last; ++w) out[w] = line[w * step];
      }
  });
}

template <class T>
void col2im(const ConvGeometry& g, const T* columns, std::int64_t group, T* image) {
  each_tap(g, group, [&](std::int64_t c, std::int64_t row, const Span& sd, const Span& sh, const Span& sw) {
    const T* from = columns + row * g.positions();
    T* channel = image + c * g.pixels();
    for (std::int64_t d = sd.first; d < sd.last; ++d)
      for (std::int64_t h = sh.first; h < sh.last; ++h) {
        T* line = channel + ((d * g.stride[0] + sd.offset) * g.input[1] + h * g.stride[1] + sh.offset) * g.input[2] +
                  sw.offset;
        const T* in = from + (d * g.output[1] + h) * g.output[2];
        for (std::int64_t w = sw.first; w < sw.last; ++w) line[w * g.stride[2]] += in[w];
      }
  });
}

template void im2col(const ConvGeometry&, const float*, std::int64_t, float*);
template void im2col(const ConvGeometry&, const double*, std::int64_t, double*);
template void col2im(const ConvGeometry&, const float*, std::int64_t, float*);
template void col2im(const ConvGeometry&, const double*, std::int64_t, double*);

}  // namespace coppice
