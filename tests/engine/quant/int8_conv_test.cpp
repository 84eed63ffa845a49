// Convolutions of bytes: exact on every level and unit, for every shape, against plain loops.
#include <doctest/doctest.h>

#include "../../../engine/src/quant/int8_conv.h"
#include "engine/quant/int8_support.h"

using namespace coppice;
using namespace coppice::quant;

namespace {

std::int64_t place(std::int64_t i, std::int64_t size, Padding mode) {  // -1: zero
  if (i >= 0 && i < size) return i;
  if (mode == Padding::zeros) return -1;
  return i < 0 ? -i : 2 * (size - 1) - i;
}

struct Case {
  ConvShape s;
  std::int64_t batch;
  std::vector<std::uint8_t> x;
  std::vector<std::int8_t> w;
  std::vector<std::int32_t> zw;
  std::vector<double> scales;
  std::vector<float> bias;
  StaticConstants constants;

  Case(const ConvShape& shape, std::int64_t images, bool per_channel, Generator& g)
      : s(shape),
        batch(images),
        x(test::random_bytes<std::uint8_t>(batch * s.in_channels * s.input[0] * s.input[1], 0, 255, g)),
        w(test::random_bytes<std::int8_t>(s.out_channels * s.in_channels / s.groups * s.kernel[0] * s.kernel[1], -128,
                                          127, g)),
        zw(test::random_bytes<std::int32_t>(per_channel ? s.out_channels : 0, -9, 9, g)),
        bias(test::random_floats(s.out_channels, -2, 2, g)),
        constants(Requantize::onednn, {0.02f, 77}, {0.4f, 31}, false, s.out_channels, make_scales(per_channel, g),
                  bias) {}

  const std::vector<double>& make_scales(bool per_channel, Generator& g) {
    for (const float v : test::random_floats(per_channel ? s.out_channels : 1, 0.002f, 0.02f, g)) scales.push_back(v);
    return scales;
  }

  std::vector<std::uint8_t> got() const {
    std::vector<std::uint8_t> y(static_cast<std::size_t>(batch * s.out_channels * s.output(0) * s.output(1)));
    conv2d(s, Int8ConvWeights(s, w, zw), constants, batch, x.data(), y.data());
    return y;
  }

  std::int64_t sum(std::int64_t b, std::int64_t o, std::int64_t oh, std::int64_t ow) const {
    const std::int64_t in = s.in_channels / s.groups, group = o / (s.out_channels / s.groups);
    const std::int64_t z = zw.empty() ? 0 : zw[static_cast<std::size_t>(o)];
    std::int64_t total = 0;
    for (std::int64_t c = 0; c < in; ++c)
      for (std::int64_t i = 0; i < s.kernel[0]; ++i)
        for (std::int64_t j = 0; j < s.kernel[1]; ++j) {
          const std::int64_t h = place(oh * s.stride[0] + i * s.dilation[0] - s.padding[0], s.input[0], s.mode);
          const std::int64_t v = place(ow * s.stride[1] + j * s.dilation[1] - s.padding[1], s.input[1], s.mode);
          if (h < 0 || v < 0) continue;
          const auto xi =
              static_cast<std::size_t>(((b * s.in_channels + group * in + c) * s.input[0] + h) * s.input[1] + v);
          const auto wi = static_cast<std::size_t>(((o * in + c) * s.kernel[0] + i) * s.kernel[1] + j);
          total += (x[xi] - constants.x.zero_point) * (w[wi] - z);
        }
    return total;
  }

  std::vector<std::uint8_t> expected() const {
    std::vector<std::uint8_t> out;
    for (std::int64_t b = 0; b < batch; ++b)
      for (std::int64_t o = 0; o < s.out_channels; ++o)
        for (std::int64_t h = 0; h < s.output(0); ++h)
          for (std::int64_t v = 0; v < s.output(1); ++v) {
            const auto j = static_cast<std::size_t>(o);
            const float aw = constants.x.scale * static_cast<float>(scales[scales.size() == 1 ? 0 : j]);
            const float term = bias[j] / aw, factor = aw / constants.y.scale;
            const float raw = static_cast<float>(sum(b, o, h, v)) + term, scaled = raw * factor;
            const float shifted = scaled + static_cast<float>(constants.y.zero_point);
            out.push_back(test::byte_of(static_cast<double>(test::rounded(shifted)), 0, 255));
          }
    return out;
  }
};

const std::vector<ConvShape> kShapes{
    {.in_channels = 1, .out_channels = 1},
    {.in_channels = 3, .out_channels = 5, .input = {7, 9}, .kernel = {3, 3}, .padding = {1, 1}},
    {.in_channels = 4, .out_channels = 33, .input = {12, 17}, .kernel = {3, 2}, .stride = {2, 1}, .padding = {0, 1}},
    {.in_channels = 20, .out_channels = 40, .input = {9, 33}, .kernel = {1, 1}, .stride = {1, 2}},
    {.in_channels = 6,
     .out_channels = 4,
     .groups = 2,
     .input = {8, 8},
     .kernel = {3, 3},
     .padding = {2, 2},
     .dilation = {2, 1}},
    {.in_channels = 9, .out_channels = 9, .groups = 9, .input = {11, 10}, .kernel = {3, 3}, .padding = {1, 1}},
    {.in_channels = 5,
     .out_channels = 15,
     .groups = 5,
     .input = {6, 30},
     .kernel = {2, 5},
     .padding = {1, 3},
     .dilation = {1, 2}},
    {.in_channels = 2,
     .out_channels = 70,
     .input = {20, 21},
     .kernel = {5, 5},
     .stride = {3, 2},
     .padding = {4, 0},
     .dilation = {2, 3}},
    {.in_channels = 17, .out_channels = 3, .input = {1, 40}, .kernel = {1, 7}, .padding = {0, 3}},
    {.in_channels = 3,
     .out_channels = 8,
     .input = {5, 6},
     .kernel = {3, 3},
     .padding = {3, 2},
     .mode = Padding::reflect},
};

}  // namespace

TEST_SUITE("engine/quant/int8_conv") {
  TEST_CASE("convolutions are exact at every level and unit") {
    Generator g(1);
    std::vector<Case> cases;
    std::vector<std::vector<std::uint8_t>> expected;
    for (const ConvShape& shape : kShapes)
      for (const bool per_channel : {false, true}) {
        cases.emplace_back(shape, 2, per_channel, g);
        expected.push_back(cases.back().expected());
      }
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      for (std::size_t i = 0; i < cases.size(); ++i) {
        CAPTURE(i);
        CHECK(cases[i].got() == expected[i]);
      }
    });
  }

  TEST_CASE("padding counts as zero: the worked example, with and without ReLU") {
    const ConvShape s{.input = {2, 2}, .kernel = {2, 2}, .padding = {1, 1}};
    const std::vector<std::uint8_t> x{30, 50, 70, 90};
    const std::vector<std::int8_t> w{64, -64, 32, 127};
    const std::vector<double> scales{2 / 127.5};
    const std::vector<float> bias{-3.5f};
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      const auto run = [&](bool relu) {
        const StaticConstants c(Requantize::fbgemm, {0.05f, 10}, {0.1f, 30}, relu, 1, scales, bias);
        std::vector<std::uint8_t> y(9);
        conv2d(s, Int8ConvWeights(s, w, {}), c, 1, x.data(), y.data());
        return y;
      };
      CHECK(run(false) == std::vector<std::uint8_t>{15, 40, 5, 45, 80, 35, 0, 0, 35});
      CHECK(run(true) == std::vector<std::uint8_t>{30, 40, 30, 45, 80, 35, 30, 30, 35});
    });
  }

  TEST_CASE("extreme bytes do not saturate on the way, depthwise neither") {
    Generator g(2);
    test::at_every_unit([&](const std::string& where) {
      CAPTURE(where);
      for (const std::int64_t groups : {1, 8}) {
        Case c({.in_channels = 8,
                .out_channels = 8,
                .groups = groups,
                .input = {9, 9},
                .kernel = {3, 3},
                .padding = {1, 1}},
               1, false, g);
        std::ranges::fill(c.x, std::uint8_t{255});
        std::ranges::fill(c.w, std::int8_t{-128});
        CHECK(c.got() == c.expected());
      }
    });
  }

  TEST_CASE("empty batches, and outputs without a pixel, write nothing") {
    Generator g(3);
    CHECK(Case(kShapes[1], 0, true, g).got().empty());
    const ConvShape wide{.input = {2, 2}, .kernel = {3, 3}};
    CHECK(Case(wide, 1, false, g).got().empty());
  }

  TEST_CASE("1, 2 and 7 threads give the same bytes") {
    const test::IntegerSettings restore;
    Generator g(4);
    for (const std::int64_t groups : {1, 4}) {
      const Case c({.in_channels = 16,
                    .out_channels = 32,
                    .groups = groups,
                    .input = {40, 41},
                    .kernel = {3, 3},
                    .padding = {1, 1}},
                   3, true, g);
      const auto expected = c.expected();
      for (const int threads : {1, 2, 7}) {
        set_num_threads(threads);
        CHECK(c.got() == expected);
      }
    }
  }
}
